package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The trained model converted with its fitted maps, from the command line to the video. */
class ConvertedModelTest {
  private static final String EXAMPLE = ShapesWan.exampleInputs().toString();

  @TempDir static Path folder;

  private static String full;
  private static String half;

  @BeforeAll
  static void convert() {
    full = convert(ShapesWan.model(), "full.onnx");
    half = convert(ShapesWan.modelFp16(), "half.onnx");
  }

  private static String convert(Path model, String name) {
    String output = folder.resolve(name).toString();
    Ran ran = Ran.hla("convert", model.toString(), "--maps", ShapesWan.maps().toString(), "-o", output);
    assertEquals(Exit.DONE, ran.code(), ran.err());
    return output;
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "--no-library"})
  void theReferenceNoiseGivesTheReferenceVideo(String option) throws IOException {
    Path out = folder.resolve("clip" + option + ".npy");
    Ran ran = Ran.hla("generate", full, "--vocabulary", ShapesWan.vocabulary().toString(), "--prompt", "red disc right slow",
        "--noise", ShapesWan.reference() + ":noise", "-o", out.toString(), option.isEmpty() ? "--json" : option);
    assertEquals(Exit.DONE, ran.code(), ran.err());
    double difference = Difference.between(Npz.readReference(ShapesWan.convertedReference() + ":video"), Npy.read(out), "video").largest();
    assertTrue(difference < 1e-3, "largest difference " + difference);
  }

  @Test
  void theConversionHoldsOnTheModelsOwnInputs() {
    Ran ran = Ran.hla("verify", ShapesWan.model().toString(), full, "-i", EXAMPLE, "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode document = VerbsTest.json(ran);
    assertTrue(document.at("/outputs/0/relative_error").asDouble() < 0.06, ran.out());
    assertEquals(List.of("blocks.0.attn.core", "blocks.1.attn.core", "blocks.2.attn.core", "blocks.3.attn.core"),
        document.get("sites").findValuesAsText("name"));
    for (JsonNode site : document.get("sites")) {
      double error = site.get("relative_error").asDouble();
      assertTrue(error > 1e-3 && error < 0.25, ran.out());
      assertTrue(site.get("cosine").asDouble() > 0.95, ran.out());
      // Even powers and an exponential gate: no denominator can be negative.
      assertTrue(site.get("smallest_denominator").asDouble() > 0, ran.out());
      assertEquals(0, site.get("negative_denominators").asInt(-1), ran.out());
      assertEquals("fitted", site.get("maps").asText());
    }
  }

  @Test
  void libraryAndPlainOnnxAgree() {
    for (String model : List.of(full, half)) {
      Ran ran = Ran.hla("verify", model, "-i", EXAMPLE, "--json");
      assertEquals(Exit.DONE, ran.code(), ran.err());
      double error = VerbsTest.json(ran).at("/outputs/0/relative_error").asDouble(1);
      assertTrue(error < (model.equals(full) ? 1e-5 : 2e-3), model + ": " + error);
    }
  }

  @Test
  void theHalfPrecisionModelConvertsAsWell() {
    Ran ran = Ran.hla("verify", ShapesWan.modelFp16().toString(), half, "-i", EXAMPLE, "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    assertTrue(VerbsTest.json(ran).at("/outputs/0/relative_error").asDouble(1) < 0.06, ran.out());
  }

  @Test
  void negativeDenominatorsAreTold() throws IOException {
    // The last site gets an epsilon so negative that its denominators change sign.
    ModelProto.Builder model = ModelProto.parseFrom(Files.readAllBytes(Path.of(full))).toBuilder();
    NodeProto.Builder last = null;
    for (NodeProto.Builder node : model.getGraphBuilder().getNodeBuilderList()) {
      last = node.getDomain().equals("ai.hla") ? node : last;
    }
    for (AttributeProto.Builder attribute : last.getAttributeBuilderList()) {
      if (attribute.getName().equals("epsilon")) {
        attribute.setF(-1e30f);
      }
    }
    Path damaged = Files.write(folder.resolve("damaged.onnx"), model.build().toByteArray());
    Ran ran = Ran.hla("verify", ShapesWan.model().toString(), damaged.toString(), "-i", EXAMPLE);
    assertEquals(Exit.CHECK_FAILED, ran.code(), ran.out());
    assertTrue(ran.err().contains("denominators are negative"), ran.err());
  }

  @Test
  void unfittedMapsDoNotHold() {
    String output = folder.resolve("unfitted.onnx").toString();
    Ran.hla("convert", ShapesWan.model().toString(), "--unfitted", "--ranks", "8,8", "--kind", "self", "-o", output, "-q");
    Ran ran = Ran.hla("verify", ShapesWan.model().toString(), output, "-i", EXAMPLE, "--json");
    assertEquals(Exit.CHECK_FAILED, ran.code(), ran.err());
    assertFalse(VerbsTest.json(ran).get("holds").asBoolean());
  }

  @Test
  void theDemoWritesOnePageThatNeedsNothingBesideIt() throws IOException {
    Path target = folder.resolve("demo");
    Ran ran = Ran.hla("demo", "-o", target.toString(), "--longest", "512", "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode document = VerbsTest.json(ran);
    assertEquals(target.resolve("index.html").toString(), document.get("page").asText());
    String page = Files.readString(target.resolve("index.html"));
    assertFalse(page.contains("{{"), "a part of the page was not filled in");
    assertFalse(page.matches("(?s).*(src|href)=\"(?!data:).*"), "the page refers to something outside it");
    // Both clips of five prompts and the frames of the first pair.
    assertEquals(12, page.split("data:image/png;base64,", -1).length - 1);
    assertTrue(document.at("/clips/0/psnr").asDouble() > 20, ran.out());
    assertTrue(Files.size(target.resolve("videos.gif")) > 1000);
    assertEquals(Exit.FAILED, Ran.hla("demo", "-o", target.toString()).code(), "a folder with files in it must be refused");
  }
}
