package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
  void anInputThatReplacesTheModelsValueIsNoConstant() {
    String bias = "head.bias";
    Graph graph = Graph.of(model.proto().getGraph(), "");
    String value = graph.initializers().keySet().stream().filter(name -> name.endsWith("bias")).reduce((a, b) -> b).orElse(bias);
    OnnxModel open = new OnnxModel(model.path(), model.proto().toBuilder().setGraph(
        model.proto().getGraph().toBuilder().addInput(ValueInfoProto.newBuilder().setName(value))).build());
    assertTrue(MovedGraph.of(open, sites, Set.of()).constants().contains(value), value);
    assertFalse(MovedGraph.of(open, sites, Set.of(value)).constants().contains(value), value);
  }

  @Test
  void theModelsOutputComesNearer() {
    Map<String, SiteMaps> weakened = maps();
    weakened.values().forEach(m -> {
      for (float[] weight : List.of(m.query().weight(), m.key().weight())) {
        for (int i = 0; i < weight.length; i++) {
          weight[i] *= 0.3f;
        }
      }
    });
    try (Refinement refinement = refinement(12); ModelError error = new ModelError(model, sites, SETTINGS)) {
      double before = error(error, weakened);
      double after = error(error, refinement.refine(weakened, null, 2, () -> {}).maps());
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
      Map<String, SiteMaps> whole = refinement.refine(maps(), null, 2, () -> {}).maps();
      assertThrows(IllegalStateException.class, () -> refinement.refine(maps(), folder, 2, () -> {
        if (++steps[0] > FitCheckpoint.EVERY) {
          throw new IllegalStateException("power cut");
        }
      }));
      int[] rest = {0};
      Map<String, SiteMaps> resumed = refinement.refine(maps(), folder, 2, () -> rest[0]++).maps();
      assertEquals(4, rest[0]);
      whole.forEach((site, m) -> assertArrayEquals(m.key().weight(), resumed.get(site).key().weight(), site));
    }
  }

  @Test
  void aSeedGivesTheSameMapsTwice() {
    Map<String, SiteMaps> once;
    Map<String, SiteMaps> twice;
    try (Refinement refinement = refinement(6)) {
      once = refinement.refine(maps(), null, 1, () -> {}).maps();
    }
    try (Refinement refinement = refinement(6)) {
      twice = refinement.refine(maps(), null, 2, () -> {}).maps();
    }
    once.forEach((site, m) -> {
      assertArrayEquals(m.query().weight(), twice.get(site).query().weight(), site);
      assertArrayEquals(m.key().weight(), twice.get(site).key().weight(), site);
    });
  }

  @Test
  void fewClipsAreNoGroundForACorrectionOfWords() {
    try (Refinement refinement = refinement(0)) {
      Map<String, SiteMaps> given = maps();
      Refinement.Refined corrected = refinement.correctWords(given, 2, () -> {
        throw new AssertionError("a clip was looked at");
      });
      assertEquals(given, corrected.maps());
      assertEquals(List.of(), corrected.drifts());
    }
  }

  @Test
  void inputsWithoutFiniteNumbersAreLeftOutAndReported() {
    Calibration broken = new Calibration() {
      @Override
      public String identity() {
        return "broken";
      }

      @Override
      public int size() {
        return 4;
      }

      @Override
      public Map<String, Tensor> inputs(int index) {
        Map<String, Tensor> inputs = new LinkedHashMap<>(calibration.inputs(index));
        if (index == 0) {
          inputs.computeIfPresent("hidden_states", (name, clip) -> {
            float[] values = clip.floats();
            values[7] = Float.NaN;
            return Tensor.of(values, clip.shape());
          });
        }
        return inputs;
      }

      @Override
      public void close() {}
    };
    try (Refinement refinement = new Refinement(model, sites, broken, 4, Refinement.Settings.of(8, 5), SETTINGS)) {
      Refinement.Refined refined = refinement.refine(maps(), null, 2, () -> {});
      assertTrue(refined.notes().get(0).matches("blocks.0.attn.core, head 0: [1-7] of 8 steps of the refinement had no finite gradient.*"),
          refined.notes().toString());
      refined.maps().forEach((site, m) -> {
        assertFalse(Arrays.equals(maps().get(site).key().weight(), m.key().weight()), "nothing moved: " + site);
        for (float w : m.key().weight()) {
          assertTrue(Float.isFinite(w), site);
        }
      });
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
