package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.SiteReport;
import dev.hla.runtime.Difference;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.graph.VideoModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The kinds of attention in the layouts of known model families, and their conversion. */
class KindsTest {
  static List<Arguments> models() {
    List<Arguments> all = new ArrayList<>();
    for (VideoModel model : VideoModel.values()) {
      all.add(Arguments.of(model, true, 11));
      all.add(Arguments.of(model, false, 17));
      all.add(Arguments.of(model, true, 20));
      all.add(Arguments.of(model, false, 23));
    }
    return all;
  }

  @ParameterizedTest(name = "{0} dynamic {1} opset {2}")
  @MethodSource("models")
  @Execution(ExecutionMode.CONCURRENT)
  void kindsAreToldByTracing(VideoModel kind, boolean dynamic, long opset) {
    VideoModel.Built built = kind.build(dynamic, opset);
    SiteReport report = Conversion.find(built.model());
    assertEquals(built.sites().stream().map(VideoModel.Site::name).toList(), report.sites().stream().map(AttentionSite::name).toList(),
        () -> "missed: " + report.notAttention());
    for (int i = 0; i < built.sites().size(); i++) {
      VideoModel.Site truth = built.sites().get(i);
      AttentionSite site = report.sites().get(i);
      assertEquals(truth.kind(), site.kind().toString(), truth.name());
      assertEquals(truth.mask(), site.mask().toString(), truth.name());
      assertEquals(4, site.heads(), truth.name());
      assertEquals(8, site.headDim(), truth.name());
      if (!dynamic) {
        assertEquals(truth.queries() + "x" + truth.keys(), site.queryTokens() + "x" + site.keyTokens(), truth.name());
      }
      assertEquals(!truth.mask().equals("full"), site.convertible(), site.reason());
    }
    // The classifier's own softmax is the only one that is none.
    assertEquals(kind == VideoModel.CLASS_TOKEN ? 1 : 0, report.notAttention().size());
  }

  @ParameterizedTest(name = "{0} dynamic {1} opset {2}")
  @MethodSource("models")
  @Execution(ExecutionMode.CONCURRENT)
  void theyConvertAndRunAlike(VideoModel kind, boolean dynamic, long opset) {
    VideoModel.Built built = kind.build(dynamic, opset);
    Conversion conversion = Conversion.of(built.model());
    String output = built.model().getGraph().getOutput(0).getName();
    Map<String, Tensor> feeds = Conversion.tensors(built.feeds());
    Conversion.run(built.model(), feeds, false, List.of(output));
    Tensor plain = Conversion.run(conversion.converted(), feeds, false, List.of(output)).get(output);
    Tensor fast = Conversion.run(conversion.converted(), feeds, true, List.of(output)).get(output);
    Difference difference = Difference.between(plain, fast, output);
    assertTrue(difference.finite() && difference.relative() < 1e-5, difference.toString());
  }
}
