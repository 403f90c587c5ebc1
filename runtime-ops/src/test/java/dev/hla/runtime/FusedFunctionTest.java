package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.hla.converter.FactorUse;
import dev.hla.converter.FusedUses;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.Precision;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The fused operator's model-local function, run by a stock ONNX Runtime, against the float64 reference. */
class FusedFunctionTest {
  private static final List<String> INPUTS =
      List.of("query", "key", "value", "query_weight", "query_bias", "key_weight", "key_bias");
  private static final String MASK = "key_mask";

  /** What lies where; MIXED has packed queries and keys, but values with an axis for heads. */
  private enum Layout { HEADS_FIRST, TOKENS_FIRST, PACKED, MIXED }

  private record Case(
      String name, int batch, int heads, int queries, int keys, int headDim, int valueDim, int[] ranks, int[] powers,
      String activations) {
    int width() {
      return Arrays.stream(ranks).sum();
    }

    @Override
    public String toString() {
      return name;
    }
  }

  private static final List<Case> CASES = List.of(
      new Case("one of everything", 1, 1, 1, 1, 1, 1, ints(1), ints(1), "softplus"),
      new Case("softplus, two factors", 1, 3, 37, 41, 24, 15, ints(4, 5), ints(1, 1), "softplus,softplus"),
      new Case("the default for video", 2, 4, 65, 65, 32, 32, ints(8, 3, 1), ints(2, 2, 1), "identity,identity,exp"),
      new Case("exp before identity", 1, 2, 17, 33, 7, 24, ints(1, 6, 2), ints(1, 2, 1), "exp,identity,softplus"),
      new Case("all four", 1, 2, 17, 130, 8, 24, ints(3, 2, 1, 4), ints(1, 1, 1, 2), "softplus,exp,relu,identity"),
      new Case("no keys", 2, 2, 5, 0, 8, 3, ints(4), ints(2), "identity"),
      // From here on heads are taken one by one; 521 keys have no fitting divisor.
      new Case("chunks", 2, 2, 600, 301, 16, 40, ints(24, 32, 1), ints(1, 1, 1), "softplus,relu,exp"),
      new Case("filled chunks", 2, 2, 600, 521, 16, 40, ints(24, 32, 1), ints(1, 1, 1), "softplus,relu,exp"),
      new Case("a square", 2, 2, 2100, 521, 16, 8, ints(16), ints(2), "softplus"),
      new Case("a cube and a gate", 2, 2, 2300, 600, 16, 8, ints(8, 1), ints(3, 2), "softplus,exp"),
      new Case("features alone, keys in parts", 2, 2, 4200, 120, 16, 8, ints(64), ints(1), "softplus"),
      new Case("features alone, keys in one part", 2, 2, 4200, 113, 16, 8, ints(64), ints(1), "softplus"),
      new Case("features alone, no keys", 2, 2, 4200, 0, 16, 8, ints(64), ints(1), "softplus"));

  static Stream<Arguments> casesLayoutsTypesAndMasks() {
    return CASES.stream().flatMap(c -> Stream.concat(
        Arrays.stream(Layout.values()).map(layout -> Arguments.of(c, layout, Precision.FLOAT32, KeyMask.ABSENT)),
        Stream.of(
            Arguments.of(c, Layout.HEADS_FIRST, Precision.BFLOAT16, KeyMask.FOR_EACH_BATCH),
            Arguments.of(c, Layout.PACKED, Precision.FLOAT16, KeyMask.ABSENT),
            Arguments.of(c, Layout.HEADS_FIRST, Precision.FLOAT32, KeyMask.FOR_ALL),
            Arguments.of(c, Layout.TOKENS_FIRST, Precision.FLOAT32, KeyMask.FOR_EACH_BATCH))));
  }

