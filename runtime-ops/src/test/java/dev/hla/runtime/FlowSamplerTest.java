package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class FlowSamplerTest {
  private static final FlowSampler.Settings REFERENCE = new FlowSampler.Settings(25, 3);

  @Test
  void theReferenceNoiseGivesTheReferenceVideo() throws IOException {
    assertTrue(differenceFromReference(ShapesWan.model()) < 1e-3);
  }

  @Test
  void theHalfPrecisionModelComesClose() throws IOException {
    assertTrue(differenceFromReference(ShapesWan.modelFp16()) < 0.15);
  }

  @Test
  void withoutGuidanceThePromptAloneCounts() throws IOException {
    try (ModelSession model = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      Tensor noise = FlowSampler.noise(3, 1, 3, 2, 6, 6);
      Tensor prompt = Vocabulary.read(ShapesWan.vocabulary()).embed("red disc right slow");
      FlowSampler sampler = new FlowSampler(model);
      int[] steps = {0};
      Tensor clip = sampler.sample(noise, prompt, null, new FlowSampler.Settings(3, 1), () -> steps[0]++).video();
      // Guidance from the prompt to the prompt is no guidance.
      Tensor same = sampler.sample(noise, prompt, prompt, new FlowSampler.Settings(3, 2), () -> {}).video();
      assertEquals(3, steps[0]);
      assertArrayEquals(clip.floats(), same.floats(), 1e-5f);
      assertArrayEquals(noise.shape(), clip.shape());
    }
  }

  @Test
  void noiseIsTheSameForTheSameSeedOnly() {
    assertArrayEquals(FlowSampler.noise(7, 2, 2).floats(), FlowSampler.noise(7, 2, 2).floats());
    assertTrue(FlowSampler.noise(7, 2, 2).get(0) != FlowSampler.noise(8, 2, 2).get(0));
  }

  @Test
  void anUnknownWordIsNamedWithTheWordsThereAre() throws IOException {
    Vocabulary vocabulary = Vocabulary.read(ShapesWan.vocabulary());
    HlaException unknown = assertThrows(HlaException.class, () -> vocabulary.embed("rad disc right slow"));
    assertTrue(unknown.getMessage().contains("'rad'") && unknown.getMessage().contains("red green blue"), unknown.getMessage());
    HlaException few = assertThrows(HlaException.class, () -> vocabulary.embed("red disc"));
    assertTrue(few.getMessage().contains("4 words"), few.getMessage());
    assertThrows(HlaException.class, () -> Vocabulary.read(ShapesWan.model()));
  }

  private static double differenceFromReference(Path file) throws IOException {
    Vocabulary vocabulary = Vocabulary.read(ShapesWan.vocabulary());
    Tensor prompt = vocabulary.embed("red disc right slow");
    try (ModelSession model = ModelSession.open(file, ModelSession.Settings.DEFAULT)) {
      Tensor noise = Npz.readReference(ShapesWan.reference() + ":noise");
      Tensor video = new FlowSampler(model)
          .sample(noise, prompt, Tensor.zeros(ElementType.FLOAT32, prompt.shape()), REFERENCE, () -> {}).video();
      double difference = Difference.between(Npz.readReference(ShapesWan.reference() + ":video"), video, "video").largest();
      return difference;
    }
  }
}
