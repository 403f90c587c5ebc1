package dev.hla.converter;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/**
 * The feature maps of one attention site.
 *
 * @param ranks rank of each factor; R is their sum
 * @param powers power of each factor
 * @param activations activation of each factor
 * @param epsilon added to the denominator
 * @param query the map of queries
 * @param key the map of keys
 */
public record SiteMaps(int[] ranks, int[] powers, List<Activation> activations, float epsilon, Side query, Side key)
    implements Serializable {
  /** An epsilon that is safe for every kind of map. */
  public static final float DEFAULT_EPSILON = 1e-6f;

  /** Checks that the parts fit each other. */
  public SiteMaps {
    RankSpec spec = new RankSpec(ranks, powers);
    activations = List.copyOf(activations);
    if (activations.size() != ranks.length) {
      throw new HlaException(activations.size() + " activations for " + ranks.length + " factors");
    }
    if (!(epsilon >= 0) || Float.isInfinite(epsilon)) {
      throw new HlaException("epsilon " + epsilon + "; a finite number, 0 or more, expected");
    }
    if (query.width != spec.width() || key.width != spec.width()) {
      throw new HlaException("maps to " + query.width + " and " + key.width + " features, ranks add up to " + spec.width());
    }
    if (query.heads != key.heads || query.headDim != key.headDim) {
      throw new HlaException("the query's map is for " + query.heads + " heads of " + query.headDim + ", the key's for "
          + key.heads + " of " + key.headDim);
    }
  }

  /**
   * The map of one side. Without a hidden layer {@code z = x W + b}. With one of h units,
   * {@code z = gelu(x W1 + b1) W + b} where W has h rows, and {@code z = [x, gelu(x W1 + b1)] W + b} where it has d + h
   * (gelu by the error function). Each factor's slice of z then passes through its activation.
   *
   * @param heads H
   * @param headDim d
   * @param width R
   * @param weight W [H, d or h or d + h, R]
   * @param bias b [H, R]
   * @param hidden the hidden layer, if there is one
   */
  public record Side(int heads, int headDim, int width, float[] weight, float[] bias, Optional<Hidden> hidden) implements Serializable {
    /** Checks that the arrays have the sizes said. */
    public Side {
      if (heads < 1 || headDim < 1 || width < 1) {
        throw new HlaException("a map for " + heads + " heads of " + headDim + " to " + width + " features; each is 1 or more");
      }
      long rows = headDim;
      if (hidden.isPresent()) {
        int units = hidden.get().width;
        requireLength("hidden weight", hidden.get().weight, (long) heads * headDim * units);
        requireLength("hidden bias", hidden.get().bias, (long) heads * units);
        rows = weight.length == (long) heads * units * width ? units : (long) headDim + units;
      }
      requireLength("weight", weight, heads * rows * width);
      requireLength("bias", bias, (long) heads * width);
    }

    /** Rows of each head's W: d, or with a hidden layer h or d + h. */
    public int weightRows() {
      return weight.length / (heads * width);
    }

    /** Whether x itself goes into W beside the hidden layer. */
    public boolean skips() {
      return hidden.isPresent() && weightRows() != hidden.get().width;
    }

    private Object writeReplace() {
      return new Sent(heads, headDim, width, weight, bias, hidden.orElse(null));
    }

    /** What of a side is serialized: an Optional cannot be. */
    private record Sent(int heads, int headDim, int width, float[] weight, float[] bias, Hidden hidden) implements Serializable {
      private Object readResolve() {
        return new Side(heads, headDim, width, weight, bias, Optional.ofNullable(hidden));
      }
    }

    private static void requireLength(String what, float[] array, long length) {
      if (array.length != length) {
        throw new HlaException(what + " has " + array.length + " numbers; " + length + " expected");
      }
    }
  }

  /**
   * A hidden layer.
   *
   * @param width h
   * @param weight W1 [H, d, h]
   * @param bias b1 [H, h]
   */
  public record Hidden(int width, float[] weight, float[] bias) implements Serializable {}

  /** The ranks and powers. */
  public RankSpec spec() {
    return new RankSpec(ranks, powers);
  }

  /**
   * Activations with which the denominators stay positive: exp for a gate, identity for an even power, softplus for an
   * odd one.
   */
  public static List<Activation> positiveActivations(int[] ranks, int[] powers) {
    List<Activation> activations = new ArrayList<>();
    for (int f = 0; f < ranks.length; f++) {
      activations.add(ranks[f] == 1 ? Activation.EXP : powers[f] % 2 == 0 ? Activation.IDENTITY : Activation.SOFTPLUS);
    }
    return activations;
  }

  /**
   * Maps that nobody has fitted: random, the same for the same arguments, and tame. With activations from
   * {@link #positiveActivations} every denominator is positive. A site converted with them runs, and shows its cost, but
   * does not do what the model was trained for.
   *
   * @param heads H
   * @param headDim d
   * @param seed of the random numbers
   */
  public static SiteMaps unfitted(
      int heads, int headDim, int[] ranks, int[] powers, List<Activation> activations, long seed) {
    Random random = new Random(seed);
    Side query = unfittedSide(heads, headDim, ranks, activations, random, true);
    Side key = unfittedSide(heads, headDim, ranks, activations, random, false);
    return new SiteMaps(ranks, powers, activations, DEFAULT_EPSILON, query, key);
  }

  private static Side unfittedSide(
      int heads, int headDim, int[] ranks, List<Activation> activations, Random random, boolean isQuery) {
    int width = 0;
    for (int rank : ranks) {
      width += rank;
    }
    float[] weight = new float[heads * headDim * width];
    float[] bias = new float[heads * width];
    int column = 0;
    for (int f = 0; f < ranks.length && f < activations.size(); f++) {
      // The query's gate is a constant: only the key's matters, as rows are normalised.
      boolean constant = ranks[f] == 1 && isQuery;
      // exp is kept near 1, whatever the scale of x.
      double scale = (activations.get(f) == Activation.EXP ? 0.1 : 0.5) / Math.sqrt(headDim);
      for (int c = column; c < column + ranks[f]; c++) {
        for (int row = 0; row < heads * headDim; row++) {
          weight[row * width + c] = constant ? 0 : (float) (scale * random.nextGaussian());
        }
        // The first feature is near 1, so that a product of two sides is 1 + ..., the start of an expansion of exp.
        boolean one = c == column && activations.get(f) == Activation.IDENTITY || activations.get(f) == Activation.RELU;
        for (int head = 0; head < heads; head++) {
          bias[head * width + c] = one ? 1 : 0;
        }
      }
      column += ranks[f];
    }
    return new Side(heads, headDim, width, weight, bias, Optional.empty());
  }
}
