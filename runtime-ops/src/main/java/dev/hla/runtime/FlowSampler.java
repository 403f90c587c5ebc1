package dev.hla.runtime;

import dev.hla.converter.HlaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;

/**
 * Samples from a flow-matching model: from noise at t = 1 to a clip at t = 0 in equal Euler steps, with classifier-free
 * guidance. The model predicts the velocity noise - clip from the noisy clip, the time (1000 t) and a text embedding.
 */
public final class FlowSampler {
  private static final float TIME_SCALE = 1000;

  private final ModelSession model;
  private final Slot latents;
  private final Slot time;
  private final Slot text;
  private final String velocity;

  /** Throws {@link HlaException} where the model has no inputs in the parts of noisy clip, time and text. */
  public FlowSampler(ModelSession model) {
    this.model = model;
    List<Slot> left = new ArrayList<>(model.inputs());
    this.time = take(left, "a time", slot -> slot.name().toLowerCase(Locale.ROOT).matches(".*(time|sigma).*|t"));
    this.latents = take(left, "a noisy clip", slot -> slot.shape().size() >= 4);
    this.text = take(left, "a text embedding", slot -> slot.shape().size() == 3);
    if (!left.isEmpty()) {
      throw new HlaException(model.name() + ": cannot be sampled, nothing is known to feed to its input " + left.get(0).name());
    }
    this.velocity = model.outputs().get(0).name();
  }

  private Slot take(List<Slot> slots, String part, java.util.function.Predicate<Slot> test) {
    Slot found = slots.stream().filter(test).findFirst().orElseThrow(() -> new HlaException(
        model.name() + ": cannot be sampled, it has no input for " + part + "; its inputs are "
            + String.join(", ", model.inputs().stream().map(s -> s.name() + " " + s.shapeText()).toList())));
    slots.remove(found);
    return found;
  }

  /**
   * How to sample.
   *
   * @param steps number of Euler steps
   * @param guidance 1 follows the model's velocity for the prompt; more moves away from the one for no prompt
   */
  public record Settings(int steps, float guidance) {}

  /**
   * A sampled clip.
   *
   * @param video float32, in the shape of the noise
   * @param seconds spent in the model
   */
  public record Sample(Tensor video, double seconds) {}

  /** Sees the clips on the way from noise to video. */
  public interface Observer {
    /**
     * Called before every step.
     *
     * @param step counted from 0
     * @param t the time of the clip, 1 for noise and 0 for video
     * @param clip in the shape of the noise
     */
    void at(int step, float t, Tensor clip);
  }

  /** The model's input for the noisy clip. */
  public Slot latents() {
    return latents;
  }

  /**
   * The inputs for one evaluation of the model.
   *
   * @param clip [batch, ...] at time t
   * @param t a time for each clip of the batch, 1 for noise and 0 for video
   * @param embedding [batch, tokens, width]
   */
  public Map<String, Tensor> inputs(Tensor clip, float[] t, Tensor embedding) {
    Tensor times = Tensor.zeros(ElementType.FLOAT32, time.shape().isEmpty() ? new long[0] : new long[] {clip.dim(0)});
    for (int i = 0; i < times.size(); i++) {
      times.set(i, t[i] * TIME_SCALE);
    }
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put(latents.name(), clip);
    inputs.put(time.name(), times);
    inputs.put(text.name(), embedding);
    return inputs;
  }

  /** Normal noise of a shape; the same for the same seed. */
  public static Tensor noise(long seed, long... shape) {
    Tensor noise = Tensor.zeros(ElementType.FLOAT32, shape);
    Random random = new Random(seed);
    for (int i = 0; i < noise.size(); i++) {
      noise.set(i, random.nextGaussian());
    }
    return noise;
  }

