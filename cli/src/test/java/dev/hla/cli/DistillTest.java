package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Maps that the verb distill fits. */
class DistillTest {
  @TempDir Path folder;

  @Test
  void aSeedGivesTheSameFileOnOneThreadAndOnTwo() throws Exception {
    Path once = folder.resolve("once.safetensors");
    Path twice = folder.resolve("twice.safetensors");
    JsonNode json = distill(once, "1");
    distill(twice, "2");
    assertArrayEquals(Files.readAllBytes(once), Files.readAllBytes(twice));
    assertEquals(4, json.path("sites").size());
    assertTrue(json.path("mean_error").asDouble() < 0.5, json.toString());
    assertTrue(json.path("after").path("mean").asDouble() > 0, json.toString());
    assertFalse(Files.exists(folder.resolve("once.safetensors.work")), "the working folder was left");
  }

  /** A small clip and few steps, for speed. */
  private JsonNode distill(Path maps, String threads) throws Exception {
    Ran ran = Ran.hla("distill", ShapesWan.model().toString(), "-o", maps.toString(), "--ranks", "4^2,1", "--samples", "4", "--held-out", "2",
        "--steps", "20", "--refine", "3", "--no-baseline", "--dim", "frames=2", "--dim", "height=12", "--dim", "width=12", "--threads", threads,
        "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    return new JsonMapper().readTree(ran.out());
  }

  @ParameterizedTest
  @CsvSource({"notes.txt, is there already and holds no unfinished work", "'', is a file"})
  void whatIsTheUsersIsNotTakenForItsOwn(String inside, String message) throws Exception {
    Path own = folder.resolve("maps.work").resolve(inside);
    Files.createDirectories(own.getParent());
    Files.writeString(own, "mine");
    Ran ran = Ran.hla("distill", ShapesWan.model().toString(), "-o", folder.resolve("maps").toString());
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("maps.work: " + message), ran.err());
    assertEquals("mine", Files.readString(own));
  }
}
