package dev.hla.distill.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PlanFileTest {
  @TempDir Path folder;

  @Test
  void isReadAsItWasWritten() throws IOException {
    PlanFile.Site site = new PlanFile.Site("a", PlanFile.Site.SOFTMAX, 2, "why", List.of(new PlanFile.Measured("8^2,1", 36, 0.1, 0.05, 1)));
    PlanFile plan = new PlanFile(PlanFile.FORMAT, "m.onnx", "p.safetensors", "1 site", "here", 9, 0.25, 1.3, 8, 8.5, 0.1, 0.11, null, List.of(site));
    Path file = Files.writeString(folder.resolve("p.json"), plan.json());
    assertEquals(plan, PlanFile.read(file));
  }

  @Test
  void whatIsNoPlanIsNamed() throws IOException {
    for (String text : List.of("{}", "[1", "{\"format\": \"hla-plan/0\"}", "{\"unknown\": 1}")) {
      Path file = Files.writeString(folder.resolve("bad.json"), text);
      HlaException e = assertThrows(HlaException.class, () -> PlanFile.read(file), text);
      assertTrue(e.getMessage().startsWith(file + ": no plan"), e.getMessage());
    }
  }
}