  /**
   * Samples a clip.
   *
   * @param noise [batch, channels, frames, height, width]
   * @param prompt the embedding [tokens, width] that every clip of the batch follows
   * @param empty the embedding of no prompt, in the same shape; unused where guidance is 1
   * @param onStep called after every step
   */
  public Sample sample(Tensor noise, Tensor prompt, Tensor empty, Settings settings, Runnable onStep) {
    return sample(noise, prompt, empty, settings, (step, t, clip) -> {
      if (step > 0) {
        onStep.run();
      }
    }, onStep);
  }

  /** Samples a clip, and shows every clip on the way. */
  public Sample sample(Tensor noise, Tensor prompt, Tensor empty, Settings settings, Observer observer) {
    return sample(noise, prompt, empty, settings, observer, () -> {});
  }

  private Sample sample(Tensor noise, Tensor prompt, Tensor empty, Settings settings, Observer observer, Runnable onEnd) {
    int batch = noise.dim(0);
    boolean guided = settings.guidance() != 1;
    // Without a prompt first, as the guidance formula reads; one run for both where the model lets the batch vary.
    boolean together = guided && (latents.shape().get(0) < 0 || latents.shape().get(0) == 2L * batch);
    Tensor one = repeat(prompt, batch);
    Tensor none = guided ? repeat(empty, batch) : null;
    Tensor both = together ? join(none, one) : null;

    float[] x = noise.floats();
    float[] v = new float[x.length];
    long start = System.nanoTime();
    for (int step = 0; step < settings.steps(); step++) {
      float t = time(step, settings.steps());
      float next = time(step + 1, settings.steps());
      Tensor clip = Tensor.of(x, noise.shape());
      observer.at(step, t, clip);
      if (together) {
        float[] velocities = velocity(join(clip, clip), t, both).floats();
        guide(velocities, 0, velocities, x.length, settings.guidance(), v);
      } else if (guided) {
        guide(velocity(clip, t, none).floats(), 0, velocity(clip, t, one).floats(), 0, settings.guidance(), v);
      } else {
        v = velocity(clip, t, one).floats();
      }
      for (int i = 0; i < x.length; i++) {
        x[i] += (next - t) * v[i];
      }
    }
    onEnd.run();
    return new Sample(Tensor.of(x, noise.shape()), (System.nanoTime() - start) / 1e9);
  }

  /** From 1 down to 0, each rounded to float on its own, so that the last one is exactly 0. */
  private static float time(int step, int steps) {
    return (float) (1 - (double) step / steps);
  }

  private static void guide(float[] empty, int emptyStart, float[] prompt, int promptStart, float guidance, float[] into) {
    for (int i = 0; i < into.length; i++) {
      float without = empty[emptyStart + i];
      into[i] = without + guidance * (prompt[promptStart + i] - without);
    }
  }

  private Tensor velocity(Tensor clip, float t, Tensor embedding) {
    float[] times = new float[clip.dim(0)];
    Arrays.fill(times, t);
    Map<String, Tensor> inputs = inputs(clip, times, embedding);
    Tensor velocity = model.run(inputs, List.of(this.velocity)).get(this.velocity);
    if (velocity.size() != clip.size()) {
      throw new HlaException(model.name() + ": its output " + this.velocity + " is " + velocity + ", where a velocity like "
          + clip + " was expected");
    }
    return velocity;
  }

  /** [tokens, width] as [batch, tokens, width]. */
  private static Tensor repeat(Tensor embedding, int batch) {
    float[] row = embedding.floats();
    float[] rows = new float[row.length * batch];
    for (int b = 0; b < batch; b++) {
      System.arraycopy(row, 0, rows, b * row.length, row.length);
    }
    return Tensor.of(rows, batch, embedding.dim(-2), embedding.dim(-1));
  }

  /** Along the first axis. */
  private static Tensor join(Tensor a, Tensor b) {
    float[] rows = new float[a.size() + b.size()];
    System.arraycopy(a.floats(), 0, rows, 0, a.size());
    System.arraycopy(b.floats(), 0, rows, a.size(), b.size());
    long[] shape = a.shape();
    shape[0] += b.dim(0);
    return Tensor.of(rows, shape);
  }
}
