package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtEnvironment;
import dev.hla.converter.FeatureMaps;
import dev.hla.converter.FactorUse;
import dev.hla.converter.FusedUses;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.rewrite.Lowering;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.converter.rewrite.SiteSelection;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The library and the functions in old and new ONNX Runtimes, each in a Java process of its own with one runtime's jar on the class
 * path. The profile {@code runtimes} brings the jars; which versions they are is in the pom.
 */
@Tag("runtimes")
class RuntimeVersionsTest {
  private static final String TOO_OLD = "1.17.1";
  private static final String JAR = "onnxruntime-(\\d[\\d.]*)\\.jar";
  private static final List<String> CASES = List.of("core", "fused", "streaming", "ragged_products", "ragged_square", "ragged_features", "ragged_masked",
      "mixed_products", "mixed_square", "mixed_features");
  /** The fused one without its functions: nothing but the kernel can run it. */
  private static final String KERNEL_ONLY = "kernel_only";

  @TempDir static Path folder;

  private static Map<String, Tensor> expected;

  @BeforeAll
  static void writeTheModels() throws Exception {
    OnnxModel model = OnnxModel.load(ShapesWan.model());
    Plan plan = new SiteSelection(FeatureMaps.load(ShapesWan.maps()), null, List.of(), Set.of(), 0).plan(AttentionFinder.find(model));
    ModelProto fused = Rewriter.rewrite(model, plan, Lowering.FUSED).model().proto();
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    write("core", Rewriter.rewrite(model, plan, Lowering.CORE).model().proto().toByteArray(), inputs);
    write("fused", fused.toByteArray(), inputs);
    write(KERNEL_ONLY, fused.toBuilder().clearFunctions().build().toByteArray(), inputs);
    OperatorCase chunk = OperatorCase.GRID.stream().filter(c -> c.name().equals("two squares, the default for video")).findFirst().orElseThrow();
    byte[] streaming = new OneNodeModel(HadamardFunction.STREAMING, List.of("query_features", "key_features", "value", "state"))
        .output("next_state")
        .shape("query_features", "1 heads queries features").shape("key_features", "1 heads keys features").shape("value", "1 heads keys columns")
        .shape("state", "batch_or_none heads products columns_and_one")
        .attribute("ranks", chunk.ranks()).attribute("powers", chunk.powers()).attribute("epsilon", chunk.epsilon())
        .function(HadamardFunction.streaming(17, DataType.FLOAT, Set.of(chunk.spec())))
        .bytes();
    write("streaming", streaming, Map.of(
        "query_features", Tensor.of(chunk.queryFeatures(), chunk.queryShape()),
        "key_features", Tensor.of(chunk.keyFeatures(), chunk.keyShape()),
        "value", Tensor.of(chunk.value(), chunk.valueShape()),
        "state", Tensor.of(new float[0], 0, 0, 0, 0)));
    writeRagged("ragged_products", "16,16", false, false, List.of());
    writeRagged("ragged_square", "16^2", true, false, List.of());
    writeRagged("ragged_features", "64", false, false, List.of());
    writeRagged("ragged_masked", "8^2,8^2", true, true, List.of());
    writeRagged("mixed_products", "16,16", true, true, List.of("64", "12^2", "4^3,1"));
    writeRagged("mixed_square", "16^2", false, false, List.of("64", "8,8", "4^3,1"));
    writeRagged("mixed_features", "64", false, false, List.of("8,8", "12^2", "4^3,1"));

    String newest = OrtEnvironment.getEnvironment().getVersion();
    List<String> lines = probe(newest);
    assertEquals(List.of(), lines.stream().filter(line -> CASES.contains(line.split(" ")[0]) && !line.endsWith(": ok")).toList());
    expected = outputs(newest, "function");
  }

  /**
   * A fused node with open shapes, and numbers of tokens that have no divisors: heads are taken one by one, in chunks that
   * need padding. Old runtimes forget what the bodies of nested scans and branches need.
   *
   * @param takesMasks whether the function is one that takes masks
   * @param masked whether the node has one
   * @param others ranks of other nodes that the function is made for
   */
  private static void writeRagged(String name, String ranks, boolean takesMasks, boolean masked, List<String> others) throws IOException {
    int heads = 24;
    FactorUse own = softplus(ranks);
    int width = own.ranks().width();
    List<FactorUse> uses = Stream.concat(others.stream().map(RuntimeVersionsTest::softplus), Stream.of(own)).toList();
    Set<String> layouts = others.isEmpty() ? Set.of("BHND") : Set.of("BHND", "BNHD");
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put("query", random(1, 1, heads, 1021, 16));
    inputs.put("key", random(2, 1, heads, 1019, 16));
    inputs.put("value", random(3, 1, heads, 1019, 16));
    inputs.put("query_weight", random(4, heads, 16, width));
    inputs.put("query_bias", random(5, heads, width));
    inputs.put("key_weight", random(6, heads, 16, width));
    inputs.put("key_bias", random(7, heads, width));
    if (masked) {
      inputs.put("key_mask", random(8, 1, 1019));
    }
    OneNodeModel node = new OneNodeModel(HadamardFunction.FUSED, List.copyOf(inputs.keySet())).shape("key_mask", "batch key_tokens");
    for (String tensor : List.of("query", "key", "value")) {
      node.shape(tensor, "batch heads " + tensor + "_tokens 16");
    }
    write(name, node
        .shape("query_weight", "heads 16 features").shape("key_weight", "heads 16 features")
        .shape("query_bias", "heads features").shape("key_bias", "heads features")
        .attribute("ranks", own.ranks().ranks()).attribute("powers", own.ranks().powers()).attribute("epsilon", 1e-6f).attribute("activations", own.activations())
        .attribute("layout", "BHND").integer("num_heads", heads)
        .function(HadamardFunction.fused(17, DataType.FLOAT, new FusedUses(uses, layouts, takesMasks)))
        .bytes(), inputs);
  }

