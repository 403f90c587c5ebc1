package dev.hla.distill;

import java.util.Random;

/**
 * A site with made-up queries, keys and values whose outputs are softmax attention, computed here in double precision.
 *
 * @param spread standard deviation of queries and keys: how peaky the attention is
 */
record MadeUpSite(String name, int heads, int headDim, int tokens, int size, double spread, long seed) implements SiteData {
  @Override
  public double scale() {
    return 1 / Math.sqrt(headDim);
  }

  @Override
  public SiteSample sample(int index) {
    Random random = new Random(seed * 1000 + index);
    float[] q = gaussian(random, spread);
    float[] k = gaussian(random, spread);
    float[] v = gaussian(random, 1);
    for (int i = 0; i < v.length; i++) {
      // Values that depend on the keys, as they do in a model.
      v[i] = (float) (0.3 * v[i] + k[i]);
    }
    return new SiteSample(heads, tokens, tokens, headDim, headDim, q, k, v, softmax(q, k, v), null);
  }

  private float[] gaussian(Random random, double scale) {
    float[] values = new float[heads * tokens * headDim];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (scale * (random.nextGaussian() + 0.3));
    }
    return values;
  }

  private float[] softmax(float[] q, float[] k, float[] v) {
    float[] y = new float[v.length];
    for (int row = 0; row < heads * tokens; row++) {
      int head = row / tokens;
      double total = 0;
      double[] sum = new double[headDim];
      for (int j = 0; j < tokens; j++) {
        int key = (head * tokens + j) * headDim;
        double dot = 0;
        for (int c = 0; c < headDim; c++) {
          dot += (double) q[row * headDim + c] * k[key + c];
        }
        double weight = Math.exp(dot * scale());
        total += weight;
        for (int c = 0; c < headDim; c++) {
          sum[c] += weight * v[key + c];
        }
      }
      for (int c = 0; c < headDim; c++) {
        y[row * headDim + c] = (float) (sum[c] / total);
      }
    }
    return y;
  }
}
