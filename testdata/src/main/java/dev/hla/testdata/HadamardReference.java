package dev.hla.testdata;

import java.util.Arrays;

/**
 * Hadamard Linear Attention computed in float64 straight from its definition (Ackermann, Cai, Ghafoorian and Habibian,
 * arXiv 2602.12128), pair of tokens by pair of tokens. It is quadratic and slow, and shares no idea with the
 * implementations that are tested against it: no tensor product, no monomials, no tiles.
 *
 * <p>Tensors are dense, row-major {@code double} arrays.
 */
public final class HadamardReference {
  private HadamardReference() {}

  /**
   * {@code y[i] = sum_j A[i,j] v[j] / (sum_j A[i,j] + epsilon)} with
   * {@code A[i,j] = prod_f <query factor f of i, key factor f of j> ^ powers[f]}, for every batch and head.
   *
   * @param batch B
   * @param heads H
   * @param queries N, the number of query tokens
   * @param keys M, the number of key tokens; 0 gives zeros
   * @param valueDim dv
   * @param ranks width of each factor's slice of the last axis; their sum is R
   * @param powers power of each factor
   * @param epsilon added to the denominator
   * @param queryFeatures [B, H, N, R]
   * @param keyFeatures [B, H, M, R]
   * @param value [B, H, M, dv]
   * @return [B, H, N, dv]
   */
  public static double[] attend(
      int batch, int heads, int queries, int keys, int valueDim, int[] ranks, int[] powers, double epsilon,
      double[] queryFeatures, double[] keyFeatures, double[] value) {
    return attend(batch, heads, queries, keys, valueDim, ranks, powers, epsilon, queryFeatures, keyFeatures, value, null);
  }

  /**
   * The same with a mask on the keys: {@code A[i,j]} is multiplied with {@code exp(mask[j])}, as a softmax mask that is added to
   * scores multiplies the weights.
   *
   * @param mask [B, M], or [1, M] for all batch entries; null for none
   */
  public static double[] attend(
      int batch, int heads, int queries, int keys, int valueDim, int[] ranks, int[] powers, double epsilon,
      double[] queryFeatures, double[] keyFeatures, double[] value, double[] mask) {
    if (ranks.length != powers.length) {
      throw new IllegalArgumentException(ranks.length + " ranks but " + powers.length + " powers");
    }
    int width = Arrays.stream(ranks).sum();
    int groups = batch * heads;
    requireLength("query features", queryFeatures, groups * queries * width);
    requireLength("key features", keyFeatures, groups * keys * width);
    requireLength("value", value, groups * keys * valueDim);

    double[] output = new double[groups * queries * valueDim];
    if (keys == 0) {
      return output;
    }
    double[] numerator = new double[valueDim];
    for (int g = 0; g < groups; g++) {
      for (int i = 0; i < queries; i++) {
        Arrays.fill(numerator, 0);
        double denominator = epsilon;
        int q = (g * queries + i) * width;
        for (int j = 0; j < keys; j++) {
          double weight = pairWeight(queryFeatures, q, keyFeatures, (g * keys + j) * width, ranks, powers);
          if (mask != null) {
            weight *= Math.exp(mask[mask.length == keys ? j : g / heads * keys + j]);
          }
          denominator += weight;
          int v = (g * keys + j) * valueDim;
          for (int c = 0; c < valueDim; c++) {
            numerator[c] += weight * value[v + c];
          }
        }
        int y = (g * queries + i) * valueDim;
        for (int c = 0; c < valueDim; c++) {
          output[y + c] = numerator[c] / denominator;
        }
      }
    }
    return output;
  }

  /** {@code A[i,j]} for the query row that starts at {@code q} and the key row that starts at {@code k}. */
  private static double pairWeight(double[] query, int q, double[] key, int k, int[] ranks, int[] powers) {
    double weight = 1;
    int column = 0;
    for (int f = 0; f < ranks.length; f++) {
      double dot = 0;
      for (int end = column + ranks[f]; column < end; column++) {
        dot += query[q + column] * key[k + column];
      }
      for (int p = 0; p < powers[f]; p++) {
        weight *= dot;
      }
    }
    return weight;
  }

