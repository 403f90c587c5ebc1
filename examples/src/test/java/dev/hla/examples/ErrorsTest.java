package dev.hla.examples;

import static java.util.Map.entry;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession.SessionOptions;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.cli.Hla;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.HlaOperators;
import dev.hla.testdata.ShapesWan;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code hla doctor --error} on what the runtime here really says: each error of docs/errors.md is provoked. */
class ErrorsTest {
  @TempDir static Path folder;

  private static ModelProto converted;
  private static Path library;

  /** Makes an error and returns its text. */
  private interface Provocation {
    String message() throws Exception;
  }

  /**
   * @param inCause words that the cause must hold, so that it speaks of this case and not of errors in general
   */
  private record Case(String inCause, Provocation provocation) {}

  private static final Map<String, Case> CASES = new TreeMap<>(Map.ofEntries(
      entry("operator_not_registered", new Case("FusedHadamardLinearAttention", () -> opening(model -> model.clearFunctions()))),
      entry("foreign_operator", new Case("of domain com.example", () -> opening(ErrorsTest::foreign))),
      entry("no_opset_import", new Case("opset_import", ErrorsTest::withoutOpsetImport)),
      entry("runtime_too_old", new Case("older than 1.18", () -> apiVersion(library.toString()))),
      entry("api_version", new Case("ONNX Runtime 1.1000, and the runtime that it meets is 1.", () -> apiVersion())),
      entry("library_not_found", new Case("/nowhere/libhla_ops.so", () -> registering(Path.of("/nowhere/libhla_ops.so")))),
      entry("dependency_not_found", new Case("libabsent.so, which it needs", ErrorsTest::withoutItsDependency)),
      entry("wrong_elf_class", new Case("ELFCLASS32", () -> registering(patched(4, (byte) 1)))),
      entry("not_a_library", new Case("page.so is no shared library", () -> registering(
          Files.writeString(folder.resolve("page.so"), "<html>Not found, in more words than an ELF file has bytes in its header</html>")))),
      entry("system_too_old", new Case("GLIBC_9", ErrorsTest::onAnOlderSystem)),
      entry("no_operator_library", new Case("no operator library", () -> registering(shared("libempty.so")))),
      entry("registered_twice", new Case("already", ErrorsTest::twice)),
      entry("external_data_outside", new Case("outside its own folder", () -> opening(weights("../weights.bin")))),
      entry("external_data_missing", new Case("absent.bin is missing", () -> opening(weights("absent.bin")))),
      entry("external_data_short", new Case("ends at byte 3", () -> opening(weights("short.bin")))),
      entry("external_data_in_memory", new Case("from memory", () -> refusal(
          options -> OrtEnvironment.getEnvironment().createSession(weights("short.bin").toByteArray(), options)))),
      entry("not_a_model", new Case("no ONNX model", () -> opening(Files.writeString(folder.resolve("text.onnx"), "no model")))),
      entry("ir_too_new", new Case("IR version 99", () -> opening(model -> model.setIrVersion(99)))),
      entry("opset_too_new", new Case("opset 99 of ai.onnx", () -> opening(model -> opsets(model, "", 99).addOpsetImport(
          OperatorSetIdProto.newBuilder().setDomain(HlaOperators.DOMAIN).setVersion(1)))))));

