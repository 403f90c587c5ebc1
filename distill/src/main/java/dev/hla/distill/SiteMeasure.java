package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import dev.hla.converter.SiteMaps;
import java.util.List;

/** Measures maps on samples, in rows of queries so that memory stays small. */
final class SiteMeasure {
  /** Numbers in the weights of one piece. */
  private static final long PIECE = 1 << 22;

  private SiteMeasure() {}

  /** The error of some maps. */
  static SiteError of(SiteData data, MapWeights weights) {
    double[] difference = new double[data.heads()];
    double[] original = new double[data.heads()];
    Torch.withGradients(false, () -> {
      for (int s = 0; s < data.size(); s++) {
        SiteSample sample = data.sample(s);
        int rows = (int) Math.max(1, Math.min(sample.queries(), PIECE / ((long) sample.heads() * sample.keys())));
        for (int start = 0; start < sample.queries(); start += rows) {
          int[] picked = java.util.stream.IntStream.range(start, Math.min(start + rows, sample.queries())).toArray();
          try (NDManager manager = Torch.manager()) {
            float[] y = attend(manager, sample, weights, picked).toFloatArray();
            add(difference, original, y, SiteSample.rows(sample.output(), sample.heads(), sample.valueDim(), picked));
          }
        }
      }
      return null;
    });
    return SiteError.of(difference, original);
  }

  private static NDArray attend(NDManager manager, SiteSample sample, MapWeights weights, int[] rows) {
    FeatureMap map = new FeatureMap(manager, weights);
    SiteTensors tensors = SiteTensors.of(manager, sample, rows);
    List<NDArray> query = map.features("query", tensors.query());
    List<NDArray> key = map.features("key", tensors.key());
    return FeatureMap.attend(map.sums(query, key, tensors.value(), tensors.keyWeight()), SiteMaps.DEFAULT_EPSILON);
  }

  /** The error of the mean of the values, whatever the query: what looking at nothing gives. */
  static SiteError ofMean(SiteData data) {
    double[] difference = new double[data.heads()];
    double[] original = new double[data.heads()];
    for (int s = 0; s < data.size(); s++) {
      SiteSample sample = data.sample(s);
      float[] mean = sample.meanValue();
      float[] y = new float[sample.output().length];
      int dv = sample.valueDim();
      for (int i = 0; i < y.length; i++) {
        y[i] = mean[i / (sample.queries() * dv) * dv + i % dv];
      }
      add(difference, original, y, sample.output());
    }
    return SiteError.of(difference, original);
  }

  /** Of each head, the sum over samples and rows of |o - mean v|^2 / number of rows: what the loss is measured in. */
  static double[] variance(SiteData data) {
    double[] difference = new double[data.heads()];
    double[] unused = new double[data.heads()];
    long rows = 0;
    for (int s = 0; s < data.size(); s++) {
      SiteSample sample = data.sample(s);
      float[] mean = sample.meanValue();
      int dv = sample.valueDim();
      float[] y = new float[sample.output().length];
      for (int i = 0; i < y.length; i++) {
        y[i] = mean[i / (sample.queries() * dv) * dv + i % dv];
      }
      add(difference, unused, y, sample.output());
      rows += sample.queries();
    }
    for (int h = 0; h < difference.length; h++) {
      difference[h] /= rows;
    }
    return difference;
  }

  private static void add(double[] difference, double[] original, float[] y, float[] o) {
    int perHead = o.length / difference.length;
    for (int i = 0; i < o.length; i++) {
      double d = (double) y[i] - o[i];
      difference[i / perHead] += d * d;
      original[i / perHead] += (double) o[i] * o[i];
    }
  }
}
