package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.attention.MaskKind;
import dev.hla.converter.attention.SiteReport;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A real text encoder at opset 11, as it is published. */
class MiniLmTest {
  @TempDir
  static Path folder;

  private static OnnxModel model;

  @BeforeAll
  static void unpack() throws IOException {
    model = OnnxModel.load(TextInputs.model(folder));
  }

  @Test
  void hasSixSitesWithKeyMasks() {
    SiteReport report = AttentionFinder.find(model);
    assertEquals(6, report.sites().size(), () -> report.notAttention().toString());
    for (AttentionSite site : report.sites()) {
      assertEquals(Kind.SELF, site.kind());
      assertEquals(12, site.heads());
      assertEquals(32, site.headDim());
      assertEquals(MaskKind.KEY, site.mask());
      assertEquals(1 / Math.sqrt(32), site.scale(), 1e-6);
      assertTrue(site.convertible(), site.reason());
    }
    assertEquals(List.of(), report.notAttention());
  }

  @Test
  void convertsAndRuns() {
    Conversion conversion = Conversion.of(model);
    assertEquals(6, conversion.plan().choices().size());
    String output = conversion.converted().getGraph().getOutput(0).getName();
    for (int tokens : new int[] {5, 17}) {
      Map<String, Tensor> inputs = Map.of("input_ids", ids(tokens, 101), "attention_mask", mask(tokens), "token_type_ids", ids(tokens, 0));
      Tensor plain = Conversion.run(conversion.converted(), folder, inputs, false, List.of(output)).get(output);
      Tensor fast = Conversion.run(conversion.converted(), folder, inputs, true, List.of(output)).get(output);
      Difference d = Difference.between(plain, fast, output);
      assertTrue(d.finite() && d.relative() <= 1e-4, d.toString());
    }
  }

  private static Tensor ids(int tokens, int first) {
    Tensor t = Tensor.zeros(ElementType.INT64, 2, tokens);
    for (int i = 0; first > 0 && i < t.size(); i++) {
      t.set(i, first + 37 * i % 20000);
    }
    return t;
  }

  /** The second text is two tokens shorter. */
  private static Tensor mask(int tokens) {
    Tensor t = Tensor.zeros(ElementType.INT64, 2, tokens);
    for (int i = 0; i < 2 * tokens - 2; i++) {
      t.set(i, 1);
    }
    return t;
  }
}