  @BeforeAll
  static void prepare() throws Exception {
    Path file = folder.resolve("converted.onnx");
    assertEquals(0, hla(new StringWriter(), "convert", "-q", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", file.toString()));
    converted = ModelProto.parseFrom(Files.readAllBytes(file));
    library = HlaOperators.find().path();
    Files.write(folder.resolve("short.bin"), new byte[3]);
  }

  static Set<String> ids() {
    return CASES.keySet();
  }

  @ParameterizedTest
  @MethodSource("ids")
  void isKnownByWhatTheRuntimeSays(String id) throws Exception {
    String message = CASES.get(id).provocation().message();
    JsonNode causes = explained(message);
    assertEquals(1, causes.size(), message + " gave " + causes);
    assertEquals(id, causes.get(0).get("id").asText(), message);
    assertTrue(causes.get(0).get("cause").asText().contains(CASES.get(id).inCause()), causes::toString);
    assertTrue(message.replaceAll("\\s+", " ").contains(causes.get(0).get("matched").asText()), causes::toString);
    assertTrue(Stream.of("cause", "cure").noneMatch(part -> causes.get(0).get(part).asText().matches(".*\\$\\d.*")), causes::toString);
  }

  @Test
  void thePageListsWhatIsProvokedHere() throws Exception {
    Set<String> listed = new TreeSet<>();
    for (Matcher row = Pattern.compile("(?m)^\\| `(\\w+)` \\|").matcher(Files.readString(Path.of("..", "docs", "errors.md"))); row.find();) {
      assertTrue(listed.add(row.group(1)), row.group());
    }
    assertEquals(CASES.keySet(), listed);
  }

  @Test
  void aFileAndStandardInputAreRead() throws Exception {
    String log = "a line before\n" + CASES.get("registered_twice").provocation().message() + "\na line after\n";
    JsonNode expected = explained(log);
    assertEquals("registered_twice", expected.get(0).get("id").asText());
    assertEquals(expected, explained(Files.writeString(folder.resolve("log.txt"), log).toString()));
    InputStream before = System.in;
    System.setIn(new ByteArrayInputStream(log.getBytes(StandardCharsets.UTF_8)));
    try {
      assertEquals(expected, explained("-"));
    } finally {
      System.setIn(before);
    }
  }

  @Test
  void anErrorThatIsNotKnownIsSaidToBeSo() throws Exception {
    StringWriter out = new StringWriter();
    assertEquals(3, hla(out, "doctor", "--json", "--error", "Failed to find CUDA shared provider"));
    assertEquals("{\"causes\":[]}", new JsonMapper().readTree(out.toString()).toString());
  }

  private static JsonNode explained(String error) throws Exception {
    StringWriter out = new StringWriter();
    assertEquals(0, hla(out, "doctor", "--json", "--error", error), error);
    return new JsonMapper().readTree(out.toString()).get("causes");
  }

  private static int hla(StringWriter out, String... arguments) {
    return Hla.run(new PrintWriter(out), new PrintWriter(System.err), arguments);
  }

  private interface Use {
    void of(SessionOptions options) throws Exception;
  }

  private static String refusal(Use use) throws OrtException {
    try (SessionOptions options = new SessionOptions()) {
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      return assertThrows(OrtException.class, () -> use.of(options)).getMessage();
    }
  }

  private static String registering(Path library) throws OrtException {
    return refusal(options -> options.registerCustomOpLibrary(library.toString()));
  }

  private static String twice() throws OrtException {
    return refusal(options -> {
      options.registerCustomOpLibrary(library.toString());
      options.registerCustomOpLibrary(library.toString());
      OrtEnvironment.getEnvironment().createSession(converted.toByteArray(), options);
    });
  }

  private static String opening(Path model) throws OrtException {
    return refusal(options -> OrtEnvironment.getEnvironment().createSession(model.toString(), options));
  }

  private static String opening(ModelProto model) throws Exception {
    return opening(Files.write(folder.resolve("opened.onnx"), model.toByteArray()));
  }

  /** Opens the converted model, changed. */
  private static String opening(UnaryOperator<ModelProto.Builder> change) throws Exception {
    return opening(change.apply(converted.toBuilder()).build());
  }

  private static ModelProto.Builder opsets(ModelProto.Builder model, String domain, int version) {
    return model.clearOpsetImport().addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(domain).setVersion(version));
  }

  /** In a process of its own: one that ever registered the library knows the domain from then on, and opens the file. */
  private static String withoutOpsetImport() throws Exception {
    Path model = Files.write(folder.resolve("opened.onnx"), opsets(converted.toBuilder(), "", 17).build().toByteArray());
    Program ran = Program.run(Host.JAVA.command(model, folder, folder.resolve("none.npy"), null));
    assertEquals(1, ran.code(), ran.output());
    return ran.output();
  }

  private static ModelProto.Builder foreign(ModelProto.Builder model) {
    model.addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("com.example").setVersion(1));
    model.getGraphBuilder().getNodeBuilder(0).setDomain("com.example").setOpType("Unheard");
    return model;
  }

  /** A model that adds four numbers out of the file at {@code location}. */
  private static ModelProto weights(String location) {
    TypeProto four = TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(TensorProto.DataType.FLOAT.getNumber())
        .setShape(TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(4)))).build();
    return ModelProto.newBuilder().setIrVersion(8).addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17))
        .setGraph(GraphProto.newBuilder().setName("sum")
            .addInput(ValueInfoProto.newBuilder().setName("x").setType(four))
            .addOutput(ValueInfoProto.newBuilder().setName("y").setType(four))
            .addInitializer(TensorProto.newBuilder().setName("w").setDataType(TensorProto.DataType.FLOAT.getNumber()).addDims(4)
                .setDataLocation(TensorProto.DataLocation.EXTERNAL)
                .addExternalData(StringStringEntryProto.newBuilder().setKey("location").setValue(location))
                .addExternalData(StringStringEntryProto.newBuilder().setKey("length").setValue("16")))
            .addNode(NodeProto.newBuilder().setOpType("Add").addInput("x").addInput("w").addOutput("y")))
        .build();
  }

  private static Path patched(int at, byte value) throws Exception {
    byte[] bytes = Files.readAllBytes(library);
    bytes[at] = value;
    return Files.write(folder.resolve("patched.so"), bytes);
  }

  /** The library as if built against glibc 9. */
  private static String onAnOlderSystem() throws Exception {
    String bytes = new String(Files.readAllBytes(library), StandardCharsets.ISO_8859_1);
    assertTrue(bytes.contains("GLIBC_2.14\0"));
    return registering(Files.write(folder.resolve("newer.so"), bytes.replace("GLIBC_2.14\0", "GLIBC_9.14\0").getBytes(StandardCharsets.ISO_8859_1)));
  }

  private static String withoutItsDependency() throws Exception {
    Path dependency = shared("libabsent.so");
    Path needs = shared("libneeds.so", "-Wl,--no-as-needed", "-L" + folder, "-l:libabsent.so");
    Files.delete(dependency);
    return registering(needs);
  }

  private static Path shared(String name, String... options) throws Exception {
    Path library = folder.resolve(name);
    Path source = Files.writeString(folder.resolve("empty.c"), "int unused;\n");
    compile(Stream.concat(Stream.of("-shared", "-fPIC", "-o", library.toString(), source.toString()), Stream.of(options)).toList());
    return library;
  }

  /** What api_version.c prints. */
  private static String apiVersion(String... operators) throws Exception {
    Path program = folder.resolve("api_version");
    compile(List.of("-std=c11", "-Wall", "-Wextra", "-Werror", "-I", "c", "-o", program.toString(), "src/test/c/api_version.c", "-ldl"));
    List<String> command = new ArrayList<>(List.of(program.toString(), Host.sharedRuntime(folder).toString()));
    command.addAll(List.of(operators));
    Program ran = Program.run(command);
    assertEquals(0, ran.code(), ran.output());
    return ran.output();
  }

  private static void compile(List<String> arguments) throws Exception {
    Program cc = Program.run(Stream.concat(Stream.of("cc"), arguments.stream()).toList());
    assertEquals(0, cc.code(), cc.output());
  }
}
