package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.onnx.AttributeProto;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The core operator, through ONNX Runtime, against the float64 reference. */
class CoreOperatorTest {
  private static final String OP = "HadamardLinearAttention";

  static Stream<Arguments> casesAndTypes() {
    return Stream.concat(OperatorCase.GRID.stream(), OperatorCase.WITHOUT_KEYS.stream())
        .flatMap(c -> Arrays.stream(Precision.values()).map(type -> Arguments.of(c, type)));
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("casesAndTypes")
  void agreesWithTheReference(OperatorCase c, Precision type) throws OrtException {
    OperatorRunner.Output output = OperatorRunner.run(OP, type, attributes(c), inputs(c));
    assertArrayEquals(c.outputShape(), output.shape());
    double error = HadamardReference.relativeError(c.expected(), output.values());
    assertTrue(error <= type.tolerance(), () -> "relative error " + error);
  }

  @Test
  void oneThreadAndManyGiveTheSameBits() throws OrtException {
    for (OperatorCase c : OperatorCase.GRID) {
      double[] one = OperatorRunner.run(OP, Precision.FLOAT32, attributes(c), inputs(c), 1).values();
      double[] three = OperatorRunner.run(OP, Precision.FLOAT32, attributes(c), inputs(c), 3).values();
      assertArrayEquals(one, three, c::toString);
    }
  }

  @Test
  void severalRunsOfOneSessionAtOnceDoNotDisturbEachOther() throws Exception {
    OperatorCase c = OperatorCase.GRID.stream().filter(x -> x.name().equals("gates before and after")).findFirst().orElseThrow();
    ExecutorService callers = Executors.newFixedThreadPool(4);
    try (SessionOptions options = new SessionOptions()) {
      options.setIntraOpNumThreads(2);
      HlaOperators.register(options);
      byte[] model = OperatorRunner.model(OP, Precision.FLOAT32, attributes(c), inputs(c), new int[] {4, 4, 4}).toByteArray();
      try (OrtSession session = OrtEnvironment.getEnvironment().createSession(model, options)) {
        List<Future<double[]>> runs = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
          runs.add(callers.submit(() -> OperatorRunner.run(session, Precision.FLOAT32, inputs(c)).values()));
        }
        for (Future<double[]> run : runs) {
          assertArrayEquals(runs.get(0).get(), run.get());
        }
        assertTrue(HadamardReference.relativeError(c.expected(), runs.get(0).get()) <= Precision.FLOAT32.tolerance());
      }
    } finally {
      callers.shutdown();
    }
  }

  @Test
  void notANumberSpreadsToEveryTokenThatSeesIt() throws OrtException {
    OperatorCase c = OperatorCase.GRID.stream().filter(x -> x.name().equals("two factors")).findFirst().orElseThrow();
    for (int poisoned = 0; poisoned < 3; poisoned++) {
      for (float poison : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
        List<OperatorRunner.Input> inputs = inputs(c);
        inputs.get(poisoned).values()[0] = poison;
        double[] output = OperatorRunner.run(OP, Precision.FLOAT32, attributes(c), inputs).values();
        for (int i = 0; i < output.length; i++) {
          boolean sees = poisoned == 0 ? i < c.valueDim() : poisoned == 1 || i % c.valueDim() == 0;
          assertEquals(sees, !Double.isFinite(output[i]), "input " + poisoned + " with " + poison + ", output " + i);
        }
      }
    }
  }

