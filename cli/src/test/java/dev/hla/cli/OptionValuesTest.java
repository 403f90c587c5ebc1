package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Values of options: what is none is wrong usage, before any work, and named. */
class OptionValuesTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {
      "run MODEL --threads 100000", "run MODEL --threads -1", "verify MODEL MODEL --threads -1", "generate MODEL --prompt x --threads 100000",
      "distill MODEL -o OUT --threads 100000", "bench op --threads 100000",
      "run MODEL --dim frames=0", "run MODEL --dim =3", "verify MODEL MODEL --dim frames=-2", "generate MODEL --prompt x --dim frames=0", "plan MODEL -o OUT --dim =1",
      "generate MODEL --prompt x --guidance NaN", "generate MODEL --prompt x --guidance Infinity", "generate MODEL --prompt x --frame-millis 0",
      "generate MODEL --prompt x --frame-millis 65536",
      "verify MODEL MODEL --max-error NaN", "verify MODEL MODEL --max-error -1", "verify MODEL MODEL --max-error Infinity", "verify MODEL MODEL --max-site-error NaN",
      "plan MODEL -o OUT --max-error NaN", "plan MODEL -o OUT --speedup NaN", "plan MODEL -o OUT --speedup 0", "plan MODEL -o OUT --convert 1 --seconds NaN",
      "plan MODEL -o OUT --convert 1 --steps -1", "plan MODEL -o OUT --convert 1 --refine -1", "plan MODEL -o OUT --convert 1 --choice 0,1",
      "distill MODEL -o OUT --samples 0", "distill MODEL -o OUT --held-out 0", "distill MODEL -o OUT --steps -1", "distill MODEL -o OUT --refine -1",
      "distill MODEL -o OUT --ranks 8:none", "bench maps MODEL --maps 8;16^9", "bench maps MODEL --maps ;", "bench maps MODEL --steps -1",
      "report MODEL --maps MAPS -o OUT --clips 0", "report MODEL --maps MAPS -o OUT --steps 0",
      "convert MODEL --maps MAPS -o OUT --min-tokens -1", "convert MODEL --maps MAPS -o OUT --kind selfish",
      "convert MODEL --unfitted -o OUT --ranks 0,1", "convert MODEL --unfitted -o OUT --ranks ,,", "convert MODEL --unfitted -o OUT --ranks 16^9",
      "convert MODEL --unfitted -o OUT --ranks=", "convert MODEL --maps MAPS -o OUT --ranks 8", "convert MODEL --plan x -o OUT --ranks 8", "bench op --ranks 16^9",
      "demo -o OUT --longest 511", "demo -o OUT --longest 8193", "demo -o OUT --longest 99999999999"})
  void aValueOutOfBoundsIsWrongUsage(String line) {
    Ran ran = hla(line);
    assertEquals(Exit.USAGE, ran.code(), ran.err());
    List<String> words = List.of(line.split("[ =]"));
    assertTrue(words.stream().filter(word -> word.startsWith("--")).anyMatch(ran.errorLine()::contains), ran.err());
    assertFalse(ran.err().contains("java.") || ran.err().contains("Exception"), ran.err());
    assertEquals(0, folder.toFile().list().length);
  }

  @Test
  void noThreadsMeansOnePerCore() {
    for (String threads : List.of("0", "1", "64")) {
      assertEquals(Exit.DONE, hla("run MODEL --threads " + threads).code());
    }
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {"--kind | self, joint", "--sites | blocks.0.*, blocks.1.*", "--kind | SELF , cross"})
  void blanksInListsDoNotCount(String option, String value) {
    Ran ran = Ran.hla("convert", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "--dry-run", option, value);
    assertEquals(Exit.DONE, ran.code(), ran.err());
    assertTrue(ran.out().contains("blocks.0.attn.core") && ran.out().contains("converted: ranks"), ran.out());
  }

  @Test
  void aNumberOfKeysThatTheModelLeavesOpenIsSaid() {
    Ran ran = hla("convert MODEL --maps MAPS --dry-run --min-tokens 100000");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    String note = ".attn.core: converted although --min-tokens asks for 100000: the model leaves its number of keys open";
    assertEquals(4, ran.err().lines().filter(line -> line.contains(note)).count(), ran.err());
    assertEquals("", hla("convert MODEL --maps MAPS --dry-run").err());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "{\"words\": []} | no plan: \"format\" is missing, \"hla-plan/1\" with maps and sites expected",
      "[1] | no plan: \"format\" is missing",
      "{\"format\": \"hla-plan/1\", \"maps\": \"m\", \"sites\": [{\"name\": \"a\", \"choice\": \"b\", \"what\": 4}]} | no plan: \"sites.0.what\" is not as in hla-plan/1",
      "{\"format\": \"hla-plan/1\", \"maps\": \"m\", \"sites\": [{\"name\": \"a\"}]} | no plan: \"sites.0.choice\" is no text",
      "{\"format\": \"hla-plan/1\", \"maps\": \"m\", \"sites\": [null]} | no plan: \"sites.0.name\" is no text",
      "{\"format\": \"hla-plan/1\", \"maps\": \"m\", \"sites\": []} 1 | no plan: more follows its end",
      "{\"format\": | no plan: not JSON: Unexpected end-of-input within/between Object entries, line 1, column 11",
      "BINARY | no plan: not JSON: "})
  void whatIsNoPlanSaysSoInPlainWords(String text, String message) throws IOException {
    Path plan = Files.write(folder.resolve("p.json"), text.equals("BINARY") ? Files.readAllBytes(ShapesWan.model()) : text.getBytes());
    Ran ran = hla("convert MODEL -o OUT --plan " + plan);
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("p.json: " + message), ran.err());
    assertTrue(Stream.of("dev.hla.", "Source", "Input length", "com.fasterxml", "(start marker").noneMatch(ran.err()::contains), ran.err());
  }

  @Test
  void brokenWordsNameTheirPlace() throws IOException {
    Path words = Files.writeString(folder.resolve("v.json"), "{\"words\": [1,\n");
    Ran ran = hla("generate MODEL --prompt x --vocabulary " + words);
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().matches(".*v\\.json: not JSON: [^\\[\\]]*, line 2, column 1"), ran.err());
  }

  private Ran hla(String line) {
    return Ran.hla(line.replace("MODEL", ShapesWan.model().toString()).replace("MAPS", ShapesWan.maps().toString())
        .replace("OUT", folder.resolve("out").toString()).split(" "));
  }
}
