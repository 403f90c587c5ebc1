package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.ShapesWan;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script {@code hla} and the process that it becomes: what its streams and its surroundings do to it. */
class ScriptTest {
  @TempDir Path folder;

  /** A folder that looks built to the script, with the classes of this test. */
  @BeforeEach
  void install() throws IOException {
    Path root = folder.toRealPath();
    Files.copy(Path.of("..", "hla"), root.resolve("hla")).toFile().setExecutable(true);
    Files.createDirectories(root.resolve("cli/src/main"));
    Files.createDirectories(root.resolve("cli/target"));
    for (String file : new String[] {"pom.xml", "cli/pom.xml", "cli/target/hla.jar"}) {
      Files.createFile(root.resolve(file));
    }
    Files.copy(ShapesWan.model(), root.resolve("m.onnx"));
    String classes = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator)).filter(entry -> new File(entry).exists())
        .collect(Collectors.joining(File.pathSeparator));
    Files.writeString(root.resolve("cli/target/hla.classpath"), root + "/cli/src/main" + File.pathSeparator + classes);
  }

  @Test
  void namesNeedNoLocale() throws Exception {
    for (String locale : new String[] {"", "LANG=C", "LC_ALL=C LANG=C.UTF-8", "LC_CTYPE=POSIX"}) {
      Ran ran = bash("name=$(printf '\\303\\274').onnx; cp m.onnx \"$name\"; env -i PATH=\"$PATH\" HOME=\"$HOME\" " + locale + " ./hla inspect \"$name\"");
      assertEquals(Exit.DONE, ran.code(), locale + ran.err());
    }
  }

  @Test
  void aClosedStandardInputIsEmpty() throws Exception {
    Ran ran = bash("./hla doctor --error - <&-");
    assertEquals(Exit.CHECK_FAILED, ran.code(), ran.err());
    assertTrue(ran.errorLine().contains("not a known error"), ran.err());
  }

  @Test
  void outputThatIsLostIsAFailure() throws Exception {
    for (String line : new String[] {"inspect m.onnx", "inspect m.onnx --json", "lib-path", "--help", "inspect --help", "--version"}) {
      Ran ran = bash("./hla " + line + " >&-");
      assertEquals(Exit.FAILED, ran.code(), line);
      assertTrue(ran.errorLine().startsWith("hla: standard output could not be written to the end ("), ran.err());
    }
    assertEquals(Exit.DONE, bash("./hla inspect m.onnx -q >&-").code(), "nothing was to be printed");
  }

  @Test
  void aReaderThatHasEnoughIsNone() throws Exception {
    Ran ran = bash("{ sleep 1; ./hla inspect m.onnx --json; echo \"code $?\" >&2; } | true");
    assertEquals("code 0", ran.errorLine());
  }

  @Test
  void aCopyOfTheFolderIsBuiltAnew() throws Exception {
    // In the place of Maven: what it does to the list of jars, and no more.
    String maven = "mkdir bin copy; printf '#!/bin/sh\nsed -i \"s#^[^:]*#$PWD/cli/src/main#\" cli/target/hla.classpath\n' >bin/mvn; chmod +x bin/mvn; ";
    Ran first = bash(maven + "cp -a hla pom.xml cli copy/; PATH=$PWD/bin:$PATH copy/hla inspect m.onnx");
    assertEquals(Exit.DONE, first.code(), first.err());
    assertTrue(first.errorLine().startsWith("hla: building"), first.err());
    for (String hla : new String[] {"copy/hla", "./hla"}) {
      Ran again = bash("PATH=$PWD/bin:$PATH " + hla + " inspect m.onnx");
      assertEquals("", again.err(), hla);
      assertEquals(first.out(), again.out(), hla);
    }
  }

  private Ran bash(String script) throws Exception {
    Path out = folder.resolve("out.txt");
    Path err = folder.resolve("err.txt");
    ProcessBuilder bash = new ProcessBuilder("bash", "-c", script).directory(folder.toFile()).redirectOutput(out.toFile()).redirectError(err.toFile());
    bash.environment().put("PATH", Path.of(System.getProperty("java.home"), "bin") + File.pathSeparator + System.getenv("PATH"));
    bash.environment().remove("JAVA_HOME");
    Process process = bash.start();
    process.getOutputStream().close();
    assertTrue(process.waitFor(2, TimeUnit.MINUTES), script);
    return new Ran(process.exitValue(), Files.readString(out), Files.readString(err));
  }
}
