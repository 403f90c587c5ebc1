package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The verb plan, and convert --plan that replays what it wrote. */
class PlanTest {
  private static final String MODEL = ShapesWan.model().toString();

  @TempDir Path folder;

  @Test
  void aPlanConvertsWhatItChoseAndKeepsTheRestForItsReasons() throws Exception {
    JsonNode half = plan("half.json", "--convert", "50%");
    assertEquals(4, half.path("sites").size());
    List<String> chosen = new ArrayList<>();
    for (JsonNode site : half.path("sites")) {
      boolean taken = !site.path("choice").asText().equals("softmax");
      assertEquals(taken, site.path("reason").asText().isEmpty(), site.toString());
      assertEquals(2, site.path("choices").size());
      for (JsonNode choice : site.path("choices")) {
        assertTrue(choice.path("error").asDouble() > 0 && choice.path("output_error").asDouble() > 0, choice.toString());
        assertTrue(choice.path("millis").asDouble() > 0, choice.toString());
      }
      if (taken) {
        chosen.add(site.path("name").asText());
      }
    }
    assertEquals(2, chosen.size());
    assertEquals(1 / (1 - half.path("attention_share").asDouble()), half.path("most_speedup").asDouble(), 1e-9);
    JsonNode converted = convert("half.json", "half.onnx");
    assertEquals(chosen, names(converted.path("converted")));
    List<String> reasons = converted.path("kept").findValuesAsText("reason");
    assertEquals(2, reasons.stream().filter(r -> r.startsWith("the plan was to convert 2 of 4 sites, and those chosen change the output less")).count(),
        reasons.toString());
    assertEquals(4, reasons.stream().filter("the plan did not look at it (--kind and --sites of hla plan)"::equals).count(), reasons.toString());

    // Edited by hand.
    ObjectNode edited = half.deepCopy();
    ObjectNode first = (ObjectNode) StreamSupport.stream(edited.path("sites").spliterator(), false).filter(s -> s.path("name").asText().equals(chosen.get(0))).findFirst().orElseThrow();
    first.put("choice", "softmax");
    Files.writeString(folder.resolve("edited.json"), edited.toString());
    JsonNode fewer = convert("edited.json", "edited.onnx");
    assertEquals(chosen.subList(1, 2), names(fewer.path("converted")));
    assertTrue(fewer.path("kept").findValuesAsText("reason").contains("the plan keeps it"), fewer.toString());
    first.put("choice", "16,16");
    Files.writeString(folder.resolve("edited.json"), edited.toString());
    Ran other = Ran.hla("convert", MODEL, "--plan", folder.resolve("edited.json").toString(), "--dry-run");
    assertTrue(other.errorLine().contains("plans 16,16 for the site " + chosen.get(0) + ", but "), other.err());

    // Another budget finds its fits in the folder of the first.
    JsonNode none = plan("none.json", "--convert", "0");
    assertEquals(half.path("sites").findValues("error"), none.path("sites").findValues("error"));
    assertEquals(0, convert("none.json", "none.onnx").path("converted").size());
  }

  @Test
  void aBudgetOutOfReachIsRefusedAndNothingIsWritten() {
    Ran ran = Ran.hla(arguments("far.json", "--speedup", "1000"));
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("no set of choices is within the budget (at least 1000.0 times as fast)"), ran.err());
    assertFalse(Files.exists(folder.resolve("far.json")) || Files.exists(folder.resolve("far.safetensors")));
  }

  private JsonNode plan(String name, String... budget) throws Exception {
    Ran ran = Ran.hla(arguments(name, budget));
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode printed = new JsonMapper().readTree(ran.out());
    assertEquals(printed, new JsonMapper().readTree(folder.resolve(name).toFile()));
    return printed;
  }

  /** A small clip and a few steps, for speed. */
  private String[] arguments(String name, String... budget) {
    List<String> arguments = new ArrayList<>(List.of("plan", MODEL, "-o", folder.resolve(name).toString(), "--work", folder.resolve("work").toString(),
        "--choice", "4^2,1", "--choice", "3^2,2^2,1", "--samples", "3", "--held-out", "2", "--steps", "4", "--refine", "2", "--seconds", "0.05",
        "--dim", "frames=2", "--dim", "height=12", "--dim", "width=12", "--json"));
    arguments.addAll(List.of(budget));
    return arguments.toArray(String[]::new);
  }

  private JsonNode convert(String plan, String output) throws Exception {
    Ran ran = Ran.hla("convert", MODEL, "--plan", folder.resolve(plan).toString(), "-o", folder.resolve(output).toString(), "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    return new JsonMapper().readTree(ran.out());
  }

  private static List<String> names(JsonNode sites) {
    return sites.findValuesAsText("name");
  }
}