  static Stream<Arguments> wrongAttributes() {
    AttributeProto ranks = OperatorRunner.ints("ranks", 3, 5);
    AttributeProto powers = OperatorRunner.ints("powers", 1, 1);
    AttributeProto epsilon = OperatorRunner.real("epsilon", 1e-6f);
    return Stream.of(
        Arguments.of(List.of(powers, epsilon), "attribute ranks: expected a list of integers, came none"),
        Arguments.of(List.of(ranks, epsilon), "attribute powers: expected a list of integers, came none"),
        Arguments.of(List.of(ranks, powers), "attribute epsilon: expected a float, came none"),
        Arguments.of(List.of(OperatorRunner.text("ranks", "3,5"), powers, epsilon),
            "attribute ranks: expected a list of integers, came an empty one or another type"),
        Arguments.of(List.of(ranks, OperatorRunner.ints("powers"), epsilon),
            "attribute powers: expected a list of integers, came an empty one or another type"),
        Arguments.of(List.of(ranks, powers, OperatorRunner.real("epsilon", Float.NaN)), "attribute epsilon: expected a finite number, came nan"),
        Arguments.of(List.of(OperatorRunner.ints("ranks", 3, 0), powers, epsilon),
            "attribute ranks: expected numbers from 1, came [3,0]"),
        Arguments.of(List.of(OperatorRunner.ints("ranks", 1, 1, 1, 1, 1, 1, 1, 1, 1), powers, epsilon),
            "attribute ranks: expected 1 to 8 factors, came [1,1,1,1,1,1,1,1,1]"),
        Arguments.of(List.of(ranks, OperatorRunner.ints("powers", 1), epsilon),
            "attribute powers: expected one for each of ranks [3,5], came [1]"),
        Arguments.of(List.of(ranks, OperatorRunner.ints("powers", 5, 1), epsilon),
            "attribute powers: expected numbers from 1 to 4, came [5,1]"),
        Arguments.of(List.of(ranks, OperatorRunner.ints("powers", 4, 3), epsilon),
            "attribute powers: expected a sum of at most 6 over the factors of rank above 1, came [4,3] with ranks [3,5]"),
        Arguments.of(List.of(OperatorRunner.ints("ranks", 30000, 30000), powers, epsilon),
            "attribute ranks: [30000,30000] with powers [1,1] need more than 67108864 products for a token"),
        Arguments.of(List.of(OperatorRunner.ints("ranks").toBuilder().addInts(Long.MAX_VALUE).addInts(1).build(), OperatorRunner.ints("powers", 2, 1), epsilon),
            "attribute ranks: [9223372036854775807,1] with powers [2,1] need more than 67108864 products for a token"));
  }

  @ParameterizedTest
  @MethodSource("wrongAttributes")
  void wrongAttributesFailWhenTheSessionIsCreated(List<AttributeProto> attributes, String message) {
    OrtException e = assertThrows(OrtException.class, () -> createSession(attributes, new int[] {4, 4, 4}));
    assertTrue(e.getMessage().contains("ai.hla::HadamardLinearAttention node 'block.0/attention': " + message), e.getMessage());
  }

  @Test
  void aWrongNumberOfDimensionsFailsWhenTheSessionIsCreated() {
    List<AttributeProto> attributes = attributes(OperatorCase.GRID.get(0));
    OrtException e = assertThrows(OrtException.class, () -> createSession(attributes, new int[] {4, 3, 4}));
    assertTrue(e.getMessage().contains("input key_features: expected 4 dimensions [B,H,M,R], came [?,?,?]"), e.getMessage());
  }

  static Stream<Arguments> wrongShapes() {
    return Stream.of(
        Arguments.of(shape(1, 2, 7, 9), shape(1, 2, 7, 8), shape(1, 2, 7, 15),
            "input query_features: expected a last dimension of 8, the sum of attribute ranks, came [1,2,7,9]"),
        Arguments.of(shape(1, 2, 7, 8), shape(1, 2, 9, 7), shape(1, 2, 9, 15),
            "input key_features: expected a last dimension of 8, the sum of attribute ranks, came [1,2,9,7]"),
        Arguments.of(shape(1, 2, 7, 8), shape(2, 2, 9, 8), shape(2, 2, 9, 15),
            "input key_features: expected [1,2,9,8] to fit query_features, came [2,2,9,8]"),
        Arguments.of(shape(1, 2, 7, 8), shape(1, 2, 9, 8), shape(1, 2, 8, 15),
            "input value: expected [1,2,9,15] to fit key_features, came [1,2,8,15]"),
        Arguments.of(shape(1, 2, 7, 8), shape(1, 2, 9, 8), shape(1, 3, 9, 15),
            "input value: expected [1,2,9,15] to fit key_features, came [1,3,9,15]"));
  }

