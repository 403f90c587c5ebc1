package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtException;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.Precision;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The fused operator, through ONNX Runtime, against the float64 reference, in every layout and type. */
class FusedOperatorTest {
  private static final String OP = "FusedHadamardLinearAttention";

  private enum Layout { HEADS_FIRST, TOKENS_FIRST, PACKED }

  /** Odd sizes on purpose; heads wider than the kernel's step of 128 columns, and narrower than a vector. */
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
      new Case("one token", 1, 1, 1, 1, 1, 1, ints(1), ints(1), "softplus"),
      new Case("softplus, two factors", 1, 3, 37, 41, 24, 15, ints(4, 5), ints(1, 1), "softplus,softplus"),
      new Case("the default for video", 2, 4, 65, 65, 32, 32, ints(8, 3, 1), ints(2, 2, 1), "identity,identity,softplus"),
      new Case("relu and exp", 1, 2, 17, 130, 7, 24, ints(6, 3), ints(1, 2), "relu,exp"),
      new Case("a square, full heads", 1, 2, 300, 300, 128, 128, ints(16), ints(2), "identity"),
      new Case("wide heads", 1, 1, 33, 17, 300, 40, ints(33, 2), ints(1, 1), "softplus,exp"),
      new Case("no keys", 1, 2, 5, 0, 8, 3, ints(4), ints(2), "identity"),
      new Case("many features", 1, 1, 20, 300, 16, 8, ints(70), ints(1), "softplus"));

  static Stream<Arguments> casesLayoutsTypesAndMasks() {
    return CASES.stream().flatMap(c -> Arrays.stream(Layout.values()).flatMap(layout ->
        Arrays.stream(Precision.values()).flatMap(type -> Arrays.stream(KeyMask.values()).map(mask -> Arguments.of(c, layout, type, mask)))));
  }

  @ParameterizedTest(name = "{0} {1} {2}, mask {3}")
  @MethodSource("casesLayoutsTypesAndMasks")
  void agreesWithTheReference(Case c, Layout layout, Precision type, KeyMask mask) throws OrtException {
    Random random = new Random(c.name().hashCode());
    float[] query = numbers(random, c.batch() * c.heads() * c.queries() * c.headDim(), 1);
    float[] key = numbers(random, c.batch() * c.heads() * c.keys() * c.headDim(), 1);
    float[] value = numbers(random, c.batch() * c.heads() * c.keys() * c.valueDim(), 1);
    float scale = 2f / (float) Math.sqrt(c.headDim());
    float[][] weights = new float[2][];
    float[][] biases = new float[2][];
    for (int side = 0; side < 2; side++) {
      weights[side] = type == Precision.FLOAT32
          ? numbers(random, c.heads() * c.headDim() * c.width(), scale)
          : rounded(type, numbers(random, c.heads() * c.headDim() * c.width(), scale));
      biases[side] = numbers(random, c.heads() * c.width(), 0.5f);
    }

    String[] activations = c.activations().split(",");
    double[] queryFeatures = HadamardReference.features(c.batch(), c.heads(), c.queries(), c.headDim(), c.ranks(),
        activations, doubles(query), doubles(weights[0]), doubles(biases[0]));
    double[] keyFeatures = HadamardReference.features(c.batch(), c.heads(), c.keys(), c.headDim(), c.ranks(),
        activations, doubles(key), doubles(weights[1]), doubles(biases[1]));
    float[] keyMask = mask.numbers(random, c.batch(), c.keys());
    double[] expected = HadamardReference.attend(c.batch(), c.heads(), c.queries(), c.keys(), c.valueDim(), c.ranks(),
        c.powers(), 1e-6f, queryFeatures, keyFeatures, doubles(value), mask == KeyMask.ABSENT ? null : doubles(keyMask));

    List<OperatorRunner.Input> inputs = new ArrayList<>(List.of(
        tensor("query", c, layout, c.queries(), c.headDim(), query),
        tensor("key", c, layout, c.keys(), c.headDim(), key),
        tensor("value", c, layout, c.keys(), c.valueDim(), value),
        new OperatorRunner.Input("query_weight", shape(c.heads(), c.headDim(), c.width()), weights[0]),
        new OperatorRunner.Input("query_bias", shape(c.heads(), c.width()), biases[0]),
        new OperatorRunner.Input("key_weight", shape(c.heads(), c.headDim(), c.width()), weights[1]),
        new OperatorRunner.Input("key_bias", shape(c.heads(), c.width()), biases[1])));
    if (mask != KeyMask.ABSENT) {
      inputs.add(new OperatorRunner.Input("key_mask", shape(mask.rows(c.batch()), c.keys()), keyMask, true));
    }
    OperatorRunner.Output output = OperatorRunner.run(OP, type, attributes(c, layout), inputs);

    assertArrayEquals(shapeOf(c, layout, c.queries(), c.valueDim()), output.shape());
    double[] actual = layout == Layout.HEADS_FIRST ? output.values()
        : HadamardReference.swapTokensAndHeads(c.batch(), c.queries(), c.heads(), c.valueDim(), output.values());
    double error = HadamardReference.relativeError(expected, actual);
    assertTrue(error <= type.tolerance(), () -> "relative error " + error);
  }

  @Test
  void oneNumberMasksAllKeys() throws OrtException {
    // A query and two keys of feature 1, values of 1, epsilon 1: the output is w / (w + 1) of the keys' weights w together.
    List<OperatorRunner.Input> inputs = new ArrayList<>(List.of(new OperatorRunner.Input("query", shape(1, 1, 1, 1), new float[] {1}),
        new OperatorRunner.Input("key", shape(1, 1, 2, 1), new float[] {1, 1}), new OperatorRunner.Input("value", shape(1, 1, 2, 1), new float[] {1, 1})));
    for (String side : List.of("query", "key")) {
      inputs.add(new OperatorRunner.Input(side + "_weight", shape(1, 1, 1), new float[] {1}));
      inputs.add(new OperatorRunner.Input(side + "_bias", shape(1, 1), new float[1]));
    }
    for (float number : new float[] {0, 1, -20, -10_000, Float.NEGATIVE_INFINITY}) {
      double w = 2 * Math.exp(number);
      assertEquals(w / (w + 1), cubed(inputs, number), 1e-6 * w + 1e-30, "mask " + number);
    }
    assertTrue(Double.isNaN(cubed(inputs, Float.NaN)));
  }

  private static double cubed(List<OperatorRunner.Input> inputs, float mask) throws OrtException {
    List<OperatorRunner.Input> masked = new ArrayList<>(inputs);
    masked.add(new OperatorRunner.Input("key_mask", shape(1, 1), new float[] {mask}, true));
    return OperatorRunner.run(OP, Precision.FLOAT32, List.of(OperatorRunner.ints("ranks", 1), OperatorRunner.ints("powers", 3),
        OperatorRunner.real("epsilon", 1), OperatorRunner.text("activations", "identity"), OperatorRunner.text("layout", "BHND")), masked).values()[0];
  }

  @Test
  void activationsAreRightOverTheWholeRange() throws OrtException {
    // One key, one query of 1 and no value column but 1: with epsilon 1 the output is a / (a + 1) of the key's feature a.
    for (String activation : List.of("identity", "softplus", "relu", "exp")) {
      for (float x : new float[] {-120, -88.5f, -30, -4, -1, -0.1f, -1e-4f, 0, 1e-4f, 0.3f, 1, 5, 30, 87}) {
        double a = HadamardReference.features(1, 1, 1, 1, ints(1), new String[] {activation}, new double[] {x},
            new double[] {1}, new double[] {0})[0];
        double output = single(activation, x, 1).values()[0];
        double expected = a / (a + 1);
        assertEquals(expected, output, 2e-6 * Math.abs(expected) + 1e-44, activation + " of " + x);
      }
      assertTrue(Double.isNaN(single(activation, Float.NaN, 1).values()[0]), activation + " of NaN");
    }
  }

  @Test
  void infinityIsNotHidden() throws OrtException {
    for (String activation : List.of("identity", "softplus", "relu", "exp")) {
      assertTrue(Double.isNaN(single(activation, Float.POSITIVE_INFINITY, 1).values()[0]), activation);
    }
  }

  static Stream<Arguments> wrongAttributes() {
    return Stream.of(
        Arguments.of("layout", OperatorRunner.text("layout", "NHBD"), "attribute layout: expected BHND or BNHD, came NHBD"),
        Arguments.of("layout", null, "attribute layout: expected a string, came none"),
        Arguments.of("activations", OperatorRunner.text("activations", "relu"),
            "attribute activations: expected 2 names with commas between, one for each of ranks, came 'relu'"),
        Arguments.of("activations", OperatorRunner.text("activations", "relu,tanh"),
            "attribute activations: expected identity, softplus, relu or exp, came 'tanh'"),
        Arguments.of("num_heads", OperatorRunner.integer("num_heads", 0), "attribute num_heads: expected a number from 1, came 0"),
        Arguments.of("num_heads", OperatorRunner.text("num_heads", "3"), "attribute num_heads: expected an integer, came another type"),
        Arguments.of("activations", OperatorRunner.text("activations", "relu,softplus\0"),
            "attribute activations: expected identity, softplus, relu or exp, came 'softplus"),
        Arguments.of("num_heads", OperatorRunner.integer("num_heads", 5), "input query: expected 5 heads, as num_heads says"),
        Arguments.of("ranks", OperatorRunner.ints("ranks", 4, 6), "input query_weight: expected [3,24,10] to fit"));
  }

  @ParameterizedTest(name = "{0} {2}")
  @MethodSource("wrongAttributes")
  void wrongAttributesAreNamed(String name, AttributeProto attribute, String message) {
    Case c = CASES.get(1);
    List<AttributeProto> attributes = new ArrayList<>(attributes(c, Layout.TOKENS_FIRST));
    attributes.removeIf(a -> a.getName().equals(name));
    if (attribute != null) {
      attributes.add(attribute);
    }
    fails(attributes, zeros(c, Layout.TOKENS_FIRST), message);
  }

  @Test
  void wrongShapesAreNamed() {
    Case c = CASES.get(1);
    List<AttributeProto> attributes = attributes(c, Layout.TOKENS_FIRST);
    String[] messages = {
      "input key: expected the batch and heads of query [1,37,4,24]",
      "input key: expected the batch and heads of query [1,37,3,24], came [1,41,4,24]",
      "input value: expected the batch, heads and tokens of key [1,41,3,24], came [1,41,4,15]",
      "input query_weight: expected [3,24,9] to fit the tokens and attribute ranks, came [3,25,9]",
      "input query_bias: expected [3,9]",
      "input key_weight: expected [3,24,9] to fit the tokens and attribute ranks, came [3,25,9]",
      "input key_bias: expected [3,9]"};
    for (int i = 0; i < messages.length; i++) {
      List<OperatorRunner.Input> inputs = zeros(c, Layout.TOKENS_FIRST);
      long[] shape = inputs.get(i).shape().clone();
      shape[i < 3 ? 2 : 1]++;
      inputs.set(i, zeros(inputs.get(i).name(), shape));
      fails(attributes, inputs, messages[i]);
    }
    for (long[] shape : List.of(shape(2, 41), shape(1, 42), shape(1, 0), shape(41), shape(1, 41, 1))) {
      List<OperatorRunner.Input> inputs = zeros(c, Layout.TOKENS_FIRST);
      inputs.add(new OperatorRunner.Input("key_mask", shape, new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)], true));
      fails(attributes, inputs, "input key_mask: expected [1,41], or 1 in place of a size, to fit key, came " + Arrays.toString(shape).replace(" ", ""));
    }
    for (int i = 0; i < 2; i++) {
      List<OperatorRunner.Input> inputs = zeros(c, Layout.TOKENS_FIRST);
      inputs.set(i, zeros(inputs.get(i).name(), shape(1, i == 0 ? 37 : 41, 3, 0)));
      inputs.set(3 + 2 * i, zeros(inputs.get(3 + 2 * i).name(), shape(3, 0, 9)));
      fails(attributes, inputs, "input " + inputs.get(i).name() + ": expected a last dimension from 1, came [1," + (i == 0 ? 37 : 41) + ",3,0]");
    }
    List<AttributeProto> packed = new ArrayList<>(attributes(c, Layout.PACKED));
    packed.removeIf(a -> a.getName().equals("num_heads"));
    fails(packed, zeros(c, Layout.PACKED), "input query: expected attribute num_heads with packed rows [B,tokens,H*width]");
    packed.add(OperatorRunner.integer("num_heads", 7));
    fails(packed, zeros(c, Layout.PACKED), "input query: expected a last dimension divisible by num_heads 7, came [1,37,72]");
  }

  /** The runtime gives a tensor without numbers that a node makes no memory, and no tensor at all for an input that is left out. */
  @Test
  void aComputedMaskWithoutNumbersIsNotTakenForNone() {
    Case c = CASES.get(1);
    List<OperatorRunner.Input> inputs = zeros(c, Layout.TOKENS_FIRST);
    inputs.add(new OperatorRunner.Input("key_mask", shape(1, 41), new float[41], true));
    int[] ranks = inputs.stream().mapToInt(i -> i.shape().length).toArray();
    ModelProto.Builder model = OperatorRunner.model(OP, Precision.FLOAT32, attributes(c, Layout.TOKENS_FIRST), inputs, ranks).toBuilder();
    GraphProto.Builder graph = model.getGraphBuilder();
    NodeProto attention = graph.getNode(0).toBuilder().setInput(7, "no_numbers").build();
    graph.clearNode().addNode(NodeProto.newBuilder().setOpType("Slice").addInput("key_mask").addInput("zero").addInput("zero").addInput("one").addOutput("no_numbers"))
        .addNode(attention);
    for (int i = 0; i < 2; i++) {
      graph.addInitializerBuilder().setName(i == 0 ? "zero" : "one").setDataType(TensorProto.DataType.INT64_VALUE).addDims(1).addInt64Data(i);
    }
    OrtException e = assertThrows(OrtException.class, () -> OperatorRunner.run(model.build(), Precision.FLOAT32, inputs, 2));
    assertTrue(e.getMessage().contains("input key_mask: expected [1,41], or 1 in place of a size, to fit key, came [1,0]"), e.getMessage());
  }

  private static void fails(List<AttributeProto> attributes, List<OperatorRunner.Input> inputs, String message) {
    OrtException e = assertThrows(OrtException.class, () -> OperatorRunner.run(OP, Precision.FLOAT32, attributes, inputs));
    assertTrue(e.getMessage().contains("ai.hla::FusedHadamardLinearAttention node 'block.0/attention': " + message),
        e.getMessage());
  }

  private static OperatorRunner.Output single(String activation, float x, float epsilon) throws OrtException {
    float[] one = {1};
    return OperatorRunner.run(OP, Precision.FLOAT32, List.of(
        OperatorRunner.ints("ranks", 1), OperatorRunner.ints("powers", 1), OperatorRunner.real("epsilon", epsilon),
        OperatorRunner.text("activations", activation), OperatorRunner.text("layout", "BHND")), List.of(
        new OperatorRunner.Input("query", shape(1, 1, 1, 1), new float[] {0}),
        new OperatorRunner.Input("key", shape(1, 1, 1, 1), new float[] {x}),
        new OperatorRunner.Input("value", shape(1, 1, 1, 1), one),
        new OperatorRunner.Input("query_weight", shape(1, 1, 1), one),
        // The query's feature is exactly 1 under every activation.
        new OperatorRunner.Input("query_bias", shape(1, 1), new float[] {switch (activation) {
          case "softplus" -> 0.541324854612918f;
          case "exp" -> 0;
          default -> 1;
        }}),
        new OperatorRunner.Input("key_weight", shape(1, 1, 1), one),
        new OperatorRunner.Input("key_bias", shape(1, 1), new float[] {0})));
  }

  private static List<AttributeProto> attributes(Case c, Layout layout) {
    List<AttributeProto> attributes = new ArrayList<>(List.of(
        OperatorRunner.ints("ranks", c.ranks()), OperatorRunner.ints("powers", c.powers()),
        OperatorRunner.real("epsilon", 1e-6f), OperatorRunner.text("activations", c.activations()),
        OperatorRunner.text("layout", layout == Layout.HEADS_FIRST ? "BHND" : "BNHD")));
    if (layout == Layout.PACKED) {
      attributes.add(OperatorRunner.integer("num_heads", c.heads()));
    }
    return attributes;
  }

  /** From heads first to the layout. */
  private static OperatorRunner.Input tensor(String name, Case c, Layout layout, int tokens, int width, float[] values) {
    float[] placed = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      int column = i % width;
      int token = i / width % tokens;
      int head = i / width / tokens % c.heads();
      int batch = i / width / tokens / c.heads();
      placed[layout == Layout.HEADS_FIRST ? i : ((batch * tokens + token) * c.heads() + head) * width + column] = values[i];
    }
    return new OperatorRunner.Input(name, shapeOf(c, layout, tokens, width), placed);
  }

  private static long[] shapeOf(Case c, Layout layout, int tokens, int width) {
    return switch (layout) {
      case HEADS_FIRST -> shape(c.batch(), c.heads(), tokens, width);
      case TOKENS_FIRST -> shape(c.batch(), tokens, c.heads(), width);
      case PACKED -> shape(c.batch(), tokens, (long) c.heads() * width);
    };
  }

  private static List<OperatorRunner.Input> zeros(Case c, Layout layout) {
    return new ArrayList<>(List.of(
        zeros("query", shapeOf(c, layout, c.queries(), c.headDim())),
        zeros("key", shapeOf(c, layout, c.keys(), c.headDim())),
        zeros("value", shapeOf(c, layout, c.keys(), c.valueDim())),
        zeros("query_weight", shape(c.heads(), c.headDim(), c.width())),
        zeros("query_bias", shape(c.heads(), c.width())),
        zeros("key_weight", shape(c.heads(), c.headDim(), c.width())),
        zeros("key_bias", shape(c.heads(), c.width()))));
  }

  private static OperatorRunner.Input zeros(String name, long[] shape) {
    return new OperatorRunner.Input(name, shape, new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)]);
  }

  /** Multiples of 1/128 times a scale. */
  private static float[] numbers(Random random, int count, float scale) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (random.nextInt(257) - 128) / 128f * scale;
    }
    return values;
  }

  /** What the 16-bit type makes of the numbers, so that the reference starts from the same ones. */
  private static float[] rounded(Precision type, float[] values) {
    short[] bits = type.bits(values);
    float[] result = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = type.value(bits[i]);
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

  private static long[] shape(long... dims) {
    return dims;
  }
}
