package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.SiteReport;
import dev.hla.onnx.ModelProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The exports of real exporters that lie beside the project: their sites against the truth, and their conversion. */
@EnabledIf(value = "dev.hla.conversion.Corpus#isThere", disabledReason = "the models of ../shared are not beside this checkout")
class CorpusTest {
  static List<Path> models() {
    return Corpus.models();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("models")
  @Execution(ExecutionMode.CONCURRENT)
  void sitesMatchTheTruth(Path file) {
    JsonNode truth = Corpus.truth(file);
    SiteReport report = AttentionFinder.find(OnnxModel.load(file));
    assertEquals(truth.path("sites").size(), report.sites().size());
    for (int i = 0; i < report.sites().size(); i++) {
      AttentionSite site = report.sites().get(i);
      JsonNode expected = truth.path("sites").get(i);
      assertEquals(expected.path("node").asText(), site.node());
      assertEquals(expected.path("kind").asText(), site.kind().toString(), site.node());
      assertEquals(expected.path("heads").asLong(), site.heads(), site.node());
      assertEquals(expected.path("head_dim").asLong(), site.headDim(), site.node());
      assertEquals(expected.path("mask").asText(), site.mask().toString(), site.node());
      assertEquals(expected.path("scale").asDouble(), site.scale(), 1e-3, site.node());
      if (!truth.path("dynamic").asBoolean()) {
        assertEquals(expected.path("q").get(2).asText(), String.valueOf(site.queryTokens()), site.node());
        assertEquals(expected.path("k").get(2).asText(), String.valueOf(site.keyTokens()), site.node());
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("models")
  @Execution(ExecutionMode.CONCURRENT)
  void convertedFilesRunAlikeWithTheLibraryAndWithoutIt(Path file) {
    Conversion conversion = Conversion.of(OnnxModel.load(file));
    ModelProto converted = conversion.converted();
    List<String> outputs = converted.getGraph().getOutputList().stream().map(o -> o.getName()).toList();
    for (Map<String, Tensor> inputs : Corpus.inputs(file)) {
      Map<String, Tensor> plain = Conversion.run(converted, file.getParent(), inputs, false, outputs);
      Map<String, Tensor> fast = Conversion.run(converted, file.getParent(), inputs, true, outputs);
      for (String output : outputs) {
        Difference d = Difference.between(plain.get(output), fast.get(output), output);
        // Two blocks in a row, each within the tolerance of its type.
        double tolerance = plain.get(output).type() == ElementType.FLOAT16 ? 4e-3 : 2e-5;
        assertTrue(d.finite() && d.relative() <= tolerance, d.toString());
      }
    }
  }
}
