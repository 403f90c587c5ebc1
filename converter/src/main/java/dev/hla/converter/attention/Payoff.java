package dev.hla.converter.attention;

import java.util.Locale;

/**
 * Whether linear attention does less arithmetic than softmax at a site. Per head and token pair softmax needs 4 d FLOP;
 * Hadamard attention needs, per token, 2 D (dv + 1) FLOP for the state and 2 d R for the feature maps.
 *
 * @param pays whether it does less; where tokens are symbolic, true for self and joint attention, whose tokens grow
 * @param softmax FLOP of softmax attention, NaN where tokens are symbolic
 * @param hadamard FLOP of Hadamard attention, NaN where tokens are symbolic
 * @param text the arithmetic in words
 */
public record Payoff(boolean pays, double softmax, double hadamard, String text) {
  /**
   * @param features R, the sum of the ranks
   * @param state D, the number of products of features
   */
  public static Payoff of(AttentionSite site, long features, long state) {
    double d = site.headDim();
    if (d <= 0 || site.heads() <= 0) {
      return new Payoff(false, Double.NaN, Double.NaN, "its sizes are unknown");
    }
    double perToken = 2.0 * state * (d + 1) + 2.0 * d * features;
    double breakEven = perToken / (2 * d);
    boolean known = site.queryTokens() != null && site.keyTokens() != null && site.queryTokens().isStatic() && site.keyTokens().isStatic();
    if (!known) {
      boolean grows = site.kind() == Kind.SELF || site.kind() == Kind.JOINT;
      return new Payoff(grows, Double.NaN, Double.NaN, String.format(Locale.ROOT, "pays above %.0f tokens at state %d", breakEven, state));
    }
    double n = site.queryTokens().value();
    double m = site.keyTokens().value();
    double softmax = 4 * n * m * d * site.heads();
    double hadamard = (n + m) * perToken * site.heads();
    String text = String.format(Locale.ROOT, "softmax 4*%.0f*%.0f*%.0f*%d = %s FLOP, hadamard at state %d %s FLOP: %s", n, m, d, site.heads(),
        count(softmax), state, count(hadamard),
        hadamard < softmax ? String.format(Locale.ROOT, "%.1f times less", softmax / hadamard)
            : String.format(Locale.ROOT, "does not pay below about %.0f tokens", breakEven));
    return new Payoff(hadamard < softmax, softmax, hadamard, text);
  }

  private static String count(double flop) {
    String[] units = {"", " K", " M", " G", " T", " P"};
    int unit = 0;
    while (flop >= 1000 && unit < units.length - 1) {
      flop /= 1000;
      unit++;
    }
    return String.format(Locale.ROOT, flop < 10 ? "%.1f%s" : "%.0f%s", flop, units[unit]);
  }
}
