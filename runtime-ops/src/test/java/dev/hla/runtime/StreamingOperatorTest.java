package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import ai.onnxruntime.TensorInfo;
import dev.hla.converter.HadamardFunction;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The streaming operator through ONNX Runtime, as a kernel and as the function in the file, against the float64 reference:
 * the queries of a chunk see the keys of that chunk and of all before it.
 */
class StreamingOperatorTest {
  private static final List<String> CASES = List.of(
      "two factors", "square", "fourth power times square", "gates before and after", "gates only", "batch of three",
      "three factors, unequal", "many queries, one key", "large square, several chunks", "epsilon zero");

  static Stream<Arguments> cases() {
    return CASES.stream().map(StreamingOperatorTest::named).flatMap(c -> Stream.of(Precision.values())
        .flatMap(precision -> Stream.of(true, false).map(library -> Arguments.of(c, precision, library))));
  }

  @ParameterizedTest(name = "{0} {1} library {2}")
  @MethodSource("cases")
  @Execution(ExecutionMode.CONCURRENT)
  void chunksInSequenceSeeAllKeysSoFar(OperatorCase c, Precision precision, boolean library) throws OrtException {
    for (int opset : library || precision == Precision.BFLOAT16 ? new int[] {17} : new int[] {11, 17}) {
      try (Session stream = new Session(c, model(c, opset, Tensors.type(precision), "state", "next_state"), precision, library)) {
        int[] queries = cuts(c.queries());
        int[] keys = cuts(c.keys());
        for (int chunk = 0; chunk + 1 < keys.length; chunk++) {
          double[] output = stream.next(queries[chunk], queries[chunk + 1], keys[chunk], keys[chunk + 1]);
          double[] expected = HadamardReference.attend(c.batch(), c.heads(), queries[chunk + 1] - queries[chunk], keys[chunk + 1],
              c.valueDim(), c.ranks(), c.powers(), c.epsilon(),
              doubles(rows(c, c.queryFeatures(), c.queries(), queries[chunk], queries[chunk + 1])),
              doubles(rows(c, c.keyFeatures(), c.keys(), 0, keys[chunk + 1])), doubles(rows(c, c.value(), c.keys(), 0, keys[chunk + 1])));
          double error = HadamardReference.relativeError(expected, output);
          assertTrue(error <= precision.tolerance(), "chunk " + chunk + ", opset " + opset + ": relative error " + error);
        }
        // The state is float whatever the type is, and so is its accuracy: the inputs are exact in all types.
        double error = HadamardReference.relativeError(expectedState(c), doubles(stream.state));
        assertTrue(error <= 1e-5, "state: relative error " + error);
      }
    }
  }

  @Test
  void aWholeCallWithoutStatesIsTheCoreOperator() throws OrtException {
    OperatorCase c = named("two factors, long");
    for (boolean library : new boolean[] {true, false}) {
      for (String next : new String[] {"next_state", ""}) {
        try (Session stream = new Session(c, model(c, 17, Tensors.type(Precision.FLOAT32), "state", next), Precision.FLOAT32, library)) {
          double[] output = stream.next(0, c.queries(), 0, c.keys());
          assertTrue(HadamardReference.relativeError(c.expected(), output) <= 1e-5);
        }
      }
    }
  }

  @Test
  void theKernelTakesANodeThatLeavesOutItsStates() throws OrtException {
    OperatorCase c = named("square, long");
    try (Session stream = new Session(c, model(c, 17, Tensors.type(Precision.FLOAT32), null, null), Precision.FLOAT32, true)) {
      double[] output = stream.next(0, c.queries(), 0, c.keys());
      assertTrue(HadamardReference.relativeError(c.expected(), output) <= 1e-5);
    }
  }

  @Test
  void aStateOfTheWrongShapeIsRefused() throws OrtException {
    OperatorCase c = named("two factors");
    try (Session stream = new Session(c, model(c, 17, Tensors.type(Precision.FLOAT32), "state", "next_state"), Precision.FLOAT32, true)) {
      stream.state = new float[15 * 15];
      stream.stateShape = new long[] {1, 1, 15, 15};
      OrtException e = assertThrows(OrtException.class, () -> stream.next(0, 1, 0, 1));
      assertTrue(e.getMessage().contains("ai.hla::StreamingHadamardLinearAttention node 'attention': input state: expected [1,1,15,16] "
          + "(D, the products of ranks and powers; dv + 1), or no numbers, came [1,1,15,15]"), e.getMessage());
    }
  }

