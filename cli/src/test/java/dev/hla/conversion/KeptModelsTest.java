package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.attention.SiteReport;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.ModelProto;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.graph.Feed;
import dev.hla.testdata.graph.KeptModel;
import dev.hla.testdata.graph.VideoModel;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A softmax that is no attention is reported with the node that broke the form, and nothing is changed. */
class KeptModelsTest {
  @ParameterizedTest
  @EnumSource(KeptModel.class)
  void theReasonIsGiven(KeptModel kind) {
    for (long opset : new long[] {11, 17}) {
      ModelProto model = kind.build(opset);
      SiteReport report = Conversion.find(model);
      assertEquals(List.of(), report.sites());
      assertEquals(1, report.notAttention().size());
      assertTrue(report.notAttention().get(0).reason().contains(kind.reason()), report.notAttention().get(0).reason());
      assertEquals("/block/Softmax", report.notAttention().get(0).node());
    }
  }

  @ParameterizedTest
  @EnumSource(KeptModel.class)
  void theModelsAreRunnable(KeptModel kind) {
    Map<String, Tensor> x = Conversion.tensors(Map.of("x", new Feed(1, new long[] {2, 12, 32}, new float[2 * 12 * 32])));
    Conversion.run(kind.build(17), x, false, List.of("y"));
  }

  @Test
  void withNothingToConvertTheModelStaysEqual() {
    ModelProto model = VideoModel.WAN.build(false, 17).model();
    assertEquals(model, Rewriter.rewrite(Conversion.inMemory(model), new Plan(List.of(), List.of())).model().proto());
  }

  @Test
  void aConvertedModelHasNoSitesLeftAndStaysAsItIs() {
    ModelProto once = Conversion.of(VideoModel.WAN.build(true, 17).model()).converted();
    Conversion again = Conversion.of(once);
    assertEquals(List.of(), again.report().sites());
    assertEquals(once, again.converted());
  }
}
