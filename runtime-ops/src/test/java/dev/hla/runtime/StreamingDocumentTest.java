package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HadamardFunction;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The method of docs/operator.md that carries a state from call to call, compiled as it stands there and run. */
class StreamingDocumentTest {
  private static final Pattern METHOD = Pattern.compile("```java\\R(.*?)```", Pattern.DOTALL);

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theMethodOfTheDocumentCarriesTheState(boolean library) throws Exception {
    OperatorCase c = OperatorCase.GRID.stream().filter(each -> each.name().equals("two squares, the default for video")).findFirst().orElseThrow();
    byte[] model = new OneNodeModel(HadamardFunction.STREAMING, List.of("query_features", "key_features", "value", "state"))
        .output("next_state")
        .shape("query_features", "b h n r").shape("key_features", "b h m r").shape("value", "b h m dv").shape("state", "x y d e")
        .attribute("ranks", c.ranks()).attribute("powers", c.powers()).attribute("epsilon", c.epsilon())
        .function(HadamardFunction.streaming(17, DataType.FLOAT, Set.of(c.spec())))
        .bytes();
    Map<String, Tensor> chunk = Map.of(
        "query_features", Tensor.of(c.queryFeatures(), c.queryShape()), "key_features", Tensor.of(c.keyFeatures(), c.keyShape()),
        "value", Tensor.of(c.value(), c.valueShape()));
    // The second chunk has three times the values: over both chunks the mean is twice that of the first.
    float[] tripled = c.value();
    IntStream.range(0, tripled.length).forEach(i -> tripled[i] *= 3);
    Map<String, Tensor> next = Map.of("query_features", chunk.get("query_features"), "key_features", chunk.get("key_features"),
        "value", Tensor.of(tripled, c.valueShape()));
    try (ModelSession session = ModelSession.open(model, folder, "streaming", new ModelSession.Settings(library, 1));
        URLClassLoader loader = new URLClassLoader(new URL[] {compiled().toUri().toURL()})) {
      Method method = loader.loadClass("Snippet").getDeclaredMethod("outputs", ModelSession.class, List.class);
      method.setAccessible(true);
      List<?> outputs = (List<?>) method.invoke(null, session, List.of(chunk, next));
      assertEquals(2, outputs.size());
      agree(c.expected(), 1, (Tensor) outputs.get(0));
      agree(c.expected(), 2, (Tensor) outputs.get(1));
    }
  }

  private static void agree(double[] once, double times, Tensor actual) {
    float[] values = actual.floats();
    double error = HadamardReference.relativeError(IntStream.range(0, once.length).mapToDouble(i -> times * once[i]).toArray(),
        IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray());
    assertTrue(error <= Precision.FLOAT32.tolerance(), "relative error " + error);
  }

  private Path compiled() throws Exception {
    Matcher method = METHOD.matcher(Files.readString(Path.of("..", "docs", "operator.md")));
    assertTrue(method.find(), "docs/operator.md has no Java");
    Path source = Files.writeString(folder.resolve("Snippet.java"), "import dev.hla.runtime.*;\nimport java.util.*;\n\nclass Snippet {\n" + method.group(1) + "}\n");
    assertEquals(0, ToolProvider.getSystemJavaCompiler().run(null, null, null, "-proc:none", "-Werror", "-Xlint:all",
        "-cp", System.getProperty("java.class.path"), "-d", folder.toString(), source.toString()));
    return folder;
  }
}