  /** With the library; of a function's outputs ONNX Runtime knows no more than the file says. */
  @Test
  void theRuntimeInfersTheShapesOfTheOutputs() throws OrtException {
    OperatorCase c = named("gates before and after");
    OneNodeModel model = model(c, 17, DataType.FLOAT, "state", "next_state")
        .shape("query_features", "1 heads queries 13").shape("key_features", "1 heads keys 13").shape("value", "1 heads keys columns").shape("state", "a b c d");
    try (Session stream = new Session(c, model, Precision.FLOAT32, true)) {
      // D = 36 of 8^2 times 3 times the gates' 1.
      assertEquals("[1, heads, 108, columns + 1]", shape(stream, "next_state"));
      assertEquals("[1, heads, queries, columns]", shape(stream, "output"));
    }
    model.shape("value", "2 4 keys 24").shape("key_features", "2 4 keys 13").shape("query_features", "2 4 512 13");
    try (Session stream = new Session(c, model, Precision.FLOAT32, true)) {
      assertEquals("[2, 4, 108, 25]", shape(stream, "next_state"));
      assertEquals("[2, 4, 512, 24]", shape(stream, "output"));
    }
    model.shape("next_state", "2 4 108 25");
    try (Session stream = new Session(c, model, Precision.FLOAT32, false)) {
      assertEquals("[2, 4, 108, 25]", shape(stream, "next_state"));
    }
  }

  private static String shape(Session stream, String output) throws OrtException {
    TensorInfo info = (TensorInfo) stream.session.getOutputInfo().get(output).getInfo();
    long[] sizes = info.getShape();
    return IntStream.range(0, sizes.length).mapToObj(i -> sizes[i] < 0 ? info.getDimensionNames()[i] : Long.toString(sizes[i])).toList().toString();
  }

