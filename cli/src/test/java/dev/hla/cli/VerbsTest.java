package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.runtime.Difference;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The verbs that run models, from outside: exit codes, what is printed where, what is written. */
class VerbsTest {
  private static final String MODEL = ShapesWan.model().toString();
  private static final String HALF = ShapesWan.modelFp16().toString();
  private static final String EXAMPLE = ShapesWan.exampleInputs().toString();

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"run", "verify", "generate", "report", "doctor", "lib-path", "demo"})
  void everyVerbHasHelpAndTheCommonOptions(String verb) {
    Ran ran = Ran.hla(verb, "--help");
    assertEquals(Exit.DONE, ran.code());
    for (String option : List.of("--json", "--quiet", "--debug", "--help")) {
      assertTrue(ran.out().contains(option), option + " is missing in: " + ran.out());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {
      "run", "run --nonsense x", "run x --threads many", "verify", "generate m.onnx", "generate m.onnx --prompt a --embeddings b",
      "doctor x"})
  void aCommandLineThatMakesNoSenseIsExitCodeTwoAndOneLine(String line) {
    Ran ran = Ran.hla(line.split(" "));
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().startsWith("hla " + line.split(" ")[0] + ": "), ran.err());
    assertEquals("", ran.out());
  }

  @Test
  void aPortableModelAloneHasNothingToCompareWith() {
    String portable = folder.resolve("portable.onnx").toString();
    assertEquals(Exit.DONE, Ran.hla("convert", MODEL, "--maps", ShapesWan.maps().toString(), "--portable", "-o", portable).code());
    Ran alone = Ran.hla("verify", portable, "-i", EXAMPLE);
    assertEquals(Exit.USAGE, alone.code(), alone.out());
    assertTrue(alone.errorLine().contains("as plain nodes, which run the same without the library; name a second model"), alone.err());
    assertEquals(Exit.DONE, Ran.hla("verify", MODEL, portable, "-i", EXAMPLE).code());
  }

  @Test
  void theNearestVerbAndOptionAreSuggested() {
    assertTrue(Ran.hla("generat").errorLine().contains("did you mean generate"));
    assertTrue(Ran.hla("run", "--jsn", "x").errorLine().contains("did you mean --json"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"run NONE", "verify NONE NONE", "verify MODEL NONE", "generate NONE --prompt x", "run FOLDER"})
  void aMissingFileIsNamed(String line) {
    Ran ran = Ran.hla(fill(line));
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().matches("hla \\w+: " + (line.contains("FOLDER") ? ".*: is a folder.*" : ".*none.onnx: no such file")), ran.err());
    assertNothingWritten();
  }

  @ParameterizedTest
  @ValueSource(strings = {"run BAD -o OUT.npz", "verify MODEL BAD -i EXAMPLE", "verify BAD MODEL", "generate BAD --vocabulary WORDS --prompt PROMPT -o OUT.npy"})
  void whatIsNoModelIsRefusedAndNothingIsWritten(String line) throws IOException {
    byte[] whole = Files.readAllBytes(ShapesWan.model());
    for (byte[] content : List.of("some text".getBytes(), Arrays.copyOf(whole, whole.length / 2), new byte[0], new byte[] {8, 8})) {
      Path bad = Files.write(folder.resolve("bad.onnx"), content);
      Ran ran = Ran.hla(fill(line));
      assertEquals(Exit.FAILED, ran.code(), ran.err());
      assertTrue(ran.errorLine().contains("bad.onnx: "), ran.err());
      Files.delete(bad);
      assertNothingWritten();
    }
  }

  @Test
  void debugAddsTheStackTrace() {
    assertTrue(Ran.hla("run", "none.onnx", "--debug").err().contains("at dev.hla.cli."));
  }

  @Test
  void runWritesItsOutputsAndReportsThem() throws IOException {
    Path out = folder.resolve("out.npz");
    Ran ran = Ran.hla("run", MODEL, "-i", EXAMPLE, "-o", out.toString(), "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode document = json(ran);
    assertEquals("sample", document.at("/outputs/0/name").asText());
    assertEquals("given", document.at("/inputs/0/source").asText());
    assertEquals(List.of(2, 3, 8, 24, 24), Stream.of(0, 1, 2, 3, 4).map(i -> document.at("/outputs/0/shape/" + i).asInt()).toList());
    Tensor sample = Npz.readAll(out).get("sample");
    assertEquals(2 * 3 * 8 * 24 * 24, sample.size());
    assertEquals(document.at("/outputs/0/max").asDouble(), max(sample), 1e-6);
  }

  @Test
  void anExistingOutputStaysUnlessForced() throws IOException {
    Path out = Files.writeString(folder.resolve("out.npz"), "precious");
    Ran refused = Ran.hla("run", MODEL, "-i", EXAMPLE, "-o", out.toString());
    assertEquals(Exit.FAILED, refused.code());
    assertTrue(refused.errorLine().contains("exists already") && refused.err().contains("--force"), refused.err());
    assertEquals("precious", Files.readString(out));
    assertEquals(Exit.DONE, Ran.hla("run", MODEL, "-i", EXAMPLE, "-o", out.toString(), "--force").code());
    assertTrue(Npz.readAll(out).containsKey("sample"));
  }

  @Test
  void aFailedRunLeavesNoFile() {
    Ran ran = Ran.hla("run", MODEL, "--dim", "height=1", "-o", folder.resolve("out.npz").toString());
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("the run failed"), ran.err());
    assertNothingWritten();
  }

  @Test
  void anOutputInAMissingFolderIsRefusedBeforeTheWork() {
    Ran ran = Ran.hla("run", MODEL, "-o", folder.resolve("no/out.npz").toString());
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("there is no folder"), ran.err());
  }

  @Test
  void quietPrintsNothing() {
    Ran ran = Ran.hla("run", MODEL, "-i", EXAMPLE, "-q");
    assertEquals(Exit.DONE, ran.code());
    assertEquals("", ran.out() + ran.err());
  }

  @Test
  void aModelHoldsAgainstItself() {
    Ran ran = Ran.hla("verify", MODEL, MODEL, "-i", EXAMPLE, "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode document = json(ran);
    assertEquals(0, document.at("/outputs/0/relative_error").asDouble(-1));
    assertTrue(document.get("holds").asBoolean());
  }

  @Test
  void theLimitOfAComparisonIsThatOfTheCoarserType() {
    Ran ran = Ran.hla("verify", MODEL, HALF, "-i", EXAMPLE, "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    assertEquals(2e-2, json(ran).at("/outputs/0/limit").asDouble());
  }

  @Test
  void aDifferenceAboveTheLimitIsExitCodeThree() {
    Ran ran = Ran.hla("verify", MODEL, HALF, "-i", EXAMPLE, "--max-error", "1e-6", "--json");
    assertEquals(Exit.CHECK_FAILED, ran.code());
    assertFalse(json(ran).get("holds").asBoolean());
  }

  @Test
  void oneModelWithoutConvertedAttentionCannotBeVerifiedAlone() {
    Ran ran = Ran.hla("verify", MODEL, "-i", EXAMPLE);
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().contains("no converted attention"), ran.err());
  }

  @Test
  void generateReproducesTheReferenceVideo() throws IOException {
    Path out = folder.resolve("out.npy");
    Path gif = folder.resolve("out.gif");
    Ran ran = Ran.hla("generate", MODEL, "--prompt", "red disc right slow", "--noise", ShapesWan.reference() + ":noise",
        "-o", out.toString(), "--picture", gif.toString());
    assertEquals(Exit.DONE, ran.code(), ran.err());
    Tensor expected = Npz.readReference(ShapesWan.reference() + ":video");
    assertTrue(Difference.between(expected, Npy.read(out), "video").largest() < 1e-3);
    assertTrue(Files.size(gif) > 1000);
  }

  @Test
  void generateShowsTwoModelsSideBySide() throws IOException {
    Path out = folder.resolve("out.npz");
    Path png = folder.resolve("out.png");
    Ran ran = Ran.hla("generate", MODEL, HALF, "--prompt", "blue ring up fast", "--steps", "2", "--seed", "4",
        "--dim", "frames=3", "-o", out.toString(), "--picture", png.toString(), "--scale", "2", "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    assertEquals(2, json(ran).get("models").size());
    assertEquals(List.of("video", "video_b", "noise"), List.copyOf(Npz.readAll(out).keySet()));
    var image = javax.imageio.ImageIO.read(png.toFile());
    assertEquals(3 * 48 + 2 * GenerateCommand.GAP, image.getWidth());
    assertEquals(2 * 48 + GenerateCommand.GAP, image.getHeight());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "--prompt MISSPELT | has no word 'rad'",
      "--prompt PROMPT --noise NONE:x | no such file",
      "--embeddings NONE:x | no such file",
      "--prompt PROMPT --noise EXAMPLE | choose one as",
      "--prompt PROMPT --noise EXAMPLE:text | has no array text",
      "--prompt PROMPT --noise EXAMPLE:timestep | its input hidden_states is"})
  void generateNamesWhatIsWrongWithItsInputs(String rest, String message) {
    Ran ran = Ran.hla(fill("generate MODEL --vocabulary WORDS --steps 1 " + rest + " -o OUT.npy"));
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains(message), ran.err());
    assertNothingWritten();
  }

  @ParameterizedTest
  @ValueSource(strings = {"--steps 0", "--scale 0", "-o x.bin", "--picture x.jpg", "--dim depth=3"})
  void generateRefusesOptionsOutOfRange(String rest) {
    Ran ran = Ran.hla(fill("generate MODEL --prompt PROMPT " + rest));
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().contains(rest.split(" ")[0]), ran.err());
  }

  @Test
  void doctorNamesTheRuntime() {
    Ran ran = Ran.hla("doctor", "--json");
    JsonNode document = json(ran);
    assertTrue(document.get("onnx_runtime").asText().startsWith("1."), ran.out());
    assertTrue(document.get("cores").asInt() > 0);
    assertEquals("Java", document.get("hosts").get(0).get("host").asText());
    assertEquals(document.has("library") ? Exit.DONE : Exit.CHECK_FAILED, ran.code());
  }

  /** Capital words stand for files and texts of this test. */
  private String[] fill(String line) {
    return Stream.of(line.split(" "))
        .map(word -> word.replace("NONE", folder.resolve("none.onnx").toString()).replace("FOLDER", folder.toString())
            .replace("MODEL", MODEL).replace("EXAMPLE", EXAMPLE).replace("BAD", folder.resolve("bad.onnx").toString())
            .replace("OUT", folder.resolve("out").toString()).replace("WORDS", ShapesWan.vocabulary().toString())
            .replace("PROMPT", "red disc right slow").replace("MISSPELT", "rad disc right slow"))
        .toArray(String[]::new);
  }

  private void assertNothingWritten() {
    assertEquals(List.of(), List.of(folder.toFile().list()));
  }

  /** Standard output is one document and nothing else. */
  static JsonNode json(Ran ran) {
    try {
      return JsonMapper.builder().enable(com.fasterxml.jackson.databind.DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build().readTree(ran.out());
    } catch (IOException e) {
      throw new AssertionError("not one JSON document: " + ran.out() + ran.err(), e);
    }
  }

  private static double max(Tensor tensor) {
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < tensor.size(); i++) {
      max = Math.max(max, tensor.get(i));
    }
    return max;
  }
}
