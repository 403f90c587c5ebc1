package dev.hla.distill;

import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.runtime.Tensor;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Tokens that a mask hides from every query. Where tokens attend to each other, nobody reads what such a token gets for
 * itself, so neither a fit nor an error should look at it.
 */
final class Padding {
  private Padding() {}

  /** The sample without keys that have no weight in any head, and where queries and keys are the same tokens without their queries. */
  static SiteSample dropped(SiteSample s, Kind kind) {
    if (s.keyWeight() == null) {
      return s;
    }
    int[] kept = kept(s.keyWeight(), s.keys());
    boolean same = kind != Kind.CROSS && s.queries() == s.keys();
    float[] weight = SiteSample.rows(s.keyWeight(), s.heads(), 1, kept);
    boolean plain = IntStream.range(0, weight.length).allMatch(i -> weight[i] == 1);
    return new SiteSample(s.heads(), same ? kept.length : s.queries(), kept.length, s.headDim(), s.valueDim(),
        same ? SiteSample.rows(s.query(), s.heads(), s.headDim(), kept) : s.query(), SiteSample.rows(s.key(), s.heads(), s.headDim(), kept),
        SiteSample.rows(s.value(), s.heads(), s.valueDim(), kept), same ? SiteSample.rows(s.output(), s.heads(), s.valueDim(), kept) : s.output(),
        plain ? null : weight);
  }

  /** Keys with weight in some head; all keys where none has any, since attention takes their mean then. */
  private static int[] kept(float[] keyWeight, int keys) {
    boolean[] seen = new boolean[keys];
    for (int i = 0; i < keyWeight.length; i++) {
      seen[i % keys] |= keyWeight[i] != 0;
    }
    int[] kept = IntStream.range(0, keys).filter(k -> seen[k]).toArray();
    return kept.length == 0 ? IntStream.range(0, keys).toArray() : kept;
  }

  /** Whether the site's mask can tell which rows of the model's output are of padding. */
  static boolean tells(AttentionSite site, String keyWeight) {
    return !keyWeight.isEmpty() && (site.kind() == Kind.SELF || site.kind() == Kind.TEXT);
  }

  /**
   * Weights of a model's output [1, N, C], where a site among its N tokens has a mask.
   *
   * @param keyWeight of that site, with the keys in the last axis but one
   * @return [N], 1 for tokens and 0 for padding; null where the output is of another shape, or all rows count
   */
  static float[] rows(Tensor keyWeight, long[] output) {
    int keys = keyWeight.rank() < 2 ? 0 : keyWeight.dim(-2);
    if (output.length != 3 || output[0] != 1 || output[1] != keys || keyWeight.size() % keys != 0) {
      return null;
    }
    float[] rows = new float[keys];
    for (int kept : kept(keyWeight.floats(), keys)) {
      rows[kept] = 1;
    }
    return Arrays.equals(rows, ones(keys)) ? null : rows;
  }

  private static float[] ones(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    return ones;
  }
}
