package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.StringWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject.Kind;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The Java program of README.md, compiled as it stands there and run in a folder that has testdata as the project's has. */
class ReadmeProgramTest {
  private static final Path PROJECT = Path.of("..").toAbsolutePath().normalize();
  private static final Pattern PROGRAM = Pattern.compile("```java\\R(.*?)```", Pattern.DOTALL);

  @TempDir Path folder;

  @Test
  void theProgramOfTheReadmeConvertsRunsAndVerifies() throws Exception {
    compile(program());
    Path testdata = Files.createSymbolicLink(folder.resolve("testdata"), PROJECT.resolve("testdata"));
    Program ran = Program.in(folder, List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-cp", folder + File.pathSeparator + System.getProperty("java.class.path"), "Example"));
    Files.delete(testdata);

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

  private static String program() throws Exception {
    Matcher block = PROGRAM.matcher(Files.readString(PROJECT.resolve("README.md")));
    assertTrue(block.find(), "README.md has no Java program");
    return block.group(1);
  }

  private void compile(String source) {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter messages = new StringWriter();
    var file = new SimpleJavaFileObject(URI.create("string:///Example.java"), Kind.SOURCE) {
      @Override
      public CharSequence getCharContent(boolean ignoreEncodingErrors) {
        return source;
      }
    };
    List<String> options = List.of("-Xlint:all", "-Xlint:-processing", "-Werror", "-proc:none", "-d", folder.toString(),
        "-cp", System.getProperty("java.class.path"));
    boolean compiled = compiler.getTask(messages, compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8), null, options, null, List.of(file)).call();
    assertTrue(compiled, messages.toString());
  }
}