  @ParameterizedTest
  @MethodSource("wrongShapes")
  void wrongShapesFailInTheRun(long[] query, long[] key, long[] value, String message) {
    List<AttributeProto> attributes = List.of(
        OperatorRunner.ints("ranks", 3, 5), OperatorRunner.ints("powers", 1, 1), OperatorRunner.real("epsilon", 1e-6f));
    List<OperatorRunner.Input> inputs =
        List.of(zeros("query_features", query), zeros("key_features", key), zeros("value", value));
    OrtException e = assertThrows(OrtException.class, () -> OperatorRunner.run(OP, Precision.FLOAT32, attributes, inputs));
    assertTrue(e.getMessage().contains("node 'block.0/attention': " + message), e.getMessage());
  }

  @Test
  void emptyQueriesBatchesAndValuesGiveEmptyOutputs() throws OrtException {
    List<AttributeProto> attributes = List.of(
        OperatorRunner.ints("ranks", 3, 5), OperatorRunner.ints("powers", 1, 1), OperatorRunner.real("epsilon", 1e-6f));
    for (long[] sizes : new long[][] {{0, 2, 7, 9, 15}, {1, 0, 7, 9, 15}, {1, 2, 0, 9, 15}, {1, 2, 7, 9, 0}}) {
      OperatorRunner.Output output = OperatorRunner.run(OP, Precision.FLOAT32, attributes, List.of(
          zeros("query_features", shape(sizes[0], sizes[1], sizes[2], 8)),
          zeros("key_features", shape(sizes[0], sizes[1], sizes[3], 8)),
          zeros("value", shape(sizes[0], sizes[1], sizes[3], sizes[4]))));
      assertArrayEquals(shape(sizes[0], sizes[1], sizes[2], sizes[4]), output.shape());
      assertEquals(0, output.values().length);
    }
  }

  @Test
  void aLongSumStaysAccurate() throws OrtException {
    // 40 000 equal weights: a running float32 sum of them would be off by far more than the tolerance.
    int tokens = 40_000;
    float[] ones = new float[tokens];
    Arrays.fill(ones, 1 / 3f);
    OperatorRunner.Output output = OperatorRunner.run(OP, Precision.FLOAT32,
        List.of(OperatorRunner.ints("ranks", 1), OperatorRunner.ints("powers", 1), OperatorRunner.real("epsilon", 0)),
        List.of(new OperatorRunner.Input("query_features", shape(1, 1, 1, 1), new float[] {1}),
            new OperatorRunner.Input("key_features", shape(1, 1, tokens, 1), ones),
            new OperatorRunner.Input("value", shape(1, 1, tokens, 1), ones)));
    assertEquals(1 / 3.0, output.values()[0], 1e-6);
    assertFalse(Double.isNaN(output.values()[0]));
  }

  private static void createSession(List<AttributeProto> attributes, int[] ranks) throws OrtException {
    List<OperatorRunner.Input> inputs = inputs(OperatorCase.GRID.get(0));
    try (SessionOptions options = new SessionOptions()) {
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      HlaOperators.register(options);
      OrtEnvironment.getEnvironment().createSession(
          OperatorRunner.model(OP, Precision.FLOAT32, attributes, inputs, ranks).toByteArray(), options).close();
    }
  }

  private static List<AttributeProto> attributes(OperatorCase c) {
    return List.of(
        OperatorRunner.ints("ranks", c.ranks()), OperatorRunner.ints("powers", c.powers()),
        OperatorRunner.real("epsilon", c.epsilon()));
  }

  private static List<OperatorRunner.Input> inputs(OperatorCase c) {
    return List.of(
        new OperatorRunner.Input("query_features", c.queryShape(), c.queryFeatures()),
        new OperatorRunner.Input("key_features", c.keyShape(), c.keyFeatures()),
        new OperatorRunner.Input("value", c.valueShape(), c.value()));
  }

  private static OperatorRunner.Input zeros(String name, long[] shape) {
    return new OperatorRunner.Input(name, shape, new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)]);
  }

  private static long[] shape(long... dims) {
    return dims;
  }
}
