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
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Inputs that a flow-matching model makes itself, so that no data are needed: it samples clips from random prompts and
 * noise, and each gives one input at a random time. Half of the inputs are states of the sampler's own path; the other
 * half are finished clips with new noise, as in training. Half carry the prompt, half the empty one, as the sampler
 * evaluates both at every step. Several inputs from one clip would save time and cost quality: maps fit what the few clips
 * show.
 */
public final class SamplerCalibration implements Calibration {
  private static final FlowSampler.Settings SETTINGS = new FlowSampler.Settings(25, 3);
  /** Times at which words are told apart: earlier the clip is noise, later its forms are settled. */
  private static final float CONTRAST_FROM = 0.15f;
  private static final float CONTRAST_TO = 0.6f;
  private final ModelSession model;
  private final FlowSampler sampler;
  private final Prompts prompts;
  private final long[] shape;
  private final long seed;
  /** Sampling a clip takes longer than all that is done with it; a clip is small. */
  private final Map<Integer, Made> clips = new HashMap<>();

  /** A clip at time t. */
  private record State(Tensor clip, float t) {}

  private record Made(Prompts.Prompt prompt, Tensor video, List<State> path, Map<String, Tensor> inputs) {}

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
    return "sampled clips " + Arrays.toString(shape) + " seed " + seed + " " + prompts.identity();
  }

  @Override
  public int size() {
    return Integer.MAX_VALUE;
  }

  @Override
  public Map<String, Tensor> inputs(int index) {
    return clips.computeIfAbsent(index, this::sample).inputs();
  }

  /**
   * The finished clip that input number {@code index} comes from, with its prompt and new noise.
   *
   * @param t share of the noise: 1 is noise alone, 0 the clip
   */
  public Map<String, Tensor> noised(int index, float t) {
    Made made = clips.computeIfAbsent(index, this::sample);
    long noise = seed * 31 + index;
    return inputs(new State(noised(made.video(), t, noise), t), made.prompt().embedding());
  }

  /** A state of the path to the clip, or the clip with new noise; with the prompt or without. */
  @Override
  public Map<String, Tensor> variation(int index, Random random) {
    Made made = clips.computeIfAbsent(index, this::sample);
    State state;
    if (random.nextBoolean()) {
      state = made.path().get(random.nextInt(made.path().size()));
    } else {
      float t = random.nextFloat();
      state = new State(noised(made.video(), t, random.nextLong()), t);
    }
    Tensor prompt = made.prompt().embedding();
    return inputs(state, random.nextBoolean() ? prompt : empty(prompt));
  }

  /** At two states of the path, where the large forms stand and the small ones are being decided. */
  @Override
  public List<Contrast> contrasts(int index) {
    Made made = clips.computeIfAbsent(index, this::sample);
    Map<Contrast.Words, Tensor> exchanges = prompts.exchanges(made.prompt());
    if (exchanges.isEmpty()) {
      return List.of();
    }
    Tensor prompt = made.prompt().embedding();
    List<State> states = made.path().stream().filter(state -> state.t() > CONTRAST_FROM && state.t() < CONTRAST_TO).toList();
    // Of every third state of 25 at least three lie there; neighbours say nearly the same.
    return Stream.of(states.get(0), states.get(2)).map(state -> new Contrast(
        SETTINGS.guidance(), inputs(state, prompt), inputs(state, empty(prompt)),
        exchanges.entrySet().stream().map(e -> new Contrast.Exchanged(e.getKey(), inputs(state, e.getValue()))).toList())).toList();
  }

  private Made sample(int clip) {
    Random random = Seeds.random(seed * 1_000_003 + clip);
    Prompts.Prompt drawn = prompts.draw(random);
    Tensor prompt = drawn.embedding();
    List<State> path = new ArrayList<>();
    Tensor video = sampler.sample(FlowSampler.noise(random.nextLong(), shape), prompt, empty(prompt), SETTINGS, (step, t, x) ->
        path.add(new State(x, t))).video();
    Tensor text = random.nextBoolean() ? prompt : empty(prompt);
    int step = random.nextInt(SETTINGS.steps());
    boolean onPath = random.nextBoolean();
    float t = random.nextFloat();
    State seen = onPath ? path.get(step) : new State(noised(video, t, random.nextLong()), t);
    // Every third state: neighbours on the path are much alike.
    List<State> kept = IntStream.range(0, path.size()).filter(s -> s % 3 == clip % 3).mapToObj(path::get).toList();
    return new Made(drawn, video, kept, inputs(seen, text));
  }

  private Map<String, Tensor> inputs(State state, Tensor text) {
    return sampler.inputs(state.clip(), new float[] {state.t()}, batch(text));
  }

  private static Tensor empty(Tensor prompt) {
    return Tensor.zeros(ElementType.FLOAT32, prompt.shape());
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
