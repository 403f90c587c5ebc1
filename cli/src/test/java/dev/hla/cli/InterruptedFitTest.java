package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The verb distill in processes of its own that are killed, as by a power cut. */
class InterruptedFitTest {
  private static final long MOST_SECONDS = 120;

  @TempDir Path folder;

  @Test
  void killedInTheFitAndInTheRefinementItEndsAsIfItHadRunThrough() throws Exception {
    SmallClips.write(folder.resolve("inputs"), 4, 4);
    Path whole = folder.resolve("whole.safetensors");
    Path pieces = folder.resolve("pieces.safetensors");
    assertEquals(0, run(whole).waitFor(), errors());
    killAtFirst("fit-", pieces);
    killAtFirst("refine-", pieces);
    assertEquals(0, run(pieces).waitFor(), errors());
    assertArrayEquals(Files.readAllBytes(whole), Files.readAllBytes(pieces));
    assertFalse(Files.exists(work(pieces)), "the working folder was left");
  }

  /** Kills it (SIGKILL) when it has written the first state of what is named so. */
  private void killAtFirst(String state, Path output) throws Exception {
    Process process = run(output);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(MOST_SECONDS);
    while (!has(work(output), state)) {
      assertTrue(process.isAlive() && System.nanoTime() < deadline, "no " + state + "*.npz was seen: " + errors());
      Thread.sleep(2);
    }
    process.destroyForcibly().waitFor();
    assertEquals(128 + 9, process.exitValue(), "it had ended by itself: " + errors());
    assertFalse(Files.exists(output));
  }

  private static boolean has(Path folder, String state) throws IOException {
    if (!Files.exists(folder)) {
      return false;
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).anyMatch(name -> name.startsWith(state) && name.endsWith(".npz"));
    }
  }

  private static Path work(Path output) {
    return output.resolveSibling(output.getFileName() + ".work");
  }

  private Process run(Path output) throws IOException {
    // A state is written every 50 steps.
    ProcessBuilder java = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1", "dev.hla.cli.Hla",
        "distill", ShapesWan.model().toAbsolutePath().toString(), "-o", output.toString(), "--ranks", "2^2,1", "--inputs",
        folder.resolve("inputs").toString(), "--samples", "3", "--held-out", "1", "--sites", "blocks.2.attn*,blocks.3.attn*", "--steps", "70", "--refine", "55",
        "--no-baseline", "--threads", "2");
    // The class path goes through the environment: ONNX Runtime crashes where the command line is long.
    java.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    return java.redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(folder.resolve("errors.txt").toFile()).start();
  }

  private String errors() throws IOException {
    Path file = folder.resolve("errors.txt");
    return Files.exists(file) ? String.join(" ", List.of(Files.readString(file).split("\\R"))) : "";
  }
}
