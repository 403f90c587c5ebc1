package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * What a program did.
 *
 * @param output its standard output and standard error, mixed
 */
record Program(int code, String output) {
  private static final int MINUTES = 5;

  static Program run(List<String> command) throws IOException, InterruptedException {
    return in(Path.of(""), command);
  }

  static Program in(Path folder, List<String> command) throws IOException, InterruptedException {
    return in(folder, Map.of(), command);
  }

  /**
   * Runs a command; fails where it does not end, and throws where there is no such program.
   *
   * @param environment variables that differ from those here
   */
  static Program in(Path folder, Map<String, String> environment, List<String> command) throws IOException, InterruptedException {
    // Through a file, so that a program that hangs can be ended while its output is read.
    Path output = Files.createTempFile("program", ".txt");
    try {
      ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toAbsolutePath().toFile())
          .redirectErrorStream(true).redirectOutput(output.toFile());
      builder.environment().putAll(environment);
      Process process = builder.start();
      process.getOutputStream().close();
      boolean ended = process.waitFor(MINUTES, TimeUnit.MINUTES);
      process.destroyForcibly();
      assertTrue(ended, () -> String.join(" ", command) + " did not end within " + MINUTES + " minutes");
      return new Program(process.exitValue(), Files.readString(output));
    } finally {
      Files.delete(output);
    }
  }
}