  @ParameterizedTest(name = "{0} {1} {2}, mask {3}")
  @MethodSource("casesLayoutsTypesAndMasks")
  @Execution(ExecutionMode.CONCURRENT)
  void agreesWithTheDefinition(Case c, Layout layout, Precision precision, KeyMask mask) throws OrtException {
    double error = error(c, layout, precision, mask, true, 17);
    assertTrue(error <= precision.tolerance(), () -> "relative error " + error);
  }

  /** A file has one body for its nodes with masks and for those without, for all layouts and all activations. */
  @ParameterizedTest(name = "{0} {1}, mask {2}")
  @MethodSource("casesInMixedFiles")
  @Execution(ExecutionMode.CONCURRENT)
  void runsTheBodyOfAFileWithOthers(Case c, Layout layout, KeyMask mask) throws OrtException {
    double error = error(c, layout, Precision.FLOAT32, mask, false, 17);
    assertTrue(error <= Precision.FLOAT32.tolerance(), () -> "relative error " + error);
  }

  static Stream<Arguments> casesInMixedFiles() {
    return CASES.stream().flatMap(c -> Stream.of(Arguments.of(c, Layout.TOKENS_FIRST, KeyMask.ABSENT), Arguments.of(c, Layout.HEADS_FIRST, KeyMask.FOR_ALL)));
  }

  @ParameterizedTest
  @ValueSource(ints = {11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 23, 26})
  @Execution(ExecutionMode.CONCURRENT)
  void speaksTheModelsOpset(int opset) throws OrtException {
    for (Precision precision : opset < 13 ? List.of(Precision.FLOAT32, Precision.FLOAT16) : List.of(Precision.values())) {
      double error = error(CASES.get(3), Layout.TOKENS_FIRST, precision, KeyMask.FOR_EACH_BATCH, false, opset);
      assertTrue(error <= precision.tolerance(), precision + ": relative error " + error);
    }
  }

  @Test
  void softplusIsExactFarBelowZero() throws OrtException {
    // One key: with epsilon far below the feature the output is the value, with one far above it is 0.
    Case c = new Case("", 1, 1, 1, 1, 1, 1, ints(1), ints(1), "softplus");
    for (float bias : new float[] {-60, -30, -17, -3, 0, 5, 40}) {
      Map<String, float[]> tensors = Map.of("query", new float[1], "key", new float[1], "value", new float[] {1},
          "query_weight", new float[1], "query_bias", new float[] {1}, "key_weight", new float[1], "key_bias", new float[] {bias});
      double a = Math.log1p(Math.exp(1)) * Math.log1p(Math.exp(bias));
      double y = run(c, Layout.HEADS_FIRST, Precision.FLOAT32, 17, tensors, true, 1e-20f)[0];
      assertEquals(a / (a + 1e-20f), y, 1e-5, "bias " + bias);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"identity", "softplus", "relu", "exp"})
  void notANumberIsNotHidden(String activation) throws OrtException {
    Case c = new Case("", 1, 1, 1, 1, 1, 1, ints(2), ints(2), activation);
    Map<String, float[]> tensors = Map.of("query", new float[] {1}, "key", new float[] {Float.NaN}, "value", new float[] {1},
        "query_weight", new float[] {1, 1}, "query_bias", new float[2], "key_weight", new float[] {1, 1}, "key_bias", new float[2]);
    assertTrue(Double.isNaN(run(c, Layout.HEADS_FIRST, Precision.FLOAT32, 17, tensors, true, 1e-6f)[0]));
  }

  @Test
  void whatTheBodyCannotExpressIsRefused() {
    assertEquals("opset 10 cannot express ai.hla::FusedHadamardLinearAttention as a function; it takes opset 11 or newer: "
        + "export the model with a newer opset",
        assertThrows(HlaException.class, () -> HadamardFunction.fused(10, DataType.FLOAT, uses("exp"))).getMessage());
    assertTrue(assertThrows(HlaException.class, () -> HadamardFunction.fused(17, DataType.FLOAT, uses("tanh")))
        .getMessage().startsWith("unknown activation \"tanh\""));
    assertEquals("activations \"exp,exp\" for 1 factors (4); each factor has one",
        assertThrows(HlaException.class, () -> HadamardFunction.fused(17, DataType.FLOAT, uses("exp,exp"))).getMessage());
  }

