package dev.hla.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** A finished child process: its exit code and what it printed on both streams. */
record NativeProcess(int exit, String printed) {
  static NativeProcess run(List<String> command) throws IOException, InterruptedException {
    return run(command, Map.of());
  }

  static NativeProcess run(List<String> command, Map<String, String> environment) throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().putAll(environment);
    Process process = builder.start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new NativeProcess(process.waitFor(), printed);
  }
}
