package dev.hla.cuda;

import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Writes cases of both operators for the native tests; the format is described in cases.h. */
final class CaseFiles {
  private static final List<String> ACTIVATIONS = List.of("identity", "softplus", "relu", "exp");

  private CaseFiles() {}

  /**
   * A case of the fused operator. Inputs, weights and biases are multiples of 1/128, exact in all three types.
   *
   * @param name unique, and readable
   * @param batch B
   * @param heads H
   * @param queries N
   * @param keys M
   * @param depth d, the width of queries and keys
   * @param valueDim dv
   * @param ranks width of each factor
   * @param powers power of each factor
   * @param activations of each factor
   * @param maskRows rows of the key mask: B, 1, or 0 for none
   */
  record FusedCase(
      String name, int batch, int heads, int queries, int keys, int depth, int valueDim, int[] ranks, int[] powers,
      String[] activations, int maskRows) {
    FusedCase(
        String name, int batch, int heads, int queries, int keys, int depth, int valueDim, int[] ranks, int[] powers, String[] activations) {
      this(name, batch, heads, queries, keys, depth, valueDim, ranks, powers, activations, 0);
    }

    int width() {
      return Arrays.stream(ranks).sum();
    }
  }

  /** Odd sizes on purpose: tails of the maps' tiles in every direction. */
  static final List<FusedCase> FUSED = List.of(
      new FusedCase("one token", 1, 1, 1, 1, 1, 1, ints(1), ints(1), names("softplus")),
      new FusedCase("softplus, two factors", 1, 3, 37, 41, 24, 15, ints(4, 5), ints(1, 1), names("softplus", "softplus")),
      new FusedCase("the default for video", 2, 2, 65, 65, 32, 32, ints(8, 3, 1), ints(2, 2, 1), names("identity", "identity", "softplus")),
      new FusedCase("relu and exp", 1, 2, 17, 130, 7, 24, ints(6, 3), ints(1, 2), names("relu", "exp")),
      new FusedCase("a square, full heads", 1, 1, 150, 600, 128, 128, ints(16), ints(2), names("identity")),
      new FusedCase("wide heads", 1, 1, 33, 17, 300, 40, ints(33, 2), ints(1, 1), names("softplus", "exp")),
      new FusedCase("no keys", 1, 2, 5, 0, 8, 3, ints(4), ints(2), names("identity")),
      new FusedCase("many features", 1, 1, 20, 300, 16, 8, ints(70), ints(1), names("softplus")),
      new FusedCase("a mask for each batch entry", 3, 2, 31, 150, 16, 24, ints(5, 2, 1), ints(2, 1, 1), names("softplus", "exp", "softplus"), 3),
      new FusedCase("a mask for all", 2, 1, 40, 90, 32, 40, ints(16, 16), ints(1, 1), names("softplus", "softplus"), 1));

  static Path write(OperatorCase c, Path folder) throws IOException {
    return write(folder, c.name(), new int[] {c.batch(), c.heads(), c.queries(), c.keys(), c.valueDim(), 0, 0}, c.ranks(), c.powers(),
        new String[0], c.epsilon(), c.expected(), c.queryFeatures(), c.keyFeatures(), c.value());
  }

  static Path write(FusedCase c, Path folder) throws IOException {
    Random random = new Random(c.name().hashCode());
    int groups = c.batch() * c.heads();
    float[] query = numbers(random, groups * c.queries() * c.depth(), 128);
    float[] key = numbers(random, groups * c.keys() * c.depth(), 128);
    float[] value = numbers(random, groups * c.keys() * c.valueDim(), 128);
    // About unit variance of x W.
    int bound = (int) Math.max(8, 256 / Math.sqrt(c.depth()));
    float[][] parameters = new float[4][];
    double[][] features = new double[2][];
    for (int side = 0; side < 2; side++) {
      parameters[2 * side] = numbers(random, c.heads() * c.depth() * c.width(), bound);
      parameters[2 * side + 1] = numbers(random, c.heads() * c.width(), 64);
      features[side] = HadamardReference.features(c.batch(), c.heads(), side == 0 ? c.queries() : c.keys(), c.depth(), c.ranks(),
          c.activations(), doubles(side == 0 ? query : key), doubles(parameters[2 * side]), doubles(parameters[2 * side + 1]));
    }
    // A third of the keys is left out, the others' weights are multiplied with e^-2 .. e^2.
    float[] mask = numbers(random, c.maskRows() * c.keys(), 256);
    for (int i = 0; i < mask.length; i += 3) {
      mask[i] = Float.NEGATIVE_INFINITY;
    }
    float epsilon = 1e-6f;
    double[] expected = HadamardReference.attend(c.batch(), c.heads(), c.queries(), c.keys(), c.valueDim(), c.ranks(), c.powers(),
        epsilon, features[0], features[1], doubles(value), c.maskRows() == 0 ? null : doubles(mask));
    return write(folder, "fused " + c.name(), new int[] {c.batch(), c.heads(), c.queries(), c.keys(), c.valueDim(), c.depth(), c.maskRows()},
        c.ranks(), c.powers(), c.activations(), epsilon, expected, query, key, value, parameters[0], parameters[1], parameters[2],
        parameters[3], mask);
  }

  private static Path write(
      Path folder, String name, int[] sizes, int[] ranks, int[] powers, String[] activations, float epsilon, double[] expected,
      float[]... inputs) throws IOException {
    int factors = ranks.length;
    int floats = Arrays.stream(inputs).mapToInt(i -> i.length).sum();
    ByteBuffer bytes = ByteBuffer.allocate(8 * (sizes.length + 1 + 3 * factors + 1 + expected.length) + 4 * floats)
        .order(ByteOrder.LITTLE_ENDIAN);
    for (int size : sizes) {
      bytes.putLong(size);
    }
    bytes.putLong(factors);
    for (int rank : ranks) {
      bytes.putLong(rank);
    }
    for (int power : powers) {
      bytes.putLong(power);
    }
    for (int f = 0; f < factors; f++) {
      bytes.putLong(activations.length == 0 ? 0 : ACTIVATIONS.indexOf(activations[f]));
    }
    bytes.putDouble(epsilon);
    for (float[] input : inputs) {
      for (float value : input) {
        bytes.putFloat(value);
      }
    }
    for (double value : expected) {
      bytes.putDouble(value);
    }
    return Files.write(folder.resolve(name.replaceAll("[ ,]+", "_") + ".case"), bytes.array());
  }

  private static float[] numbers(Random random, int count, int bound) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (random.nextInt(2 * bound + 1) - bound) / 128f;
    }
    return values;
  }

  private static double[] doubles(float[] values) {
    double[] result = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = values[i];
    }
    return result;
  }

  private static int[] ints(int... values) {
    return values;
  }

  private static String[] names(String... values) {
    return values;
  }
}
