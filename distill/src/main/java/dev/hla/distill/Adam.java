package dev.hla.distill;

/**
 * The Adam optimiser, one head at a time: each head has its own step, clipping and count of bad gradients, so that what
 * goes wrong in one head stays there.
 */
final class Adam {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.99;
  private static final double TINY = 1e-8;

  private final MapWeights weights;
  private final MapWeights first;
  private final MapWeights second;
  private final int[] steps;
  private final int[] skipped;

  Adam(MapWeights weights) {
    this.weights = weights;
    this.first = new MapWeights(weights.heads(), weights.headDim(), weights.design());
    this.second = new MapWeights(weights.heads(), weights.headDim(), weights.design());
    this.steps = new int[weights.heads()];
    this.skipped = new int[weights.heads()];
  }

  /** What it moves. */
  MapWeights weights() {
    return weights;
  }

  /** The means of gradients and of their squares, to be saved and filled again. */
  MapWeights first() {
    return first;
  }

  MapWeights second() {
    return second;
  }

  /** Steps taken by each head. */
  int[] steps() {
    return steps;
  }

  /** Steps that a head did not take because its gradient was not finite. */
  int[] skipped() {
    return skipped;
  }

  /**
   * Sets the gradient of fixed columns to 0 and returns the Euclidean norm of one head's gradient.
   *
   * @param gradients in the order of the weights' arrays
   */
  double norm(float[][] gradients, int head) {
    double sum = 0;
    for (int a = 0; a < gradients.length; a++) {
      MapWeights.Array array = weights.arrays().get(a);
      for (int i = 0; i < array.perHead(); i++) {
        int at = head * array.perHead() + i;
        if (array.fixedColumns()[i % array.shape()[2]]) {
          gradients[a][at] = 0;
        }
        sum += (double) gradients[a][at] * gradients[a][at];
      }
    }
    return Math.sqrt(sum);
  }

  /**
   * Moves one head.
   *
   * @param rate the learning rate of this step
   * @param factor what the gradient is multiplied with first, to clip it; not finite skips the step
   */
  void step(float[][] gradients, int head, double rate, double factor) {
    if (!Double.isFinite(factor)) {
      skipped[head]++;
      return;
    }
    int t = ++steps[head];
    double scale1 = 1 / (1 - StrictMath.pow(BETA1, t));
    double scale2 = 1 / (1 - StrictMath.pow(BETA2, t));
    for (int a = 0; a < gradients.length; a++) {
      int n = weights.arrays().get(a).perHead();
      float[] w = weights.arrays().get(a).data();
      float[] m = first.arrays().get(a).data();
      float[] v = second.arrays().get(a).data();
      for (int i = head * n; i < (head + 1) * n; i++) {
        double g = gradients[a][i] * factor;
        m[i] = (float) (BETA1 * m[i] + (1 - BETA1) * g);
        v[i] = (float) (BETA2 * v[i] + (1 - BETA2) * g * g);
        w[i] -= (float) (rate * m[i] * scale1 / (Math.sqrt(v[i] * scale2) + TINY));
      }
    }
  }

  /** A learning rate that warms up in 20 steps and then falls along a cosine to 2 % at the end. */
  static double rate(double peak, int step, int total) {
    int warmUp = Math.min(20, total / 5);
    if (step < warmUp) {
      return peak * (step + 1) / (warmUp + 1);
    }
    double progress = (double) (step - warmUp) / Math.max(1, total - warmUp);
    return peak * (0.02 + 0.98 * 0.5 * (1 + StrictMath.cos(Math.PI * progress)));
  }
}
