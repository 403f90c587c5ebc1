package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What maps are worth: the verbs report and bench maps. */
class ReportTest {
  @TempDir Path folder;

  @Test
  void aReportHasErrorsTimesAndClipsAsJsonAndAsOnePage() throws Exception {
    Path out = folder.resolve("out");
    // A small clip, for speed.
    Ran ran = Ran.hla("report", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", out.toString(), "--samples", "3",
        "--held-out", "2", "--clips", "2", "--steps", "2", "--dim", "frames=2", "--dim", "height=12", "--dim", "width=12", "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode json = new JsonMapper().readTree(ran.out());
    assertEquals(json, new JsonMapper().readTree(Files.readString(out.resolve("report.json"))));
    assertEquals(4, json.path("sites").size());
    for (JsonNode site : json.path("sites")) {
      assertEquals(216, site.path("state").asInt());
      assertTrue(site.path("error").asDouble() < site.path("mean_of_values").asDouble(), site.toString());
      assertTrue(site.path("plain_linear").asDouble() > 0, site.toString());
    }
    assertTrue(json.path("output").path("mean").asDouble() < 0.5, json.path("output").toString());
    assertEquals(8, json.path("output").path("at_time").size());
    assertEquals(2, json.path("clips").path("clips").size());
    assertTrue(json.path("clips").path("followed").path("colour").has("converted"));
    String page = Files.readString(out.resolve("report.html"));
    assertFalse(page.contains("{{") || page.contains("src=\"http"), "a part is missing, or lies elsewhere");
    assertEquals(4, page.split("data:image/png").length - 1);
    Ran again = Ran.hla("report", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", out.toString());
    assertTrue(again.errorLine().contains("report.json: exists already"), again.err());
  }

  @Test
  void plainLinearAttentionMeetsTheBestProductThatCostsNoMore() {
    List<BenchMapsCommand.Family> rows = List.of(
        new BenchMapsCommand.Family("mean of values", 0, 0, List.of(0.9, 0.9), 0.9),
        new BenchMapsCommand.Family("64:softplus", 1, 64, List.of(0.3, 0.2), 0.25),
        new BenchMapsCommand.Family("8^2,1", 2, 36, List.of(0.2, 0.21), 0.205),
        new BenchMapsCommand.Family("8^2,3^2,1", 4, 216, List.of(0.1, 0.1), 0.1));
    List<BenchMapsCommand.Contest> contests = BenchMapsCommand.contests(List.of("a", "b"), rows);
    assertEquals(List.of(new BenchMapsCommand.Contest("a", "64:softplus", 0.3, "8^2,1", 0.2, true),
        new BenchMapsCommand.Contest("b", "64:softplus", 0.2, "8^2,1", 0.21, false)), contests);
  }
}
