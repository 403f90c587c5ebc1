package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelSessionTest {
  @TempDir Path folder;

  @Test
  void inputsAreConvertedToTheModelsTypes() throws IOException {
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    Tensor full = run(ShapesWan.model(), inputs);
    Tensor half = run(ShapesWan.modelFp16(), inputs);
    assertEquals(ElementType.FLOAT32, full.type());
    assertEquals(ElementType.FLOAT16, half.type());
    assertTrue(Difference.between(full, half, "sample").relative() < 0.01);
  }

  @Test
  void aModelInMemoryGivesWhatTheFileGives() throws IOException {
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    byte[] bytes = Files.readAllBytes(ShapesWan.model());
    try (ModelSession session = ModelSession.open(bytes, folder, "memory", ModelSession.Settings.DEFAULT)) {
      assertArrayEquals(run(ShapesWan.model(), inputs).floats(), session.run(inputs).get("sample").floats());
    }
  }

  @Test
  void wrongInputsAreNamed() throws IOException {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      Map<String, Tensor> inputs = new HashMap<>(Npz.readAll(ShapesWan.exampleInputs()));
      inputs.put("extra", Tensor.of(new float[1], 1));
      assertMessage("has no input extra", () -> session.run(inputs));
      inputs.remove("extra");
      inputs.put("timestep", Tensor.of(new float[1], 1, 1));
      assertMessage("its input timestep is [batch], but float32[1, 1] was given", () -> session.run(inputs));
      inputs.remove("timestep");
      assertMessage("no value for its input timestep", () -> session.run(inputs));
    }
  }

  @Test
  void whatIsNoModelIsRefusedInOneLine() throws IOException {
    assertMessage("no such file", () -> open(folder.resolve("none.onnx")));
    byte[] whole = Files.readAllBytes(ShapesWan.model());
    assertMessage("not an ONNX model", () -> open(file(Arrays.copyOf(whole, whole.length / 2))));
    assertMessage("not an ONNX model", () -> open(file("hello, this is a text".getBytes())));
    assertMessage("", () -> open(file(new byte[0])));
  }

  @Test
  void randomInputsFollowTheShapesAndTheSeed() {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      RandomInputs random = new RandomInputs(Map.of("frames", 2, "height", 6, "width", 9, "text_tokens", 4), 1);
      Map<String, Tensor> inputs = random.complete(session.inputs(), Map.of());
      assertEquals("float32[1, 3, 2, 6, 9]", inputs.get("hidden_states").toString());
      assertEquals("float32[1]", inputs.get("timestep").toString());
      assertTrue(inputs.get("timestep").get(0) > 0 && inputs.get("timestep").get(0) < 1000);
      assertArrayEquals(new long[] {1, 3, 2, 6, 9}, session.run(inputs).get("sample").shape());
      Map<String, Tensor> again = new RandomInputs(random.dimensions(), 1).complete(session.inputs(), Map.of());
      assertArrayEquals(inputs.get("hidden_states").floats(), again.get("hidden_states").floats());
    }
  }

  @Test
  void aGivenInputDecidesTheAxesOfTheOthers() throws IOException {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      Tensor clip = Npz.readAll(ShapesWan.exampleInputs()).get("hidden_states");
      Map<String, Tensor> inputs = new RandomInputs(Map.of(), 0).complete(session.inputs(), Map.of("hidden_states", clip));
      assertEquals(2, inputs.get("timestep").dim(0));
    }
  }

  @Test
  void anUnknownAxisIsNamed() {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      assertMessage("no open axis depth", () -> new RandomInputs(Map.of("depth", 3), 0).complete(session.inputs(), Map.of()));
    }
  }

  private static Tensor run(Path model, Map<String, Tensor> inputs) {
    try (ModelSession session = open(model)) {
      return session.run(inputs).get("sample");
    }
  }

  private static ModelSession open(Path model) {
    return ModelSession.open(model, ModelSession.Settings.DEFAULT);
  }

  private Path file(byte[] content) throws IOException {
    return Files.write(folder.resolve("x.onnx"), content);
  }

  private static void assertMessage(String part, org.junit.jupiter.api.function.Executable action) {
    HlaException e = assertThrows(HlaException.class, action);
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertFalse(e.getMessage().contains("\n"), e.getMessage());
  }
}
