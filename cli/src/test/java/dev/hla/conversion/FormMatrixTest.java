package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HadamardFunction;
import dev.hla.converter.HlaException;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.attention.SiteReport;
import dev.hla.converter.rewrite.Lowering;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.Precision;
import dev.hla.testdata.SiteReference;
import dev.hla.testdata.graph.AttentionMask;
import dev.hla.testdata.graph.AttentionModel;
import dev.hla.testdata.graph.AttentionSpec;
import dev.hla.testdata.graph.AttentionSpec.Sizes;
import dev.hla.testdata.graph.Placement;
import dev.hla.testdata.graph.Projection;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every form of attention that exporters emit: found as what it is, and converted into what the definition says, on the
 * original's own q, k and v. Cells that ONNX Runtime's CPU provider cannot run ({@link AttentionSpec#runsOnCpu}) check
 * the rest all the same.
 */
class FormMatrixTest {
  private static final int D = AttentionSpec.HEAD_DIM;
  private static final int H = AttentionSpec.HEADS;

  /**
   * Cells that run without the library, too, which takes most of the time: the first of each mask, projection and placement, of
   * each form with and without a mask, and of all that a function's body depends on.
   */
  private static final Set<AttentionSpec> WITHOUT_LIBRARY = firstOfEach(
      AttentionSpec::mask, AttentionSpec::projection, AttentionSpec::placement, c -> List.of(c.form(), c.maskEffect(), c.cross()),
      c -> List.of(c.type(), c.opset(), c.maskEffect(), c.dynamic()));

  static List<AttentionSpec> cells() {
    return FormMatrix.cells();
  }

  static List<AttentionSpec> convertibleCells() {
    return cells().stream().filter(c -> c.reasonToKeep().isEmpty()).toList();
  }

  @SafeVarargs
  private static Set<AttentionSpec> firstOfEach(Function<AttentionSpec, Object>... traits) {
    List<AttentionSpec> running = convertibleCells().stream().filter(AttentionSpec::runsConverted).toList();
    return Stream.of(traits).flatMap(trait -> running.stream().collect(Collectors.toMap(trait, c -> c, (first, later) -> first)).values().stream())
        .collect(Collectors.toSet());
  }

  @Test
  void theMatrixIsWide() {
    Set<Object> seen = cells().stream().flatMap(c -> Stream.<Object>of(c.form(), c.mask(), c.type(), c.opset(), c.projection(), c.placement(), c.dynamic()))
        .collect(Collectors.toSet());
    assertTrue(WITHOUT_LIBRARY.size() > 100, () -> WITHOUT_LIBRARY.size() + " cells run without the library");
    assertTrue(cells().size() > 600 && seen.size() == 30 + 15 + 3 + FormMatrix.OPSETS.size() + 6 + 5 + 2, cells().size() + " cells, " + seen);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cells")
  @Execution(ExecutionMode.CONCURRENT)
  void isFoundAsWhatItIs(AttentionSpec cell) {
    AttentionModel model = AttentionModel.of(cell);
    SiteReport report = Conversion.find(model.model());
    assertEquals(1, report.sites().size(), () -> "not found: " + report.notAttention());
    AttentionSite site = report.sites().get(0);
    assertAll(
        () -> assertEquals("/block/attn/" + cell.form().anchor(), site.node()),
        () -> assertEquals("block.attn", site.name()),
        () -> assertEquals(cell.form().reported(), site.form()),
        () -> assertEquals(cell.cross() ? Kind.CROSS : Kind.SELF, site.kind()),
        () -> assertEquals(H, site.heads()),
        () -> assertEquals(D, site.headDim()),
        () -> assertEquals(cell.maskEffect().name(), site.mask().name()),
        () -> assertEquals(cell.scale(), site.scale(), cell.type() == Precision.FLOAT32 ? 1e-6 : 2e-3),
        () -> assertEquals(cell.type().dataType(), site.dtype()),
        () -> assertEquals(cell.dynamic() ? "tokens" : "12", String.valueOf(site.queryTokens())),
        () -> assertEquals(cell.dynamic() ? (cell.cross() ? "context_tokens" : "tokens") : cell.cross() ? "7" : "12", String.valueOf(site.keyTokens())),
        () -> assertEquals(cell.reasonToKeep().isEmpty(), site.convertible(), site.reason()),
        () -> assertTrue(site.reason().startsWith(cell.reasonToKeep()), site.reason()),
        () -> assertEquals(List.of(), report.notAttention()));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cells")
  @Execution(ExecutionMode.CONCURRENT)
  void runsBeforehand(AttentionSpec cell) {
    AttentionModel model = AttentionModel.of(cell);
    Map<String, Tensor> inputs = fed(cell, model.inputs(AttentionSpec.FIRST, 1));
    if (cell.runsOnCpu()) {
      double[] y = numbers(Conversion.run(model.model(), inputs, false, List.of("y")).get("y"));
      assertTrue(IntStream.range(0, y.length).allMatch(i -> Double.isFinite(y[i])));
    } else {
      // If a newer runtime can run it after all, say so, and let it be tested.
      assertThrows(HlaException.class, () -> Conversion.run(model.model(), inputs, false, List.of("y")));
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("convertibleCells")
  @Execution(ExecutionMode.CONCURRENT)
  void convertsIntoTheDefinition(AttentionSpec cell) {
    AttentionModel model = AttentionModel.of(cell);
    Conversion conversion = Conversion.of(model.model());
    new Untouched(model.model(), conversion.converted()).check(conversion.report().sites().get(0).name(), moreTransposes(cell));
    // Documented: a key mask that is the same for all heads keeps no site of maps without a hidden layer from the fused operator.
    Set<String> operators = conversion.converted().getFunctionsList().stream().filter(f -> f.getDomain().equals(HadamardFunction.DOMAIN))
        .map(FunctionProto::getName).collect(Collectors.toSet());
    assertEquals(Set.of(HadamardFunction.FUSED), operators);
    if (!cell.runsConverted()) {
      return;
    }
    agrees(cell, model, conversion, WITHOUT_LIBRARY.contains(cell) ? List.of(true, false) : List.of(true));
  }

  /** What the core operator is given of a mask goes another way: into the features of the keys. */
  @ParameterizedTest(name = "{0}")
  @MethodSource("keyMasksOfEveryType")
  @Execution(ExecutionMode.CONCURRENT)
  void theCoreOperatorTakesKeyMasks(AttentionSpec cell) {
    AttentionModel model = AttentionModel.of(cell);
    Conversion fused = Conversion.of(model.model());
    ModelProto core = Rewriter.rewrite(Conversion.inMemory(model.model()), fused.plan(), Lowering.CORE).model().proto();
    agrees(cell, model, new Conversion(fused.report(), fused.plan(), core), List.of(true, false));
  }

  static Stream<AttentionSpec> keyMasksOfEveryType() {
    return firstOfEach(c -> c.maskEffect() == AttentionMask.Effect.KEY ? List.of(c.mask(), c.type()) : "others").stream()
        .filter(c -> c.maskEffect() == AttentionMask.Effect.KEY);
  }

  /** The converted model gives what the definition says of the original's own q, k and v. */
  private static void agrees(AttentionSpec cell, AttentionModel model, Conversion conversion, List<Boolean> libraries) {
    SiteMaps maps = conversion.plan().choices().get(0).maps();
    List<Sizes> shapes = cell.dynamic() ? List.of(AttentionSpec.FIRST, AttentionSpec.SECOND) : List.of(AttentionSpec.FIRST);
    List<AttentionModel.Inputs> inputs = shapes.stream().map(sizes -> model.inputs(sizes, 2)).toList();
    List<double[]> expected = IntStream.range(0, shapes.size()).mapToObj(i -> expected(model, maps, inputs.get(i), shapes.get(i))).toList();
    boolean inMain = model.merged() != null;
    ModelProto observed = inMain ? withOutput(conversion.converted(), model.merged()) : conversion.converted();
    String wanted = inMain ? model.merged() : "y";
    for (boolean library : libraries) {
      try (ModelSession session = Conversion.open(observed, Path.of("."), library)) {
        for (int i = 0; i < shapes.size(); i++) {
          double[] actual = numbers(session.run(fed(cell, inputs.get(i)), List.of(wanted)).get(wanted));
          double error = HadamardReference.relativeError(inMain ? expected.get(i) : projected(model, expected.get(i)), actual);
          assertTrue(error <= cell.type().tolerance(), () -> (library ? "with" : "without") + " the library " + error + " from the definition");
        }
      }
    }
  }

  /**
   * Documented: heads before tokens takes a Transpose for each operand that has them the other way round. The fused operator
   * takes tokens first, too, but grouped heads only with heads first.
   */
  private static int moreTransposes(AttentionSpec cell) {
    boolean tokensFirst = !cell.form().isGrouped();
    return switch (cell.form()) {
      case ONNX_ATTENTION_4D -> 0;
      // Keys and values come heads first, query and output do not.
      case MS_MULTI_HEAD_HEADS_FIRST -> tokensFirst && cell.projection() != Projection.FIVE_AXES_TRANSPOSED ? 0 : 2;
      case EINSUM_ODD_LETTERS -> tokensFirst ? 0 : 3;
      case EINSUM_TOKENS_FIRST -> tokensFirst ? 0 : 4;
      default -> cell.form().isOperator() && !tokensFirst ? 4 : 0;
    };
  }

  /** [B, N, H * d] in float64. */
  static double[] expected(AttentionModel model, SiteMaps maps, AttentionModel.Inputs inputs, Sizes sizes) {
    Map<String, Tensor> qkv = Conversion.run(model.operands(), Conversion.tensors(inputs.feeds()), false, List.of("query", "key", "value"));
    double[] attended = SiteReference.attend(maps, sizes.batch(), H, model.spec().keyHeads(), sizes.tokens(), model.keys(sizes), D,
        numbers(qkv.get("query")), numbers(qkv.get("key")), numbers(qkv.get("value")), inputs.keyWeights());
    return HadamardReference.swapTokensAndHeads(sizes.batch(), H, sizes.tokens(), D, attended);
  }

  private static double[] projected(AttentionModel model, double[] merged) {
    int c = AttentionSpec.WIDTH;
    double[] y = new double[merged.length];
    for (int row = 0; row < merged.length / c; row++) {
      for (int j = 0; j < c; j++) {
        double sum = model.outBias()[j];
        for (int i = 0; i < c; i++) {
          sum += merged[row * c + i] * model.outWeight()[i * c + j];
        }
        y[row * c + j] = sum;
      }
    }
    return y;
  }

  static ModelProto withOutput(ModelProto model, String value) {
    ModelProto.Builder more = model.toBuilder();
    more.getGraphBuilder().addOutput(ValueInfoProto.newBuilder().setName(value));
    return more.build();
  }

  private static Map<String, Tensor> fed(AttentionSpec cell, AttentionModel.Inputs inputs) {
    Map<String, Tensor> tensors = new LinkedHashMap<>(Conversion.tensors(inputs.feeds()));
    if (cell.placement() == Placement.IF_BODY) {
      Tensor flag = Tensor.zeros(ElementType.BOOL);
      flag.set(0, 1);
      tensors.put("flag", flag);
    }
    return tensors;
  }

  private static double[] numbers(Tensor t) {
    return SiteReference.doubles(t.floats());
  }

  /** Documented: a row whose every key is masked gives zeros, whether the original gave NaN, zeros or the mean. */
  @ParameterizedTest(name = "{0}")
  @MethodSource("maskedForms")
  void aWhollyMaskedRowGivesZeros(AttentionSpec cell) {
    AttentionModel model = AttentionModel.of(cell);
    Conversion conversion = Conversion.of(model.model());
    AttentionModel.Inputs inputs = model.inputs(AttentionSpec.FIRST, 3, true);
    double[] expected = expected(model, conversion.plan().choices().get(0).maps(), inputs, AttentionSpec.FIRST);
    ModelProto observed = withOutput(conversion.converted(), model.merged());
    for (boolean library : new boolean[] {true, false}) {
      double[] actual = numbers(Conversion.run(observed, fed(cell, inputs), library, List.of(model.merged())).get(model.merged()));
      int entry = actual.length / AttentionSpec.FIRST.batch();
      assertTrue(IntStream.range(0, entry).allMatch(i -> actual[i] == 0), "the masked entry is not zero");
      assertFalse(IntStream.range(entry, actual.length).allMatch(i -> actual[i] == 0), "the other entry is zero");
      assertTrue(HadamardReference.relativeError(expected, actual) <= cell.type().tolerance());
    }
  }

  static List<AttentionSpec> maskedForms() {
    return cells().stream().filter(c -> c.maskEffect() == AttentionMask.Effect.KEY && c.mask() != AttentionMask.KEY_BIAS && c.placement() == Placement.MAIN
        && !c.dynamic() && c.type() == Precision.FLOAT32 && c.opset() >= 17).toList();
  }
}
