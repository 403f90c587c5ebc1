package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What an unfinished capture knows its prompts by. */
class PromptsTest {
  private static final Pattern LAST_NUMBER = Pattern.compile("(?<before>.*[^\\d.-])-?\\d+\\.\\d+", Pattern.DOTALL);

  @TempDir Path folder;

  @Test
  void embeddingsOfTheSameLengthAreOtherPrompts() throws IOException {
    Path file = folder.resolve("a.npz");
    write(file, Tensor.of(new float[] {1, 2}, 1, 2));
    String first = Prompts.of(file).identity();
    assertEquals(first, Prompts.of(file).identity());
    write(file, Tensor.of(new float[] {1, 3}, 1, 2));
    assertNotEquals(first, Prompts.of(file).identity());
    write(file, Tensor.of(new float[] {1}, 1));
    HlaException e = assertThrows(HlaException.class, () -> Prompts.of(file));
    assertTrue(e.getMessage().endsWith("one array [tokens, width] each; it has [red float32[1]]"), e.getMessage());
  }

  @Test
  void theSameWordsWithOtherEmbeddingsAreOtherPrompts() throws IOException {
    String text = Files.readString(ShapesWan.vocabulary());
    Path file = Files.writeString(folder.resolve("v.json"), text);
    String first = Prompts.of(Vocabulary.read(file), file).identity();
    assertEquals(first, Prompts.of(Vocabulary.read(ShapesWan.vocabulary()), file).identity());
    Files.writeString(file, LAST_NUMBER.matcher(text).replaceFirst("${before}7.5"));
    assertNotEquals(first, Prompts.of(Vocabulary.read(file), file).identity());
  }

  private static void write(Path file, Tensor embedding) throws IOException {
    try (OutputStream out = Files.newOutputStream(file)) {
      Npz.write(Map.of("red", embedding), out);
    }
  }
}