  private static FactorUse softplus(String ranks) {
    RankSpec spec = RankSpec.parse(ranks);
    return new FactorUse(spec, String.join(",", Collections.nCopies(spec.ranks().length, "softplus")));
  }

  private static Tensor random(long seed, long... shape) {
    Random random = new Random(seed);
    Tensor tensor = Tensor.zeros(ElementType.FLOAT32, shape);
    for (int i = 0; i < tensor.size(); i++) {
      tensor.set(i, (float) random.nextGaussian() / 2);
    }
    return tensor;
  }

  private static void write(String name, byte[] model, Map<String, Tensor> inputs) throws IOException {
    Files.write(folder.resolve(name + ".onnx"), model);
    try (OutputStream out = Files.newOutputStream(folder.resolve(name + ".npz"))) {
      Npz.write(inputs, out);
    }
  }

  static List<String> versions() throws IOException {
    String jars = System.getProperty("hla.runtimes");
    try (Stream<Path> files = Files.list(Path.of(jars == null ? "target/runtimes" : jars))) {
      return files.map(file -> file.getFileName().toString()).filter(file -> file.matches(JAR)).map(file -> file.replaceAll(JAR, "$1"))
          .filter(version -> !version.equals(TOO_OLD)).sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("versions")
  void givesWhatTheNewestRuntimeGives(String version) throws Exception {
    List<String> lines = probe(version);
    List<String> ran = new ArrayList<>(List.of(version));
    CASES.forEach(name -> ran.addAll(List.of(name + " library: ok", name + " function: ok")));
    ran.add(KERNEL_ONLY + " library: ok");
    assertEquals(ran, lines.subList(0, ran.size()));
    assertEquals(ran.size() + 1, lines.size());
    assertTrue(lines.get(ran.size()).startsWith(KERNEL_ONLY + " function: error: "), lines.toString());
    agree(outputs(version, "function"));
    agree(outputs(version, "library"));
    agree(Map.of("fused sample", Npz.readAll(folder.resolve(version).resolve(KERNEL_ONLY + ".library.npz")).get("sample")));
  }

  @Test
  void aRuntimeThatIsTooOldIsToldInOneLineAndRunsTheFunctions() throws Exception {
    List<String> lines = probe(TOO_OLD);
    assertEquals(TOO_OLD, lines.get(0));
    for (String name : CASES) {
      int at = 1 + 2 * CASES.indexOf(name);
      assertTrue(lines.get(at).matches(name + " library: error: operator library \\S+ \\(.*\\): ONNX Runtime refuses it: .*"
          + "ai.hla: this library needs ONNX Runtime 1.18 or newer"), lines.toString());
      assertEquals(name + " function: ok", lines.get(at + 1));
    }
    agree(outputs(TOO_OLD, "function"));
  }

  private static void agree(Map<String, Tensor> actual) {
    actual.forEach((name, tensor) -> {
      Difference d = Difference.between(expected.get(name), tensor, name);
      assertTrue(d.finite() && d.relative() <= Precision.FLOAT32.tolerance(), name + ": " + d);
    });
  }

  /** Every output, by case and name. */
  private static Map<String, Tensor> outputs(String version, String how) throws IOException {
    Map<String, Tensor> outputs = new TreeMap<>();
    for (String name : CASES) {
      Npz.readAll(folder.resolve(version).resolve(name + "." + how + ".npz")).forEach((output, tensor) -> outputs.put(name + " " + output, tensor));
    }
    assertEquals(Set.of("core sample", "fused sample", "streaming output", "streaming next_state", "ragged_products output",
        "ragged_square output", "ragged_features output", "ragged_masked output", "mixed_products output", "mixed_square output", "mixed_features output"), outputs.keySet());
    return outputs;
  }

  /** Runs {@link RuntimeProbe} on all models in that version, in a process of its own; what it printed, line by line. */
  private static List<String> probe(String version) throws IOException, InterruptedException {
    Path jar = Path.of(System.getProperty("hla.runtimes"), "onnxruntime-" + version + ".jar");
    assertTrue(Files.isRegularFile(jar), jar + " is missing: run Maven with -Pruntimes, which fetches it");
    List<String> classPath = new ArrayList<>(JavaProcess.classPath());
    assertTrue(classPath.removeIf(entry -> entry.matches(".*/onnxruntime(_gpu)?-[^/]*\\.jar")), classPath.toString());
    classPath.add(0, jar.toString());
    List<String> arguments = new ArrayList<>(List.of(Files.createDirectories(folder.resolve(version)).toString()));
    Stream.concat(CASES.stream(), Stream.of(KERNEL_ONLY)).forEach(name -> arguments.add(folder.resolve(name + ".onnx").toString()));
    // What the runtime logs on standard error is not ours: newer ones look for GPUs and say that there are none.
    Path log = folder.resolve(version + ".log");
    Process process = JavaProcess.of(RuntimeProbe.class, classPath, List.of(), arguments).redirectError(log.toFile()).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), () -> version + ": " + printed + read(log));
    return printed.lines().toList();
  }

  private static String read(Path log) {
    try {
      return Files.readString(log);
    } catch (IOException e) {
      return e.toString();
    }
  }
}
