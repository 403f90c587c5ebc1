package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.graph.Graph;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.NodeProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RefinementTest {
  private static final ModelSession.Settings SETTINGS = new ModelSession.Settings(false, 2);

  private static OnnxModel model;
  private static List<AttentionSite> sites;
  private static SamplerCalibration calibration;

  @TempDir Path folder;

  @BeforeAll
  static void open() throws IOException {
    model = OnnxModel.load(ShapesWan.model());
    sites = AttentionFinder.find(model).sites().stream().filter(s -> s.kind() == Kind.SELF).toList();
    Prompts prompts = Prompts.of(Vocabulary.read(ShapesWan.vocabulary()), ShapesWan.vocabulary());
    // A small clip, for speed: an eighth of the usual one.
    long[] shape = {1, 3, 2, 12, 12};
    calibration = new SamplerCalibration(ModelSession.open(ShapesWan.model(), SETTINGS), prompts, shape, 1);
  }

  private static Map<String, SiteMaps> maps() {
    FeatureMaps file = FeatureMaps.load(ShapesWan.maps());
    Map<String, SiteMaps> maps = new LinkedHashMap<>();
    file.names().forEach(name -> maps.put(name, file.forSite(name).orElseThrow()));
    return maps;
  }

  private static Refinement refinement(int steps) {
    return new Refinement(model, sites, calibration, 4, Refinement.Settings.of(steps, 5), SETTINGS);
  }

  @Test
  void whatGradientsFlowThroughIsTheConvertedModel() {
    try (Refinement refinement = refinement(0); ModelError error = new ModelError(model, sites, SETTINGS);
        ModelSession converted = error.converted(maps())) {
      Tensor expected = converted.run(calibration.inputs(1)).values().iterator().next();
      assertTrue(Difference.between(expected, refinement.output(maps(), 1), "output").relative() < 1e-5);
    }
  }

  @Test
  void theModelsOutputComesNearer() {
    // Maps of another clip size: far off here.
    try (Refinement refinement = refinement(12); ModelError error = new ModelError(model, sites, SETTINGS)) {
      double before = error(error, maps());
      double after = error(error, refinement.refine(maps(), null, 2, () -> {}));
      assertTrue(after < 0.9 * before, before + " before, " + after + " after");
    }
  }

  private static double error(ModelError error, Map<String, SiteMaps> maps) {
    try (ModelSession converted = error.converted(maps)) {
      return error.of(converted, List.of(calibration.inputs(0), calibration.inputs(1), calibration.inputs(2), calibration.inputs(3)));
    }
  }

  @Test
  void anInterruptedRefinementEndsAsAnUninterruptedOne() {
    int[] steps = {0};
    try (Refinement refinement = refinement(FitCheckpoint.EVERY + 4)) {
      Map<String, SiteMaps> whole = refinement.refine(maps(), null, 2, () -> {});
      assertThrows(IllegalStateException.class, () -> refinement.refine(maps(), folder, 2, () -> {
        if (++steps[0] > FitCheckpoint.EVERY) {
          throw new IllegalStateException("power cut");
        }
      }));
      int[] rest = {0};
      Map<String, SiteMaps> resumed = refinement.refine(maps(), folder, 2, () -> rest[0]++);
      assertEquals(4, rest[0]);
      whole.forEach((site, m) -> assertArrayEquals(m.key().weight(), resumed.get(site).key().weight(), site));
    }
  }

  @Test
  void anOperatorThatIsMissingIsNamedWithItsNode() {
    GraphProto graph = GraphProto.newBuilder()
        .addNode(NodeProto.newBuilder().setOpType("NonMaxSuppression").setName("head/nms").addInput("x").addOutput("y")).build();
    Graph parsed = Graph.of(graph.toBuilder().addInput(dev.hla.onnx.ValueInfoProto.newBuilder().setName("x")).build(), "m.onnx");
    HlaException e = assertThrows(HlaException.class, () -> GraphOperators.requireAll("m.onnx", parsed.nodes()));
    assertTrue(e.getMessage().startsWith("m.onnx: cannot be refined end to end, gradients do not pass through NonMaxSuppression (head/nms)"),
        e.getMessage());
  }
}
