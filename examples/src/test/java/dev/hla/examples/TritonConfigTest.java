package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.hla.runtime.ElementType;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Slot;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** No server runs here; what can be checked without one is that the configuration describes the model. */
class TritonConfigTest {
  private static final Pattern SLOT = Pattern.compile("\\{ name: \"(\\w+)\" data_type: (\\w+) dims: \\[ ([-0-9, ]+) ] }");

  @Test
  void namesTheModelsInputsAndOutputs() throws Exception {
    List<String> written = new ArrayList<>();
    for (Matcher slot = SLOT.matcher(Files.readString(Path.of("triton", "shapes_wan", "config.pbtxt"))); slot.find();) {
      written.add(slot.group(1) + " " + slot.group(2) + " " + slot.group(3));
    }
    List<String> expected = new ArrayList<>();
    try (ModelSession session = ModelSession.open(ShapesWan.model(), new ModelSession.Settings(false, 0))) {
      session.inputs().forEach(slot -> expected.add(text(slot)));
      session.outputs().forEach(slot -> expected.add(text(slot)));
    }
    assertEquals(expected, written);
  }

  private static String text(Slot slot) {
    assertEquals(ElementType.FLOAT32, slot.type());
    return slot.name() + " TYPE_FP32 " + slot.shape().stream().map(size -> size < 0 ? "-1" : size.toString()).collect(Collectors.joining(", "));
  }
}
