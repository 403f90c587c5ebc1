package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

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
}
