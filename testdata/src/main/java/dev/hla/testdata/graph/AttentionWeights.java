package dev.hla.testdata.graph;

import java.util.Random;

/** Random weights of one attention, such that its probabilities are far from uniform. */
final class AttentionWeights {
  private static final int C = AttentionSpec.WIDTH;

  final int keyWidth;
  final float[] query;
  final float[] queryBias;
  final float[] key;
  final float[] keyBias;
  final float[] value;
  final float[] valueBias;
  final float[] out;
  final float[] outBias;

  /** Names of the weights in a graph; those that a form does not use are null. */
  record Names(String query, String queryBias, String key, String keyBias, String value, String valueBias, String fused, String fusedBias,
      String out, String outBias) {}

  AttentionWeights(int keyWidth, long seed) {
    Random random = new Random(seed);
    this.keyWidth = keyWidth;
    double gain = 1 / Math.sqrt(C);
    query = normal(random, C * C, gain);
    key = normal(random, C * keyWidth, gain);
    value = normal(random, C * keyWidth, gain);
    queryBias = normal(random, C, 0.2);
    keyBias = normal(random, keyWidth, 0.2);
    valueBias = normal(random, keyWidth, 0.2);
    out = normal(random, C * C, gain);
    outBias = normal(random, C, 0.2);
  }

  static float[] normal(Random random, int count, double gain) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (random.nextGaussian() * gain);
    }
    return values;
  }

  /** [rows, width] each, side by side. */
  static float[] beside(int rows, float[]... parts) {
    int width = 0;
    for (float[] p : parts) {
      width += p.length / rows;
    }
    float[] all = new float[rows * width];
    int column = 0;
    for (float[] p : parts) {
      int own = p.length / rows;
      for (int r = 0; r < rows; r++) {
        System.arraycopy(p, r * own, all, r * width + column, own);
      }
      column += own;
    }
    return all;
  }

  /** [rows, H * d] each to [rows, H * n * d], head by head. */
  static float[] interleaved(int rows, float[]... parts) {
    int d = AttentionSpec.HEAD_DIM;
    int n = parts.length;
    int heads = parts[0].length / rows / d;
    float[] all = new float[rows * heads * n * d];
    for (int r = 0; r < rows; r++) {
      for (int h = 0; h < heads; h++) {
        for (int i = 0; i < n; i++) {
          System.arraycopy(parts[i], (r * heads + h) * d, all, ((r * heads + h) * n + i) * d, d);
        }
      }
    }
    return all;
  }
}