  /**
   * Features of tokens: {@code z = x W + b} per head, then each factor's activation on its slice.
   *
   * @param tokens N
   * @param headDim d
   * @param activations one of identity, softplus, relu, exp, softmax for each factor
   * @param x [B, H, N, d]
   * @param weight [H, d, R]
   * @param bias [H, R]
   * @return [B, H, N, R]
   */
  public static double[] features(
      int batch, int heads, int tokens, int headDim, int[] ranks, String[] activations,
      double[] x, double[] weight, double[] bias) {
    if (ranks.length != activations.length) {
      throw new IllegalArgumentException(ranks.length + " ranks but " + activations.length + " activations");
    }
    int width = Arrays.stream(ranks).sum();
    requireLength("x", x, batch * heads * tokens * headDim);
    requireLength("weight", weight, heads * headDim * width);
    requireLength("bias", bias, heads * width);

    double[] result = new double[batch * heads * tokens * width];
    for (int row = 0; row < batch * heads * tokens; row++) {
      int head = row / tokens % heads;
      int column = 0;
      for (int f = 0; f < ranks.length; f++) {
        for (int end = column + ranks[f]; column < end; column++) {
          double z = bias[head * width + column];
          for (int c = 0; c < headDim; c++) {
            z += x[row * headDim + c] * weight[(head * headDim + c) * width + column];
          }
          result[row * width + column] = activations[f].equals("softmax") ? Math.exp(z) : activate(activations[f], z);
        }
        if (activations[f].equals("softmax")) {
          double sum = 0;
          for (int c = column - ranks[f]; c < column; c++) {
            sum += result[row * width + c];
          }
          for (int c = column - ranks[f]; c < column; c++) {
            result[row * width + c] /= sum;
          }
        }
      }
    }
    return result;
  }

  private static double activate(String activation, double z) {
    return switch (activation) {
      case "identity" -> z;
      case "softplus" -> Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
      case "relu" -> Math.max(z, 0);
      case "exp" -> Math.exp(z);
      default -> throw new IllegalArgumentException("unknown activation " + activation);
    };
  }

  /** [B, N, H, d] to [B, H, N, d]; with N and H exchanged, the way back. */
  public static double[] swapTokensAndHeads(int batch, int tokens, int heads, int dim, double[] x) {
    requireLength("x", x, batch * tokens * heads * dim);
    double[] result = new double[x.length];
    for (int b = 0; b < batch; b++) {
      for (int n = 0; n < tokens; n++) {
        for (int h = 0; h < heads; h++) {
          System.arraycopy(x, ((b * tokens + n) * heads + h) * dim, result, ((b * heads + h) * tokens + n) * dim, dim);
        }
      }
    }
    return result;
  }

  /**
   * Largest difference of two tensors over the largest magnitude expected: the measure of every tolerance of the
   * operator. It is infinite where the lengths differ or one of the two has a NaN and the other has not.
   */
  public static double relativeError(double[] expected, double[] actual) {
    if (expected.length != actual.length) {
      return Double.POSITIVE_INFINITY;
    }
    double difference = 0;
    double scale = 0;
    for (int i = 0; i < expected.length; i++) {
      if (Double.isNaN(expected[i]) != Double.isNaN(actual[i])) {
        return Double.POSITIVE_INFINITY;
      }
      if (expected[i] != actual[i] && !Double.isNaN(expected[i])) {
        difference = Math.max(difference, Math.abs(expected[i] - actual[i]));
      }
      if (!Double.isNaN(expected[i])) {
        scale = Math.max(scale, Math.abs(expected[i]));
      }
    }
    // Infinite values must match exactly: inf / inf would be NaN and pass any comparison written as "greater than".
    return difference == 0 ? 0 : Double.isInfinite(difference) || scale == 0 ? Double.POSITIVE_INFINITY : difference / scale;
  }

  private static void requireLength(String what, double[] array, int length) {
    if (array.length != length) {
      throw new IllegalArgumentException(what + ": " + length + " numbers expected, got " + array.length);
    }
  }
}
