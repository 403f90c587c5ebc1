package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.FeatureMaps;
import java.io.File;
import java.io.StringWriter;
import java.lang.module.FindException;
import java.lang.module.ModuleFinder;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The Java programs of README.md, compiled as they stand there and run in a folder that has testdata as the project's has. */
class ReadmeProgramTest {
  private static final Path PROJECT = Path.of("..").toAbsolutePath().normalize();
  private static final Pattern PROGRAM = Pattern.compile("```java\\R(.*?)```", Pattern.DOTALL);
  private static final String CLASS_PATH = System.getProperty("java.class.path");
  /** What the module descriptors name, and what that needs. */
  private static final Pattern NEEDED =
      Pattern.compile("dev\\.hla\\.(converter|runtime)|com\\.google\\.protobuf|com\\.microsoft\\.onnxruntime|com\\.fasterxml\\.jackson\\..*");
  private static final String DESCRIPTOR = "module example { requires dev.hla.runtime; }";

  @TempDir Path folder;

  @Test
  void convertsRunsAndVerifies() throws Exception {
    assertEquals("", compile(List.of("-cp", CLASS_PATH), source("Example", program("Example"))));
    assertDone(run("-cp", folder + File.pathSeparator + CLASS_PATH, "Example"));
  }

  @Test
  void fitsMaps() throws Exception {
    assertEquals("", compile(List.of("-cp", CLASS_PATH), source("Fit", program("Fit"))));
    Program ran = run("-cp", folder + File.pathSeparator + CLASS_PATH, "Fit");
    assertEquals(0, ran.code(), ran.output());
    List<MatchResult> errors = Pattern.compile("attn.core: error (\\S+), of the mean of the values (\\S+)").matcher(ran.output()).results().toList();
    assertEquals(4, errors.size(), ran.output());
    errors.forEach(e -> assertTrue(Double.parseDouble(e.group(1)) < 0.5 * Double.parseDouble(e.group(2)), ran.output()));
    assertTrue(ran.output().matches("(?s).*error of the output: 0\\.\\d+ before, 0\\.\\d+ after refinement\\R"), ran.output());
    assertEquals(4, FeatureMaps.load(folder.resolve("maps.safetensors")).names().size());
  }

  @Test
  void doesTheSameAsAModule() throws Exception {
    assertEquals("", compile(List.of("--module-path", modulePath(), "-cp", ""),
        source("module-info", DESCRIPTOR), source("example/Example", "package example;" + program("Example"))));
    assertDone(run("--module-path", folder + File.pathSeparator + modulePath(), "-m", "example/example.Example"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"graph.Graph", "shape.Shapes", "wiring.Wiring", "files.OutputFiles"})
  void aModuleCannotReachWhatIsInside(String internal) throws Exception {
    String program = "package example; class Example { dev.hla.converter." + internal + " internal; }";
    String messages = compile(List.of("--module-path", modulePath(), "-cp", ""), source("module-info", DESCRIPTOR), source("example/Example", program));
    assertTrue(messages.contains("is declared in module dev.hla.converter, which does not export it"), messages);
    assertEquals("", compile(List.of("-cp", CLASS_PATH), source("example/Example", program)), "there is such a class");
  }

  private void assertDone(Program ran) throws Exception {
    assertEquals(0, ran.code(), ran.output());
    assertTrue(ran.output().contains("blocks.0.attn.core: self, "), ran.output());
    assertTrue(ran.output().contains(" is kept: there are no feature maps for it"), ran.output());
    assertTrue(ran.output().matches("(?s).*kernels: (avx512|avx2|baseline)\\R.*"), ran.output());
    assertTrue(ran.output().contains("sample: float32[2, 3, 8, 24, 24]"), ran.output());
    Matcher error = Pattern.compile("sample differs by (\\S+)").matcher(ran.output());
    assertTrue(error.find(), ran.output());
    double relative = Double.parseDouble(error.group(1));
    assertTrue(relative > 1e-3 && relative < 0.1, "a converted model is near the original and not the same: " + relative);
    assertTrue(Files.isRegularFile(folder.resolve("example.onnx")));
  }

  private Program run(String... arguments) throws Exception {
    Path testdata = Files.createSymbolicLink(folder.resolve("testdata"), PROJECT.resolve("testdata"));
    try {
      String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
      return Program.in(folder, Stream.concat(Stream.of(java), Stream.of(arguments)).toList());
    } finally {
      Files.delete(testdata);
    }
  }

  private static String program(String name) throws Exception {
    return PROGRAM.matcher(Files.readString(PROJECT.resolve("README.md"))).results().map(block -> block.group(1))
        .filter(text -> text.contains("class " + name + " ")).findFirst().orElseThrow();
  }

  /** The entries of the class path that the modules need; among the others are some with names that no module may have. */
  private static String modulePath() {
    List<String> entries = new ArrayList<>();
    for (String entry : CLASS_PATH.split(File.pathSeparator)) {
      try {
        if (ModuleFinder.of(Path.of(entry)).findAll().stream().anyMatch(m -> NEEDED.matcher(m.descriptor().name()).matches())) {
          entries.add(entry);
        }
      } catch (FindException e) {
        assertFalse(entry.contains("dev" + File.separator + "hla"), e.getMessage());
      }
    }
    return String.join(File.pathSeparator, entries);
  }

  private static JavaFileObject source(String name, String text) {
    return new SimpleJavaFileObject(URI.create("string:///" + name + ".java"), JavaFileObject.Kind.SOURCE) {
      @Override
      public CharSequence getCharContent(boolean ignoreEncodingErrors) {
        return text;
      }
    };
  }

  /** The compiler's messages; "" where it had none. */
  private String compile(List<String> path, JavaFileObject... sources) {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter messages = new StringWriter();
    List<String> options = Stream.concat(path.stream(), Stream.of("-Xlint:all", "-Xlint:-processing", "-proc:none", "-d", folder.toString())).toList();
    var files = compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8);
    boolean compiled = compiler.getTask(messages, files, null, options, null, Arrays.asList(sources)).call();
    return messages.toString().lines().filter(line -> !compiled || line.contains("warning")).collect(Collectors.joining("\n"));
  }
}
