package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What an output may replace, and the permissions that it gets. */
class OutputFileTest {
  @TempDir Path folder;

  /** One verb that writes through the converter, one that writes by itself. */
  static Stream<String> verbs() {
    return Stream.of("convert " + ShapesWan.model() + " --maps " + ShapesWan.maps(), "run " + ShapesWan.model() + " -i " + ShapesWan.exampleInputs());
  }

  @ParameterizedTest
  @MethodSource("verbs")
  void aPipeStaysEvenWithForce(String verb) throws Exception {
    Path pipe = folder.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    Ran ran = Ran.hla((verb + " --force -o " + pipe).split(" "));
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("pipe: is a device, a pipe or a socket"), ran.err());
    assertTrue(Files.exists(pipe) && !Files.isRegularFile(pipe));
    assertEquals(List.of("pipe"), List.of(folder.toFile().list()));
  }

  @ParameterizedTest
  @MethodSource("verbs")
  void aLinkToNothingStays(String verb) throws IOException {
    Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("nowhere"));
    for (String option : List.of("--force", "--debug")) {
      Ran ran = Ran.hla((verb + " " + option + " -o " + link).split(" "));
      assertEquals(Exit.FAILED, ran.code());
      assertTrue(ran.err().contains("link: is a link to nothing"), ran.err());
      assertTrue(Files.isSymbolicLink(link));
      assertEquals(List.of("link"), List.of(folder.toFile().list()));
    }
  }

  @ParameterizedTest
  @MethodSource("verbs")
  void aReplacedFileKeepsItsPermissions(String verb) throws IOException {
    Path out = Files.writeString(folder.resolve("out"), "old");
    for (String mode : List.of("rw-------", "rw-rw-r--")) {
      Files.setPosixFilePermissions(out, PosixFilePermissions.fromString(mode));
      assertEquals(Exit.DONE, Ran.hla((verb + " --force -o " + out).split(" ")).code());
      assertEquals(mode, PosixFilePermissions.toString(Files.getPosixFilePermissions(out)));
      assertTrue(Files.size(out) > 3);
    }
  }

  @ParameterizedTest
  @MethodSource("verbs")
  void aNewFileHasThePermissionsOfEveryNewFile(String verb) throws Exception {
    Path out = folder.resolve("out");
    ProcessBuilder hla = new ProcessBuilder("sh", "-c", "umask 027; exec \"$JAVA\" dev.hla.cli.Hla " + verb + " -q -o " + out).inheritIO();
    hla.environment().put("JAVA", Path.of(System.getProperty("java.home"), "bin", "java").toString());
    hla.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    assertEquals(0, hla.start().waitFor());
    assertEquals("rw-r-----", PosixFilePermissions.toString(Files.getPosixFilePermissions(out)));
  }

  @Test
  void noneOfSeveralFilesAppearsWhereOneCannotBeFilled() throws IOException {
    OutputFile first = OutputFile.at(folder.resolve("a"), false);
    OutputFile second = OutputFile.at(folder.resolve("b"), false);
    Map<OutputFile, OutputFile.Content> contents = new LinkedHashMap<>();
    contents.put(first, out -> out.write(1));
    contents.put(second, out -> {
      out.write(1);
      throw new IOException("No space left on device");
    });
    HlaException e = assertThrows(HlaException.class, () -> OutputFile.writeAll(contents));
    assertEquals(folder.resolve("b") + ": cannot be written (No space left on device)", e.getMessage());
    assertEquals(0, folder.toFile().list().length);
    contents.put(second, out -> out.write(2));
    OutputFile.writeAll(contents);
    assertEquals(2, folder.toFile().list().length);
  }

  @Test
  void aFileInPlaceOfAFolderIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("out"), "");
    Ran ran = Ran.hla("report", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", file.toString());
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().endsWith("out: is a file; the name of a folder is wanted"), ran.err());
  }
}
