package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A refinement that ends far from the original: its finished state, which the next start takes up, is spoilt. */
class WorseRefinementTest {
  /** The state is written every 50 steps. */
  private static final String STEPS = "50";
  private static final String WARNING = "the refinement did not bring the model's output nearer to the original's (";

  @TempDir Path folder;

  @BeforeEach
  void writeInputs() throws IOException {
    SmallClips.write(folder.resolve("inputs"), 3, 1);
  }

  @Test
  void distillLeavesItOutAndSaysSo() throws Exception {
    run("distill", "plain.safetensors", "--refine", "0", "--ranks", "2^2,1", "--no-baseline");
    String[] refined = {"--refine", STEPS, "--ranks", "2^2,1", "--no-baseline"};
    Ran good = run("distill", "refined.safetensors", refined);
    assertFalse(good.err().contains(WARNING), good.err());
    assertFalse(Arrays.equals(bytes("plain.safetensors"), bytes("refined.safetensors")));
    spoil();
    Ran ran = run("distill", "spoilt.safetensors", refined);
    JsonNode json = new JsonMapper().readTree(ran.out());
    assertTrue(json.path("after").path("mean").asDouble() > json.path("before").path("mean").asDouble(), ran.out());
    assertTrue(ran.err().contains(WARNING) && ran.err().contains(" before); the maps are those before it"), ran.err());
    assertArrayEquals(bytes("plain.safetensors"), bytes("spoilt.safetensors"));
  }

  @Test
  void planLeavesItOutAndSaysSo() throws Exception {
    String[] budget = {"--convert", "1", "--choice", "2^2,1", "--seconds", "0.05"};
    run("plan", "plain.json", with(budget, "0"));
    Ran good = run("plan", "refined.json", with(budget, STEPS));
    assertFalse(good.err().contains(WARNING), good.err());
    spoil();
    Ran ran = run("plan", "spoilt.json", with(budget, STEPS));
    JsonNode json = new JsonMapper().readTree(ran.out());
    assertTrue(json.path("refined_error").asDouble() > json.path("measured_error").asDouble(), ran.out());
    assertTrue(ran.err().contains(WARNING) && ran.err().contains(" before); the maps are those before it"), ran.err());
    assertArrayEquals(bytes("plain.safetensors"), bytes("spoilt.safetensors"));
    assertFalse(Arrays.equals(bytes("plain.safetensors"), bytes("refined.safetensors")));
  }

  /** Turns the weights of every map round, in the state of the refinement. */
  private void spoil() throws IOException {
    try (Stream<Path> files = Files.list(folder.resolve("work"))) {
      Path state = files.filter(file -> file.getFileName().toString().matches("refine-.*\\.npz")).findFirst().orElseThrow();
      Map<String, Tensor> arrays = new LinkedHashMap<>(Npz.readAll(state));
      arrays.replaceAll((name, tensor) -> name.contains(".weights.") ? reversed(tensor) : tensor);
      try (OutputStream out = Files.newOutputStream(state)) {
        Npz.write(arrays, out);
      }
    }
  }

  private static Tensor reversed(Tensor tensor) {
    float[] values = tensor.floats();
    float[] turned = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      turned[i] = values[values.length - 1 - i];
    }
    return Tensor.of(turned, tensor.shape());
  }

  private static String[] with(String[] budget, String steps) {
    return Stream.concat(Stream.of(budget), Stream.of("--refine", steps)).toArray(String[]::new);
  }

  private byte[] bytes(String file) throws IOException {
    return Files.readAllBytes(folder.resolve(file));
  }

  /** One clip is all there is to fit to and to measure on, so that a refinement is sure to gain. */
  private Ran run(String verb, String output, String... options) {
    List<String> arguments = new ArrayList<>(List.of(verb, ShapesWan.model().toString(), "-o", folder.resolve(output).toString(), "--work",
        folder.resolve("work").toString(), "--inputs", folder.resolve("inputs").toString(), "--samples", "2", "--held-out", "1", "--steps", "10", "--sites", "blocks.3.attn*",
        "--json"));
    arguments.addAll(List.of(options));
    Ran ran = Ran.hla(arguments.toArray(String[]::new));
    assertEquals(Exit.DONE, ran.code(), ran.err());
    return ran;
  }
}
