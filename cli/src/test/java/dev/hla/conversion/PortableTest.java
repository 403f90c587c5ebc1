package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Lowering;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.converter.rewrite.SiteSelection;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.Precision;
import dev.hla.testdata.ShapesWan;
import dev.hla.testdata.SiteReference;
import dev.hla.testdata.graph.AttentionForm;
import dev.hla.testdata.graph.AttentionModel;
import dev.hla.testdata.graph.AttentionSpec;
import dev.hla.testdata.graph.Placement;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A portable model is of plain ONNX alone, and gives what the operator gives. */
class PortableTest {
  private static ModelProto portable(OnnxModel model, Plan plan) {
    ModelProto m = Rewriter.rewrite(model, plan, Lowering.PORTABLE).model().proto();
    assertEquals(0, m.getFunctionsCount());
    assertEquals(List.of(""), m.getOpsetImportList().stream().map(id -> id.getDomain()).toList());
    assertEquals(List.of(), m.getGraph().getNodeList().stream().map(NodeProto::getDomain).filter(d -> !d.isEmpty()).toList());
    return m;
  }

  private static Plan plan(OnnxModel model, FeatureMaps maps, String ranks) {
    return new SiteSelection(maps, ranks == null ? null : RankSpec.parse(ranks), List.of(), Set.of(), 0).plan(AttentionFinder.find(model));
  }

  private static double error(ModelProto expected, ModelProto actual, Map<String, Tensor> inputs, String output) {
    return HadamardReference.relativeError(
        SiteReference.doubles(Conversion.run(expected, inputs, true, List.of(output)).get(output).floats()),
        SiteReference.doubles(Conversion.run(actual, inputs, false, List.of(output)).get(output).floats()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"fitted", "4", "1", "1^2,1", "5^3", "2,3^2,2", "3^4,1^2,2^2", "2,2,2,1"})
  void equalsTheOperatorForEveryShapeOfMaps(String ranks) throws Exception {
    OnnxModel model = OnnxModel.load(ShapesWan.model());
    Plan plan = ranks.equals("fitted") ? plan(model, FeatureMaps.load(ShapesWan.maps()), null) : plan(model, null, ranks);
    ModelProto core = Rewriter.rewrite(model, plan, Lowering.CORE).model().proto();
    double error = error(core, portable(model, plan), Npz.readAll(ShapesWan.exampleInputs()), "sample");
    assertTrue(error <= Precision.FLOAT32.tolerance(), () -> error + " from the operator");
  }

  @Test
  void equalsTheOperatorInFloat16() throws Exception {
    OnnxModel model = OnnxModel.load(ShapesWan.modelFp16());
    Plan plan = plan(model, FeatureMaps.load(ShapesWan.maps()), null);
    ModelProto core = Rewriter.rewrite(model, plan, Lowering.CORE).model().proto();
    double error = error(core, portable(model, plan), Npz.readAll(ShapesWan.exampleInputs()), "sample");
    assertTrue(error <= Precision.FLOAT16.tolerance(), () -> error + " from the operator");
  }

  static Stream<Arguments> cells() {
    // Masks, grouped heads, layouts, bodies and functions: one cell of each form, mask and placement.
    Set<String> seen = new HashSet<>();
    return FormMatrix.cells().stream().filter(c -> c.opset() >= 17 && c.reasonToKeep().isEmpty() && c.type() == Precision.FLOAT32 && c.runsConverted())
        .filter(c -> seen.add(c.form().name()) | seen.add(c.mask().name()) | seen.add(c.placement().name())).map(Arguments::of);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cells")
  void equalsTheOperatorInEveryForm(AttentionSpec cell) {
    AttentionModel model = AttentionModel.of(cell);
    OnnxModel source = Conversion.inMemory(model.model());
    Conversion conversion = Conversion.of(source);
    Map<String, Tensor> inputs = new LinkedHashMap<>(Conversion.tensors(model.inputs(AttentionSpec.FIRST, 2).feeds()));
    if (cell.placement() == Placement.IF_BODY) {
      Tensor flag = Tensor.zeros(ElementType.BOOL);
      flag.set(0, 1);
      inputs.put("flag", flag);
    }
    double error = error(conversion.converted(), portable(source, conversion.plan()), inputs, "y");
    assertTrue(error <= 2 * cell.type().tolerance(), () -> error + " from the operator");
  }

  /** Without keys the attended values are zeros, and the output is the bias of the last projection; an epsilon of 0 must not make it 0 / 0. */
  @ParameterizedTest
  @ValueSource(floats = {0, 1e-6f})
  void withoutKeysEveryFormGivesZeros(float epsilon) {
    AttentionModel model = AttentionModel.of(AttentionSpec.of(AttentionForm.MANUAL_TIMES).crossing().open());
    OnnxModel source = Conversion.inMemory(model.model());
    List<Choice> choices = Conversion.of(source).plan().choices().stream()
        .map(c -> new Choice(c.site(), withEpsilon(c.maps(), epsilon), c.fitted())).toList();
    Plan plan = new Plan(choices, List.of());
    Map<String, Tensor> inputs = Conversion.tensors(model.inputs(new AttentionSpec.Sizes(2, 5, 0), 3).feeds());
    ModelProto operator = Rewriter.rewrite(source, plan, Lowering.CORE).model().proto();
    for (Tensor y : List.of(
        Conversion.run(portable(source, plan), inputs, false, List.of("y")).get("y"),
        Conversion.run(operator, inputs, false, List.of("y")).get("y"),
        Conversion.run(operator, inputs, true, List.of("y")).get("y"))) {
      float[] values = y.floats();
      assertEquals(2 * 5 * AttentionSpec.WIDTH, values.length);
      for (int i = 0; i < values.length; i++) {
        assertEquals(model.outBias()[i % AttentionSpec.WIDTH], values[i]);
      }
    }
  }

  private static SiteMaps withEpsilon(SiteMaps m, float epsilon) {
    return new SiteMaps(m.ranks(), m.powers(), m.activations(), epsilon, m.query(), m.key());
  }

  @Test
  void whatCannotBePortableIsRefusedWithTheCause() {
    AttentionSpec cell = FormMatrix.cells().stream().filter(c -> c.opset() == 13 && c.reasonToKeep().isEmpty()).findFirst().orElseThrow();
    OnnxModel old = Conversion.inMemory(AttentionModel.of(cell).model());
    Plan plan = plan(old, null, "4");
    assertTrue(assertThrows(HlaException.class, () -> Rewriter.rewrite(old, plan, Lowering.PORTABLE)).getMessage()
        .startsWith("model.onnx: is of opset 13, a portable file needs 17"));
  }

  @Test
  void aNodeOfAnotherDomainIsNamed() {
    OnnxModel model = OnnxModel.load(ShapesWan.model());
    ModelProto.Builder foreign = model.proto().toBuilder();
    foreign.getGraphBuilder().addNodeBuilder().setName("fast_gelu").setOpType("FastGelu").setDomain("com.microsoft")
        .addInput(foreign.getGraph().getOutput(0).getName()).addOutput("unread");
    OnnxModel source = new OnnxModel(model.path(), foreign.build());
    Plan plan = plan(source, null, "4");
    assertTrue(assertThrows(HlaException.class, () -> Rewriter.rewrite(source, plan, Lowering.PORTABLE)).getMessage()
        .contains("node 'fast_gelu' is com.microsoft.FastGelu, which a portable file cannot hold"));
  }
}
