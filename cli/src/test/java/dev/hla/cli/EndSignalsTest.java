package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A verb in a process of its own that is told to end. */
class EndSignalsTest {
  private static final long MOST_SECONDS = 120;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"INT, 130", "TERM, 143", "HUP, 129"})
  void whatIsUnfinishedGoesAndTheProcessEndsByTheSignal(String signal, int exit) throws Exception {
    Path temporary = Files.createDirectories(folder.resolve("temporary"));
    Path errors = folder.resolve("errors.txt");
    // A shell that would start it in the background has it ignore INT; env gives it back what it had.
    ProcessBuilder java = new ProcessBuilder("env", "--default-signal", Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + temporary, "-XX:ErrorFile=" + folder.resolve("crash.log"), "dev.hla.cli.Hla",
        "report", ShapesWan.model().toAbsolutePath().toString(), "--maps", ShapesWan.maps().toAbsolutePath().toString(), "-o", folder.resolve("report").toString());
    java.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    Process process = java.redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(errors.toFile()).start();
    try {
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(MOST_SECONDS);
      while (!holdsWork(temporary)) {
        assertTrue(process.isAlive() && System.nanoTime() < deadline, "it has begun no work: " + Files.readString(errors));
        Thread.sleep(5);
      }
      assertEquals(0, new ProcessBuilder("kill", "-" + signal, Long.toString(process.pid())).start().waitFor());
      assertTrue(process.waitFor(MOST_SECONDS, TimeUnit.SECONDS), "it goes on");
    } finally {
      process.destroyForcibly();
    }
    assertEquals(exit, process.exitValue(), Files.readString(errors));
    assertTrue(!holdsWork(temporary), "its work is left in " + temporary);
    assertEquals(0, folder.resolve("report").toFile().list().length);
    assertTrue(!Files.readString(errors).contains("Exception"), Files.readString(errors));
  }

  private static boolean holdsWork(Path temporary) throws IOException {
    try (var entries = Files.list(temporary)) {
      return entries.anyMatch(each -> each.getFileName().toString().startsWith("hla"));
    }
  }
}
