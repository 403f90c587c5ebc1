package dev.hla.distill;

/**
 * What one attention site read and made for one clip or text.
 *
 * @param heads H
 * @param queries N
 * @param keys M
 * @param headDim d
 * @param valueDim dv
 * @param query [H, N, d]
 * @param key [H, M, d]
 * @param value [H, M, dv]
 * @param output of the original attention, [H, N, dv]
 * @param keyWeight what the mask multiplies each key's softmax weight with, [H, M]; null where there is no mask
 */
record SiteSample(int heads, int queries, int keys, int headDim, int valueDim, float[] query, float[] key, float[] value,
    float[] output, float[] keyWeight) {

  /** The mean of the values over the keys that take part, [H, dv]: what attention gives that looks at nothing. */
  float[] meanValue() {
    float[] mean = new float[heads * valueDim];
    for (int h = 0; h < heads; h++) {
      double total = 0;
      double[] sum = new double[valueDim];
      for (int j = 0; j < keys; j++) {
        double weight = keyWeight == null ? 1 : keyWeight[h * keys + j];
        total += weight;
        for (int c = 0; c < valueDim; c++) {
          sum[c] += weight * value[(h * keys + j) * valueDim + c];
        }
      }
      for (int c = 0; c < valueDim; c++) {
        mean[h * valueDim + c] = (float) (total == 0 ? 0 : sum[c] / total);
      }
    }
    return mean;
  }

  /** Some rows of all heads of [H, N, width] as [H, rows, width]. */
  static float[] rows(float[] array, int heads, int width, int[] rows) {
    int tokens = array.length / (heads * width);
    float[] picked = new float[heads * rows.length * width];
    for (int h = 0; h < heads; h++) {
      for (int r = 0; r < rows.length; r++) {
        System.arraycopy(array, (h * tokens + rows[r]) * width, picked, (h * rows.length + r) * width, width);
      }
    }
    return picked;
  }
}