  /** In a process of its own with a small heap that is all there from the start: what grows then is the runtime's. */
  @ParameterizedTest
  @ValueSource(strings = {"library", "function"})
  void theMemoryOfTheProcessDoesNotGrowWithTheChunks(String how, @TempDir Path folder) throws Exception {
    OperatorCase c = new OperatorCase("a chunk", 1, 4, 512, 512, 64, new int[] {16, 4}, new int[] {1, 1}, 1e-6f, 5);
    Path model = Files.write(folder.resolve("streaming.onnx"), model(c, 17, DataType.FLOAT, "state", "next_state").bytes());
    List<String> arguments = Stream.of(model, how, c.heads(), c.keys(), c.width(), c.valueDim(), 100, 600).map(Object::toString).toList();
    Path log = folder.resolve("log");
    Process process = JavaProcess.of(StreamingMemoryProbe.class, JavaProcess.classPath(),
        List.of("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC"), arguments).redirectError(log.toFile()).start();
    long[] megabytes = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).lines().mapToLong(Long::parseLong).toArray();
    assertEquals(0, process.waitFor(), Files.readString(log));
    long kept = 500L * c.heads() * c.keys() * (c.width() + c.valueDim()) * 4 >> 20;
    System.out.printf("streaming, %s: %d MB resident after 100 chunks, %d MB after 600; their keys and values are %d MB%n", how, megabytes[0], megabytes[1], kept);
    assertTrue(megabytes[1] - megabytes[0] < 32, () -> Arrays.toString(megabytes));
  }

  @Test
  void theStateKeepsItsSizeOverManyChunks() throws OrtException {
    OperatorCase c = new OperatorCase("a chunk", 1, 4, 512, 512, 64, new int[] {16, 16}, new int[] {1, 1}, 1e-6f, 5);
    try (Session stream = new Session(c, model(c, 17, Tensors.type(Precision.FLOAT32), "state", "next_state"), Precision.FLOAT32, true)) {
      double[] first = stream.next(0, 512, 0, 512);
      for (int chunk = 1; chunk < 20; chunk++) {
        stream.next(0, 512, 0, 512);
      }
      float[] early = stream.state;
      double[] last = first;
      for (int chunk = 20; chunk < 80; chunk++) {
        last = stream.next(0, 512, 0, 512);
      }
      assertArrayEquals(new long[] {1, 4, 256, 65}, stream.stateShape);
      // The same keys 80 times are 4 times as much as 20 times, and change no quotient.
      double[] expected = IntStream.range(0, early.length).mapToDouble(i -> 4.0 * early[i]).toArray();
      assertTrue(HadamardReference.relativeError(expected, doubles(stream.state)) <= 1e-5);
      assertTrue(HadamardReference.relativeError(first, last) <= 1e-5);
    }
  }

  /** A session and the state between its runs. */
  private static final class Session implements AutoCloseable {
    private final OperatorCase c;
    private final Precision precision;
    private final OrtSession session;
    private float[] state = {};
    private long[] stateShape = {0};

    Session(OperatorCase c, OneNodeModel model, Precision precision, boolean library) throws OrtException {
      this.c = c;
      this.precision = precision;
      try (SessionOptions options = new SessionOptions()) {
        options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
        if (library) {
          HlaOperators.register(options);
        }
        session = OrtEnvironment.getEnvironment().createSession(model.bytes(), options);
      }
    }

    double[] next(int fromQuery, int toQuery, int fromKey, int toKey) throws OrtException {
      Map<String, OnnxTensor> feeds = new HashMap<>();
      feeds.put("query_features", Tensors.of(precision, rows(c, c.queryFeatures(), c.queries(), fromQuery, toQuery),
          c.batch(), c.heads(), toQuery - fromQuery, c.width()));
      feeds.put("key_features", Tensors.of(precision, rows(c, c.keyFeatures(), c.keys(), fromKey, toKey),
          c.batch(), c.heads(), toKey - fromKey, c.width()));
      feeds.put("value", Tensors.of(precision, rows(c, c.value(), c.keys(), fromKey, toKey),
          c.batch(), c.heads(), toKey - fromKey, c.valueDim()));
      if (session.getInputNames().contains("state")) {
        feeds.put("state", Tensors.of(Precision.FLOAT32, state, stateShape));
      }
      try (OrtSession.Result result = session.run(feeds)) {
        if (result.size() > 1) {
          OnnxTensor next = (OnnxTensor) result.get(1);
          stateShape = next.getInfo().getShape();
          state = new float[Math.toIntExact(Arrays.stream(stateShape).reduce(1, (a, b) -> a * b))];
          next.getFloatBuffer().get(state);
        }
        return Tensors.values(precision, (OnnxTensor) result.get(0));
      } finally {
        feeds.values().forEach(OnnxTensor::close);
      }
    }

    @Override
    public void close() throws OrtException {
      session.close();
    }
  }

  private static OneNodeModel model(OperatorCase c, int opset, DataType type, String state, String next) {
    List<String> inputs = new ArrayList<>(List.of("query_features", "key_features", "value"));
    if (state != null) {
      inputs.add(state);
    }
    OneNodeModel model = new OneNodeModel(HadamardFunction.STREAMING, inputs)
        .opset(opset).type(type).floats("state", "next_state")
        .attribute("ranks", c.ranks()).attribute("powers", c.powers()).attribute("epsilon", c.epsilon());
    return next == null ? model : model.output(next).function(HadamardFunction.streaming(opset, type, Set.of(c.spec())));
  }

  private static OperatorCase named(String name) {
    return OperatorCase.GRID.stream().filter(c -> c.name().equals(name)).findFirst().orElseThrow();
  }

  /** Three chunks: short, long, and what is left; the first of them may be without keys. */
  private static int[] cuts(int tokens) {
    return new int[] {0, tokens / 5, tokens - Math.max(1, tokens / 4), tokens};
  }

  /** Tokens {@code from .. to} of a tensor [B, H, tokens, *]. */
  private static float[] rows(OperatorCase c, float[] tensor, int tokens, int from, int to) {
    int groups = c.batch() * c.heads();
    int width = tensor.length / (groups * tokens);
    float[] part = new float[groups * (to - from) * width];
    for (int g = 0; g < groups; g++) {
      System.arraycopy(tensor, (g * tokens + from) * width, part, g * (to - from) * width, (to - from) * width);
    }
    return part;
  }

  /** [B, H, D, dv + 1] from its definition, monomial by monomial in the documented order. */
  private static double[] expectedState(OperatorCase c) {
    List<int[]> monomials = monomials(c);
    int groups = c.batch() * c.heads();
    int columns = c.valueDim() + 1;
    double[] state = new double[groups * monomials.size() * columns];
    float[] keys = c.keyFeatures();
    float[] values = c.value();
    for (int token = 0; token < groups * c.keys(); token++) {
      for (int d = 0; d < monomials.size(); d++) {
        double product = weight(monomials.get(d), c);
        for (int column : monomials.get(d)) {
          product *= keys[token * c.width() + column];
        }
        int row = (token / c.keys() * monomials.size() + d) * columns;
        for (int v = 0; v < c.valueDim(); v++) {
          state[row + v] += product * values[token * c.valueDim() + v];
        }
        state[row + c.valueDim()] += product;
      }
    }
    return state;
  }

  /** The columns in each: factor by factor, within a factor ascending, in lexicographic order. */
  private static List<int[]> monomials(OperatorCase c) {
    List<int[]> monomials = List.of(new int[0]);
    int start = 0;
    for (int f = 0; f < c.ranks().length; f++) {
      for (int p = 0; p < c.powers()[f]; p++) {
        List<int[]> longer = new ArrayList<>();
        for (int[] m : monomials) {
          int first = p == 0 ? start : m[m.length - 1];
          for (int column = first; column < start + c.ranks()[f]; column++) {
            int[] next = Arrays.copyOf(m, m.length + 1);
            next[m.length] = column;
            longer.add(next);
          }
        }
        monomials = longer;
      }
      start += c.ranks()[f];
    }
    return monomials;
  }

  /** Product over the factors of p! / prod_c n_c!. */
  private static double weight(int[] monomial, OperatorCase c) {
    double weight = 1;
    int at = 0;
    for (int power : c.powers()) {
      int run = 0;
      for (int p = 1; p <= power; p++, at++) {
        run = p > 1 && monomial[at] == monomial[at - 1] ? run + 1 : 1;
        weight *= (double) p / run;
      }
    }
    return weight;
  }

  private static double[] doubles(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }
}
