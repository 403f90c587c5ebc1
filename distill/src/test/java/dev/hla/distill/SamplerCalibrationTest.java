package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SamplerCalibrationTest {
  private static final long[] SMALL = {1, 3, 1, 6, 6};

  @Test
  void clipsShowEveryWordOfTheFirstGroup() throws IOException {
    Vocabulary vocabulary = Vocabulary.read(ShapesWan.vocabulary());
    ModelSession model = ModelSession.open(ShapesWan.model(), new ModelSession.Settings(false, 1));
    Set<String> shapes = new HashSet<>();
    try (SamplerCalibration calibration = new SamplerCalibration(model, Prompts.of(vocabulary, ShapesWan.vocabulary()), SMALL, 0)) {
      for (int clip = 0; clip < 24; clip++) {
        float[] text = calibration.noised(clip, 0.5f).get("encoder_hidden_states").floats();
        for (String word : vocabulary.groups().get("shape")) {
          float[] embedding = vocabulary.embed(word + " red right slow").floats();
          int width = embedding.length / 4;
          if (Arrays.equals(text, 0, width, embedding, 0, width)) {
            shapes.add(word);
          }
        }
      }
    }
    assertEquals(Set.copyOf(vocabulary.groups().get("shape")), shapes);
  }

  @Test
  void contrastsExchangeOneWordForEveryOtherOfItsKind() throws IOException {
    Vocabulary vocabulary = Vocabulary.read(ShapesWan.vocabulary());
    ModelSession model = ModelSession.open(ShapesWan.model(), new ModelSession.Settings(false, 1));
    try (SamplerCalibration calibration = new SamplerCalibration(model, Prompts.of(vocabulary, ShapesWan.vocabulary()), SMALL, 0)) {
      List<Contrast> contrasts = calibration.contrasts(3);
      assertFalse(contrasts.isEmpty());
      for (Contrast contrast : contrasts) {
        float[] prompt = text(contrast.prompted());
        assertArrayEquals(new float[prompt.length], text(contrast.unprompted()));
        int others = vocabulary.groups().values().stream().mapToInt(words -> words.size() - 1).sum();
        assertEquals(others, contrast.exchanged().size());
        for (Contrast.Exchanged exchanged : contrast.exchanged()) {
          assertSame(contrast.prompted().get("hidden_states"), exchanged.inputs().get("hidden_states"));
          float[] said = word(vocabulary, exchanged.words().said());
          float[] other = word(vocabulary, exchanged.words().other());
          for (int token = 0; token < prompt.length / said.length; token++) {
            float[] before = Arrays.copyOfRange(prompt, token * said.length, (token + 1) * said.length);
            float[] after = Arrays.copyOfRange(text(exchanged.inputs()), token * said.length, (token + 1) * said.length);
            assertArrayEquals(Arrays.equals(before, said) ? other : before, after, exchanged.words().toString());
          }
          assertFalse(Arrays.equals(prompt, text(exchanged.inputs())), exchanged.words().toString());
        }
      }
    }
  }

  private static float[] text(Map<String, Tensor> inputs) {
    return inputs.get("encoder_hidden_states").floats();
  }

  private static float[] word(Vocabulary vocabulary, String word) {
    float[] fourTimes = vocabulary.embed(String.join(" ", Collections.nCopies(4, word))).floats();
    return Arrays.copyOf(fourTimes, fourTimes.length / 4);
  }

  @Test
  void promptsThatAreNotMadeOfWordsHaveNoContrasts(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("prompts.npz");
    try (OutputStream out = Files.newOutputStream(file)) {
      Npz.write(Map.of("a", Tensor.of(new float[4 * 32], 4, 32)), out);
    }
    ModelSession model = ModelSession.open(ShapesWan.model(), new ModelSession.Settings(false, 1));
    try (SamplerCalibration calibration = new SamplerCalibration(model, Prompts.of(file), SMALL, 0)) {
      assertEquals(List.of(), calibration.contrasts(0));
    }
  }
}
