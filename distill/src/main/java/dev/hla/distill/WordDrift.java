package dev.hla.distill;

import dev.hla.runtime.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Future;

/**
 * How far a converted model's output drifts from what a word of the prompt says towards what another word would say, in the
 * mean over clips. Maps with a small error still have this one in common: they draw a square a little rounder in every clip.
 * It adds up along the sampler's path, where errors that differ from clip to clip do not.
 *
 * <p>With e the error of the guided output and c what the original owes to the word (its output with the prompt, less that with
 * the other word), both over the clips that say the word,
 *
 * <pre>  drift = - sum &lt;e, c&gt; / sum &lt;c, c&gt;</pre>
 *
 * <p>is 0 where nothing is lost and 1 where one word comes out as the other.
 */
final class WordDrift {
  /** Of the output's square; exchanges of words that change less are not looked at. */
  private static final double LEAST_SHARE = 1e-3;

  /**
   * One pair of words.
   *
   * @param share of the output's square that the exchange changes
   * @param gradient of the drift; without numbers where it was not wanted
   */
  record Pair(Contrast.Words words, double share, double drift, Gradients gradient) {
    /** Share of the output's square that the drift changes. */
    double loss() {
      return share * drift * drift;
    }
  }

  private final Refinement refinement;
  private final List<List<Contrast>> clips;
  private final Workers pool;
  private final Runnable onClip;

  /**
   * @param clips contrasts of each
   * @param onClip called after every clip of every measurement
   */
  WordDrift(Refinement refinement, List<List<Contrast>> clips, Workers pool, Runnable onClip) {
    this.refinement = refinement;
    this.clips = clips;
    this.pool = pool;
    this.onClip = onClip;
  }

  /** The drifts at these weights, the costliest first. */
  List<Pair> measure(Map<String, MapWeights> weights) {
    return measure(weights, null, null, 0);
  }

  /** The drifts of these words alone. */
  List<Pair> measure(Map<String, MapWeights> weights, Set<Contrast.Words> words) {
    return measure(weights, words, null, 0);
  }

  /**
   * The drifts of these words, with their gradients.
   *
   * @param curvature takes up gradients of random sums of the output
   * @param seed of these sums
   */
  List<Pair> measure(Map<String, MapWeights> weights, Set<Contrast.Words> words, Curvature curvature, long seed) {
    List<Future<Sums>> parts = new ArrayList<>();
    for (int i = 0; i < clips.size(); i++) {
      Sums sums = new Sums(weights, words, curvature == null ? null : Seeds.random(seed * 15_485_863 + i));
      List<Contrast> contrasts = clips.get(i);
      parts.add(pool.submit(() -> {
        contrasts.forEach(sums::look);
        return sums;
      }));
    }
    // Added in the order of the clips, whichever is done first: sums come out the same every time.
    Sums total = new Sums(weights, words, null);
    for (Future<Sums> part : parts) {
      Sums ofClip = SiteFits.get(part);
      total.add(ofClip);
      ofClip.random.forEach(gradient -> curvature.add(gradient));
      onClip.run();
    }
    return total.pairs();
  }

  /** Sums over the states of clips. */
  private final class Sums {
    private final Map<String, MapWeights> weights;
    private final Set<Contrast.Words> words;
    private final Random signs;
    private final Map<Contrast.Words, OfPair> pairs = new LinkedHashMap<>();
    private final List<Gradients> random = new ArrayList<>();
    private double outputs;
    private int states;

    /**
     * @param words to look at; null for all
     * @param signs of random sums; null where no gradients are wanted
     */
    private Sums(Map<String, MapWeights> weights, Set<Contrast.Words> words, Random signs) {
      this.weights = weights;
      this.words = words;
      this.signs = signs;
    }

    private OfPair of(Contrast.Words pair) {
      return pairs.computeIfAbsent(pair, none -> new OfPair());
    }

    private void look(Contrast contrast) {
      Map<String, Tensor> prompted = refinement.read(contrast.prompted());
      Map<String, Tensor> unprompted = refinement.read(contrast.unprompted());
      float[] output = refinement.output(prompted);
      double square = dot(output, output);
      outputs += square;
      states++;
      Map<Contrast.Words, float[]> owed = new LinkedHashMap<>();
      for (Contrast.Exchanged exchanged : contrast.exchanged()) {
        if (words == null || words.contains(exchanged.words())) {
          of(exchanged.words()).states++;
          float[] c = less(output, refinement.originalOutput(exchanged.inputs()));
          if (dot(c, c) >= LEAST_SHARE * square) {
            owed.put(exchanged.words(), c);
          }
        }
      }
      Refinement.Products with = refinement.products(weights, prompted, wanted(owed, output.length));
      Refinement.Products without = refinement.products(weights, unprompted, wanted(owed, output.length));
      float[] errorWith = less(with.output(), output);
      float[] errorWithout = less(without.output(), refinement.output(unprompted));
      float guidance = contrast.guidance();
      int i = 0;
      for (Map.Entry<Contrast.Words, float[]> each : owed.entrySet()) {
        OfPair pair = of(each.getKey());
        pair.product += guidance * dot(errorWith, each.getValue()) + (1 - guidance) * dot(errorWithout, each.getValue());
        pair.square += dot(each.getValue(), each.getValue());
        if (signs != null) {
          pair.gradient.add(with.gradients().get(i), guidance);
          pair.gradient.add(without.gradients().get(i), 1 - guidance);
        }
        i++;
      }
      if (signs != null) {
        random.add(with.gradients().get(i));
        random.add(without.gradients().get(i));
      }
    }

    /** What the output is multiplied with for gradients. */
    private List<float[]> wanted(Map<Contrast.Words, float[]> owed, int size) {
      if (signs == null) {
        return List.of();
      }
      List<float[]> wanted = new ArrayList<>(owed.values());
      float[] random = new float[size];
      for (int i = 0; i < size; i++) {
        random[i] = signs.nextBoolean() ? 1 : -1;
      }
      wanted.add(random);
      return wanted;
    }

    private void add(Sums other) {
      outputs += other.outputs;
      states += other.states;
      other.pairs.forEach((pair, theirs) -> {
        OfPair ours = of(pair);
        ours.states += theirs.states;
        ours.product += theirs.product;
        ours.square += theirs.square;
        ours.gradient.add(theirs.gradient, 1);
      });
    }

    private List<Pair> pairs() {
      List<Pair> found = new ArrayList<>();
      pairs.forEach((pair, sums) -> {
        double share = sums.square / sums.states / (outputs / states);
        if (share >= LEAST_SHARE && Double.isFinite(sums.product)) {
          Gradients gradient = new Gradients();
          gradient.add(sums.gradient, -1 / sums.square);
          found.add(new Pair(pair, share, -sums.product / sums.square, gradient));
        }
      });
      found.sort(Comparator.comparingDouble(pair -> -pair.loss()));
      return found;
    }
  }

  /** Sums over the states that say a word. */
  private static final class OfPair {
    private int states;
    private double product;
    private double square;
    private final Gradients gradient = new Gradients();
  }

  private static float[] less(float[] a, float[] b) {
    float[] difference = new float[a.length];
    for (int i = 0; i < a.length; i++) {
      difference[i] = a[i] - b[i];
    }
    return difference;
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }
}