  private static FusedUses uses(String activations) {
    return new FusedUses(List.of(use("4", activations)), Set.of("BHND"), false);
  }

  private static FactorUse use(String ranks, String activations) {
    return new FactorUse(RankSpec.parse(ranks), activations);
  }

  /** @param alone whether the body is that of a file with this node alone */
  private static double error(Case c, Layout layout, Precision precision, KeyMask mask, boolean alone, int opset) throws OrtException {
    Random random = new Random(c.name().hashCode());
    Map<String, float[]> tensors = new LinkedHashMap<>();
    int groups = c.batch() * c.heads();
    tensors.put("query", numbers(random, groups * c.queries() * c.headDim(), 128));
    tensors.put("key", numbers(random, groups * c.keys() * c.headDim(), 128));
    tensors.put("value", numbers(random, groups * c.keys() * c.valueDim(), 128));
    for (String side : List.of("query", "key")) {
      tensors.put(side + "_weight", numbers(random, c.heads() * c.headDim() * c.width(), 128 * (int) Math.ceil(Math.sqrt(c.headDim()))));
      tensors.put(side + "_bias", numbers(random, c.heads() * c.width(), 256));
    }
    // What the runtime gets is rounded to its type; so is what the reference gets.
    tensors.replaceAll((name, values) -> rounded(precision, values));
    float[] keyMask = mask.numbers(random, c.batch(), c.keys());
    double[] expected = HadamardReference.attend(c.batch(), c.heads(), c.queries(), c.keys(), c.valueDim(), c.ranks(),
        c.powers(), 1e-6f, features(c, "query", c.queries(), tensors), features(c, "key", c.keys(), tensors),
        doubles(tensors.get("value")), mask == KeyMask.ABSENT ? null : doubles(keyMask));
    if (mask != KeyMask.ABSENT) {
      tensors.put(MASK, keyMask);
    }
    double[] actual = run(c, layout, precision, opset, tensors, alone, 1e-6f);
    return HadamardReference.relativeError(expected, layout == Layout.HEADS_FIRST ? actual
        : HadamardReference.swapTokensAndHeads(c.batch(), c.queries(), c.heads(), c.valueDim(), actual));
  }

  private static double[] features(Case c, String side, int tokens, Map<String, float[]> tensors) {
    return HadamardReference.features(c.batch(), c.heads(), tokens, c.headDim(), c.ranks(), c.activations().split(","),
        doubles(tensors.get(side)), doubles(tensors.get(side + "_weight")), doubles(tensors.get(side + "_bias")));
  }

