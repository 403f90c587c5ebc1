package dev.hla.testdata;

import dev.hla.converter.SiteMaps;
import java.util.Locale;

/** What a converted attention site must compute from q, k and v, in float64 and straight from the definition. */
public final class SiteReference {
  private SiteReference() {}

  /**
   * @param maps without a hidden layer
   * @param q [B, H, N, d]
   * @param k [B, G, M, d], where each of G heads serves H / G heads of q in a row
   * @param v [B, G, M, dv]
   * @param keyWeights [B, M]: 0 for a key that is masked, exp(m) for a mask m that is added to the scores
   * @return [B, H, N, dv]
   */
  public static double[] attend(SiteMaps maps, int batch, int heads, int keyHeads, int queries, int keys, int valueDim, double[] q, double[] k,
      double[] v, double[] keyWeights) {
    int d = maps.query().headDim();
    double[] allKeys = repeated(k, batch, keyHeads, heads, keys * d);
    double[] allValues = repeated(v, batch, keyHeads, heads, keys * valueDim);
    double[] queryFeatures = features(maps, maps.query(), batch, heads, queries, q);
    double[] keyFeatures = features(maps, maps.key(), batch, heads, keys, allKeys);
    // The first factor alone carries the key's weight: its power turns the root back.
    int width = maps.query().width();
    for (int b = 0; b < batch; b++) {
      for (int h = 0; h < heads; h++) {
        for (int j = 0; j < keys; j++) {
          double root = Math.pow(keyWeights[b * keys + j], 1.0 / maps.powers()[0]);
          for (int c = 0; c < maps.ranks()[0]; c++) {
            keyFeatures[((b * heads + h) * keys + j) * width + c] *= root;
          }
        }
      }
    }
    return HadamardReference.attend(batch, heads, queries, keys, valueDim, maps.ranks(), maps.powers(), maps.epsilon(), queryFeatures, keyFeatures,
        allValues);
  }

  private static double[] features(SiteMaps maps, SiteMaps.Side side, int batch, int heads, int tokens, double[] x) {
    String[] activations = maps.activations().stream().map(a -> a.name().toLowerCase(Locale.ROOT)).toArray(String[]::new);
    return HadamardReference.features(batch, heads, tokens, side.headDim(), maps.ranks(), activations, x, doubles(side.weight()), doubles(side.bias()));
  }

  private static double[] repeated(double[] x, int batch, int from, int to, int block) {
    double[] out = new double[batch * to * block];
    for (int b = 0; b < batch; b++) {
      for (int h = 0; h < to; h++) {
        System.arraycopy(x, (b * from + h * from / to) * block, out, (b * to + h) * block, block);
      }
    }
    return out;
  }

  public static double[] doubles(float[] values) {
    double[] result = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = values[i];
    }
    return result;
  }
}
