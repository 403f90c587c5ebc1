package dev.hla.distill;

import dev.hla.runtime.ElementType;
import dev.hla.runtime.FlowSampler;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Inputs that a flow-matching model makes itself, so that no data are needed: it samples clips from random prompts and
 * noise, and each clip gives a few inputs at random times. Half of them are clips on the sampler's own path; the other
 * half is the finished clip with new noise, as in training. Half carry the prompt, half the empty one, as the sampler
 * evaluates both at every step.
 */
public final class SamplerCalibration implements Calibration {
  private static final FlowSampler.Settings SETTINGS = new FlowSampler.Settings(25, 3);
  /** Inputs from one clip: few enough that inputs vary in what they show, and that sampling takes a minute. */
  private static final int PER_CLIP = 4;

  private final ModelSession model;
  private final FlowSampler sampler;
  private final Prompts prompts;
  private final long[] shape;
  private final long seed;
  /** Sampling a clip takes longer than all that is done with it; a clip is small. */
  private final Map<Integer, Made> clips = new HashMap<>();

  private record Made(Tensor prompt, Tensor video, List<Map<String, Tensor>> inputs) {}

  /**
   * @param model the original, which it closes in the end
   * @param shape of one clip, [1, channels, frames, height, width]
   * @param seed of prompts, noise and times
   */
  public SamplerCalibration(ModelSession model, Prompts prompts, long[] shape, long seed) {
    this.model = model;
    this.sampler = new FlowSampler(model);
    this.prompts = prompts;
    this.shape = shape.clone();
    this.seed = seed;
  }

  @Override
  public String identity() {
    return "sampler " + Arrays.toString(shape) + " seed " + seed + " " + prompts.identity();
  }

  @Override
  public int size() {
    return Integer.MAX_VALUE;
  }

  @Override
  public Map<String, Tensor> inputs(int index) {
    return clips.computeIfAbsent(index / PER_CLIP, this::sample).inputs().get(index % PER_CLIP);
  }

  /**
   * The finished clip that input number {@code index} comes from, with its prompt and new noise.
   *
   * @param t share of the noise: 1 is noise alone, 0 the clip
   */
  public Map<String, Tensor> noised(int index, float t) {
    Made made = clips.computeIfAbsent(index / PER_CLIP, this::sample);
    long noise = seed * 31 + index;
    return sampler.inputs(noised(made.video(), t, noise), new float[] {t}, batch(made.prompt()));
  }

  private Made sample(int clip) {
    Random random = new Random(seed * 1_000_003 + clip);
    Tensor prompt = prompts.embedding(random);
    Tensor empty = Tensor.zeros(ElementType.FLOAT32, prompt.shape());
    List<Tensor> path = new ArrayList<>();
    float[] times = new float[SETTINGS.steps()];
    Tensor video = sampler.sample(FlowSampler.noise(random.nextLong(), shape), prompt, empty, SETTINGS, (step, t, x) -> {
      path.add(x);
      times[step] = t;
    }).video();
    List<Map<String, Tensor>> made = new ArrayList<>();
    for (int i = 0; i < PER_CLIP; i++) {
      Tensor text = batch(random.nextBoolean() ? prompt : empty);
      if (i % 2 == 0) {
        int step = random.nextInt(SETTINGS.steps());
        made.add(sampler.inputs(path.get(step), new float[] {times[step]}, text));
      } else {
        float t = random.nextFloat();
        made.add(sampler.inputs(noised(video, t, random.nextLong()), new float[] {t}, text));
      }
    }
    return new Made(prompt, video, List.copyOf(made));
  }

  private Tensor noised(Tensor video, float t, long noiseSeed) {
    float[] clip = video.floats();
    float[] noise = FlowSampler.noise(noiseSeed, shape).floats();
    for (int i = 0; i < clip.length; i++) {
      clip[i] = (1 - t) * clip[i] + t * noise[i];
    }
    return Tensor.of(clip, shape);
  }

  private static Tensor batch(Tensor embedding) {
    return embedding.reshape(1, embedding.dim(0), embedding.dim(1));
  }

  @Override
  public String toString() {
    return "the sampler's own path";
  }

  @Override
  public void close() {
    model.close();
  }
}
