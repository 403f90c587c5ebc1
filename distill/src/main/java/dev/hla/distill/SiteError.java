package dev.hla.distill;

import java.io.Serializable;

/**
 * How far a site's attention is from the original's, over all samples and tokens: |y - o| / |o|.
 *
 * @param all over all heads together
 * @param heads of each head
 */
public record SiteError(double all, double[] heads) implements Serializable {
  /** From sums of squares of each head. */
  static SiteError of(double[] difference, double[] original) {
    double[] heads = new double[difference.length];
    double sumDifference = 0;
    double sumOriginal = 0;
    for (int h = 0; h < heads.length; h++) {
      heads[h] = Math.sqrt(difference[h] / original[h]);
      sumDifference += difference[h];
      sumOriginal += original[h];
    }
    return new SiteError(Math.sqrt(sumDifference / sumOriginal), heads);
  }
}