  /** Runs the function on tensors given heads first, laid out as {@code layout} says. */
  private static double[] run(
      Case c, Layout layout, Precision precision, int opset, Map<String, float[]> tensors, boolean alone, float epsilon) throws OrtException {
    DataType type = Tensors.type(precision);
    String layoutOfNode = layout == Layout.HEADS_FIRST ? "BHND" : "BNHD";
    FactorUse own = new FactorUse(new RankSpec(c.ranks(), c.powers()), c.activations());
    FusedUses uses = alone ? new FusedUses(List.of(own), Set.of(layoutOfNode), tensors.containsKey(MASK))
        : new FusedUses(List.of(use("9,8,1,1,1", "exp,relu,relu,relu,relu"), new FactorUse(own.ranks(), "exp" + ",exp".repeat(c.ranks().length - 1)),
            own, use("64", "softplus"), use("16^2", "identity"), use("6^3,1", "softplus,exp")), Set.of("BHND", "BNHD"), true);
    List<String> given = tensors.containsKey(MASK) ? Stream.concat(INPUTS.stream(), Stream.of(MASK)).toList() : INPUTS;
    OneNodeModel node = new OneNodeModel(HadamardFunction.FUSED, given).floats(MASK)
        .opset(opset).type(type)
        .attribute("ranks", c.ranks()).attribute("powers", c.powers()).attribute("epsilon", epsilon)
        .attribute("activations", c.activations())
        .attribute("layout", layoutOfNode)
        .integer("num_heads", c.heads())
        .function(HadamardFunction.fused(opset, type, uses));
    if (!alone) {
      // As in exporters' files: from a branch for another node the runtime must not infer what contradicts the shapes.
      given.forEach(each -> node.shape(each, Arrays.stream(shape(c, layout, each, tensors.get(each))).mapToObj(Long::toString).collect(Collectors.joining(" "))));
    }
    Map<String, OnnxTensor> inputs = new LinkedHashMap<>();
    try (OrtSession session = OrtEnvironment.getEnvironment().createSession(node.bytes())) {
      for (String each : given) {
        inputs.put(each, tensor(c, layout, precision, each, tensors.get(each)));
      }
      try (OrtSession.Result result = session.run(inputs)) {
        OnnxTensor output = (OnnxTensor) result.get(0);
        assertArrayEquals(shape(c, layout, "query", c.queries(), c.valueDim()), output.getInfo().getShape());
        assertEquals(inputs.get("query").getInfo().type, output.getInfo().type);
        return Tensors.values(precision, output);
      }
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
  }

  private static OnnxTensor tensor(Case c, Layout layout, Precision precision, String name, float[] values) throws OrtException {
    Precision own = name.equals(MASK) ? Precision.FLOAT32 : precision;
    if (layout == Layout.HEADS_FIRST || !List.of("query", "key", "value").contains(name)) {
      return Tensors.of(own, values, shape(c, layout, name, values));
    }
    double[] swapped = HadamardReference.swapTokensAndHeads(c.batch(), c.heads(), tokens(c, name), width(c, name), doubles(values));
    float[] laidOut = new float[swapped.length];
    for (int i = 0; i < swapped.length; i++) {
      laidOut[i] = (float) swapped[i];
    }
    return Tensors.of(own, laidOut, shape(c, layout, name, values));
  }

  private static long[] shape(Case c, Layout layout, String name, float[] values) {
    if (name.equals(MASK)) {
      return new long[] {c.keys() == 0 ? c.batch() : values.length / c.keys(), c.keys()};
    }
    if (name.endsWith("_weight")) {
      return new long[] {c.heads(), c.headDim(), c.width()};
    }
    if (name.endsWith("_bias")) {
      return new long[] {c.heads(), c.width()};
    }
    return shape(c, layout, name, tokens(c, name), width(c, name));
  }

  private static int tokens(Case c, String name) {
    return name.equals("query") ? c.queries() : c.keys();
  }

  private static int width(Case c, String name) {
    return name.equals("value") ? c.valueDim() : c.headDim();
  }

  private static long[] shape(Case c, Layout layout, String name, int tokens, int width) {
    if (layout == Layout.HEADS_FIRST) {
      return new long[] {c.batch(), c.heads(), tokens, width};
    }
    boolean packed = layout == Layout.PACKED || layout == Layout.MIXED && !name.equals("value");
    return packed
        ? new long[] {c.batch(), tokens, (long) c.heads() * width}
        : new long[] {c.batch(), tokens, c.heads(), width};
  }

  private static float[] numbers(Random random, int count, int divisor) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (random.nextInt(257) - 128) / (float) divisor;
    }
    return numbers;
  }

  private static float[] rounded(Precision precision, float[] values) {
    if (precision == Precision.FLOAT32) {
      return values;
    }
    float[] result = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = precision.value(precision.bits(values[i]));
    }
    return result;
  }

  private static double[] doubles(float[] values) {
    double[] result = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = values[i];
    }
    return result;
  }

  private static int[] ints(int... values) {
    return values;
  }
}
