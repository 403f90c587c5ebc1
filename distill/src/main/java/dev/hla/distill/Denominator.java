package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import dev.hla.converter.Activation;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Brings the denominators of each head near the number of its keys, by a constant in the key's gate, which cancels in the
 * output. So epsilon stays small beside them, and features and state stay in the range of 16-bit numbers.
 */
final class Denominator {
  private static final int SAMPLES = 4;
  private static final int ROWS = 64;

  private Denominator() {}

  /** Changes the key's bias of the first gate; maps without a gate stay as they are. */
  static void normalise(SiteData data, MapWeights weights) {
    int column = gate(weights.design());
    if (column < 0) {
      return;
    }
    double[][] shares = new double[weights.heads()][];
    Torch.withGradients(false, () -> {
      for (int s = 0; s < Math.min(SAMPLES, data.size()); s++) {
        SiteSample sample = data.sample(s * data.size() / Math.min(SAMPLES, data.size()));
        int rows = Math.min(ROWS, sample.queries());
        int[] picked = IntStream.range(0, rows).map(r -> (int) ((long) r * sample.queries() / rows)).toArray();
        try (NDManager manager = Torch.manager()) {
          FeatureMap map = new FeatureMap(manager, weights);
          SiteTensors tensors = SiteTensors.of(manager, sample, picked);
          NDArray sums = map.sums(map.features("query", tensors.query()), map.features("key", tensors.key()), tensors.value(), tensors.keyWeight())
              .get("..., " + sample.valueDim());
          float[] values = sums.toFloatArray();
          for (int h = 0; h < weights.heads(); h++) {
            double[] more = new double[rows];
            for (int r = 0; r < rows; r++) {
              more[r] = values[h * rows + r] / sample.keys();
            }
            shares[h] = shares[h] == null ? more : concatenated(shares[h], more);
          }
        }
      }
      return null;
    });
    int power = weights.design().spec().powers()[factor(weights.design())];
    MapWeights.Array bias = weights.array("key.bias");
    for (int h = 0; h < weights.heads(); h++) {
      Arrays.sort(shares[h]);
      double median = shares[h][shares[h].length / 2];
      if (median > 0 && Double.isFinite(median)) {
        bias.data()[h * bias.perHead() + column] -= (float) (Math.log(median) / power);
      }
    }
  }

  private static double[] concatenated(double[] a, double[] b) {
    double[] all = Arrays.copyOf(a, a.length + b.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  private static int factor(MapDesign design) {
    for (int f = 0; f < design.activations().size(); f++) {
      if (design.spec().ranks()[f] == 1 && design.activations().get(f) == Activation.EXP) {
        return f;
      }
    }
    return -1;
  }

  private static int gate(MapDesign design) {
    int f = factor(design);
    return f < 0 ? -1 : IntStream.range(0, f).map(i -> design.spec().ranks()[i]).sum();
  }
}
