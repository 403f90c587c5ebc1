package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KnownErrorTest {
  private static final String KNOWN = "\n/opt/lib.so: file too short\n";

  @TempDir Path folder;

  /** Texts that make a pattern without bounds look at the rest of the text from every place in it. */
  @ParameterizedTest
  @ValueSource(strings = {"a", "a:", "a.", ": ", "\\", "Failed to load library ", "Failed to load library x with error: ", "version `x' not found (required by ",
      "cannot get file size: No such file or directory [", "Opset 1 is under development ", "ai.hla:a(",
      "External initializer: ", "GetFileLength for "})
  void aLongTextTakesSeconds(String part) {
    String text = part.repeat((1 << 20) / part.length()) + KNOWN;
    assertTimeoutPreemptively(Duration.ofSeconds(60), () ->
        assertEquals(List.of("not_a_library"), KnownError.in(text).stream().map(KnownError.Diagnosis::id).toList()));
  }

  @Test
  void noMoreThanAMegabyteIsRead() throws IOException {
    Path log = Files.writeString(folder.resolve("log"), KNOWN + "x".repeat(1 << 20));
    Ran ran = Ran.hla("doctor", "--error", log.toString());
    assertEquals(Exit.DONE, ran.code(), ran.err());
    assertTrue(ran.errorLine().endsWith("log: only the first 1048576 bytes were looked at"), ran.err());
    Files.writeString(log, "x".repeat(1 << 20) + KNOWN);
    assertEquals(Exit.CHECK_FAILED, Ran.hla("doctor", "--error", log.toString()).code());
  }
}
