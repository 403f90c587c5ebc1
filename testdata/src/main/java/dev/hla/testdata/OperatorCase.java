package dev.hla.testdata;

import dev.hla.converter.RankSpec;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;

/**
 * One case of the core operator. Every implementation (function body, CPU kernels, CUDA kernels) is tested with the
 * same {@link #GRID} of them.
 *
 * <p>The inputs are multiples of 1/128 of magnitude 1 at most. Such numbers are exact in float, float16 and bfloat16, so
 * all three types start from the same inputs and one expected output serves them all. The denominators keep their sign:
 * a factor of even power has features of both signs, one of odd power has positive ones only.
 *
 * @param name unique in the grid, and readable
 * @param batch B
 * @param heads H
 * @param queries N
 * @param keys M
 * @param valueDim dv
 * @param ranks width of each factor
 * @param powers power of each factor
 * @param epsilon added to the denominator; exact in float32
 * @param seed of the inputs
 */
public record OperatorCase(
    String name, int batch, int heads, int queries, int keys, int valueDim, int[] ranks, int[] powers, float epsilon,
    long seed) {

  private static final Map<OperatorCase, double[]> EXPECTED = new ConcurrentHashMap<>();

  /** Odd sizes on purpose: tails of every tile, factors of unequal rank, gates at every place. */
  public static final List<OperatorCase> GRID = List.of(
      // One factor: linear attention, and its powers.
      of("one token", 1, 1, 1, 1, 1, ranks(1), powers(1)),
      of("one factor of rank 1, several tokens", 1, 2, 7, 7, 15, ranks(1), powers(1)),
      of("one token, one factor", 1, 1, 1, 1, 15, ranks(5), powers(1)),
      of("linear attention", 1, 2, 7, 7, 24, ranks(16), powers(1)),
      of("linear attention, long", 1, 2, 1000, 1000, 128, ranks(64), powers(1)),
      of("linear attention, wide", 1, 1, 33, 65, 24, ranks(256), powers(1)),
      of("square", 1, 1, 7, 7, 15, ranks(5), powers(2)),
      of("square, long", 1, 2, 1000, 1000, 128, ranks(16), powers(2)),
      of("cube", 1, 2, 7, 7, 24, ranks(5), powers(3)),
      of("cube, one value column", 2, 1, 65, 65, 1, ranks(7), powers(3)),
      of("fourth power", 1, 1, 7, 7, 15, ranks(5), powers(4)),
      of("fourth power, long", 1, 1, 1000, 1000, 24, ranks(6), powers(4)),
      // Two factors.
      of("two factors", 1, 1, 7, 7, 15, ranks(3, 5), powers(1, 1)),
      of("two factors, one token", 2, 3, 1, 1, 24, ranks(4, 4), powers(1, 1)),
      of("two factors, long", 1, 2, 1000, 1000, 128, ranks(16, 16), powers(1, 1)),
      of("two wide factors", 1, 1, 129, 129, 128, ranks(32, 32), powers(1, 1)),
      of("two squares, the default for video", 1, 4, 512, 512, 32, ranks(8, 3, 1), powers(2, 2, 1)),
      of("two squares, unequal", 1, 1, 1000, 7, 15, ranks(11, 4), powers(2, 2)),
      of("square times first power", 2, 2, 33, 33, 1, ranks(6, 3), powers(2, 1)),
      of("first power times cube", 1, 1, 17, 19, 24, ranks(3, 4), powers(1, 3)),
      of("fourth power times square", 1, 1, 17, 19, 15, ranks(3, 4), powers(4, 2)),
      // Three and more.
      of("three factors, unequal", 1, 2, 1000, 1000, 24, ranks(6, 6, 7), powers(1, 1, 1)),
      of("three factors, mixed powers", 1, 1, 7, 1000, 15, ranks(2, 3, 4), powers(3, 2, 1)),
      of("four factors", 1, 1, 65, 7, 128, ranks(3, 2, 4, 3), powers(1, 1, 1, 1)),
      of("four factors, mixed powers", 2, 1, 7, 7, 24, ranks(2, 3, 2, 2), powers(1, 2, 2, 1)),
      of("eight factors, six of them plain", 1, 1, 7, 9, 15, ranks(2, 2, 1, 2, 2, 2, 1, 2), powers(1, 1, 2, 1, 1, 1, 1, 1)),
      // Gates: factors of rank 1.
      of("gate before", 1, 2, 7, 7, 15, ranks(1, 5), powers(1, 1)),
      of("gate after", 1, 2, 65, 33, 24, ranks(5, 1), powers(2, 1)),
      of("gate between", 1, 1, 17, 17, 15, ranks(3, 1, 4), powers(1, 1, 2)),
      of("gates before and after", 1, 1, 100, 100, 24, ranks(1, 8, 3, 1), powers(1, 2, 1, 2)),
      of("gates only", 1, 2, 7, 9, 15, ranks(1, 1, 1), powers(1, 2, 1)),
      of("gate of power 4", 1, 1, 7, 7, 1, ranks(4, 1), powers(2, 4)),
      // Queries and keys differ in number; batches.
      of("one query, many keys", 1, 2, 1, 1000, 128, ranks(8, 8), powers(1, 1)),
      of("many queries, one key", 1, 2, 1000, 1, 15, ranks(8, 8), powers(1, 1)),
      of("batch of three", 3, 2, 31, 47, 24, ranks(6, 5), powers(1, 2)),
      of("batch, long", 2, 1, 1000, 777, 15, ranks(12), powers(2)),
      of("values of 256 columns", 1, 1, 50, 70, 256, ranks(7, 3), powers(1, 1)),
      // Many products for many tokens: beyond what any implementation takes at once.
      of("large state, several chunks", 2, 2, 700, 500, 24, ranks(32, 32), powers(1, 1)),
      of("large square, several chunks", 1, 2, 300, 1001, 15, ranks(45, 1), powers(2, 1)),
      of("large state of three factors", 1, 3, 515, 259, 7, ranks(9, 8, 10), powers(1, 1, 1)),
      of("wide factor, many heads", 2, 6, 600, 600, 1, ranks(256), powers(1)),
      // An epsilon that counts, and none.
      new OperatorCase("large epsilon", 1, 2, 7, 3, 15, ranks(5, 3), powers(1, 1), 2.5f, 71),
      new OperatorCase("epsilon zero", 1, 2, 7, 9, 15, ranks(5), powers(2), 0f, 72));

  /** No keys at all: zeros, whatever epsilon is. */
  public static final List<OperatorCase> WITHOUT_KEYS = List.of(
      of("no keys", 1, 2, 7, 0, 15, ranks(5, 3), powers(1, 2)),
      new OperatorCase("no keys, epsilon zero", 2, 1, 3, 0, 24, ranks(4, 1), powers(2, 1), 0f, 73));

  /** Ranks and powers. */
  public RankSpec spec() {
    return new RankSpec(ranks, powers);
  }

  private static OperatorCase of(
      String name, int batch, int heads, int queries, int keys, int valueDim, int[] ranks, int[] powers) {
    return new OperatorCase(
        name, batch, heads, queries, keys, valueDim, ranks, powers, 1e-6f, name.hashCode() * 31L + queries);
  }

  private static int[] ranks(int... ranks) {
    return ranks;
  }

  private static int[] powers(int... powers) {
    return powers;
  }

  /** R, the sum of the ranks. */
  public int width() {
    return Arrays.stream(ranks).sum();
  }

  public long[] queryShape() {
    return new long[] {batch, heads, queries, width()};
  }

  public long[] keyShape() {
    return new long[] {batch, heads, keys, width()};
  }

  public long[] valueShape() {
    return new long[] {batch, heads, keys, valueDim};
  }

  public long[] outputShape() {
    return new long[] {batch, heads, queries, valueDim};
  }

  /** [B, H, N, R]. */
  public float[] queryFeatures() {
    return features(queries, seed);
  }

  /** [B, H, M, R]. */
  public float[] keyFeatures() {
    return features(keys, seed + 1);
  }

  /** [B, H, M, dv]. */
  public float[] value() {
    Random random = new Random(seed + 2);
    float[] value = new float[batch * heads * keys * valueDim];
    for (int i = 0; i < value.length; i++) {
      value[i] = (random.nextInt(257) - 128) / 128f;
    }
    return value;
  }

  /** [B, H, N, dv], by {@link HadamardReference}; computed at the first call and kept. Not to be written to. */
  public double[] expected() {
    return EXPECTED.computeIfAbsent(this, c -> HadamardReference.attend(
        c.batch, c.heads, c.queries, c.keys, c.valueDim, c.ranks, c.powers, c.epsilon,
        doubles(c.queryFeatures()), doubles(c.keyFeatures()), doubles(c.value())));
  }

  private float[] features(int tokens, long seed) {
    Random random = new Random(seed);
    int width = width();
    boolean[] signed = new boolean[width];
    int column = 0;
    for (int f = 0; f < ranks.length; f++) {
      Arrays.fill(signed, column, column += ranks[f], powers[f] % 2 == 0);
    }
    float[] features = new float[batch * heads * tokens * width];
    for (int i = 0; i < features.length; i++) {
      features[i] = (signed[i % width] ? random.nextInt(257) - 128 : 1 + random.nextInt(128)) / 128f;
    }
    return features;
  }

  private static double[] doubles(float[] values) {
    double[] result = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = values[i];
    }
    return result;
  }

  @Override
  public String toString() {
    return name + " [B=" + batch + " H=" + heads + " N=" + queries + " M=" + keys + " dv=" + valueDim + " ranks="
        + Arrays.toString(ranks) + " powers=" + Arrays.toString(powers) + "]";
  }
}
