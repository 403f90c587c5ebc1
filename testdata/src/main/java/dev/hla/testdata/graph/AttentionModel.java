package dev.hla.testdata.graph;

import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.graph.AttentionSpec.Sizes;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * A model with one attention, in the form that its specification says, and what is needed to tell what it must compute.
 *
 * @param model inputs x [B, N, C], context [B, M, C] and mask as far as they are used; output y [B, N, C]
 * @param operands of the same inputs, gives query [B, H, N, d], key and value [B, H or fewer, M, d] in float
 * @param merged the attended values [B, N, C] in the main graph, or null where they are inside a body
 * @param outWeight [C, C], y = merged W + b
 * @param outBias [C]
 */
public record AttentionModel(AttentionSpec spec, ModelProto model, ModelProto operands, String merged, float[] outWeight, float[] outBias) {
  private static final int C = AttentionSpec.WIDTH;

  /**
   * Inputs for a run.
   *
   * @param feeds by input name
   * @param keyWeights [B, M]: what the mask multiplies each key's weight with
   */
  public record Inputs(Map<String, Feed> feeds, double[] keyWeights) {}

  /** @throws IllegalArgumentException for a specification that is not legal */
  public static AttentionModel of(AttentionSpec spec) {
    if (!spec.isLegal()) {
      throw new IllegalArgumentException(spec + " is not legal");
    }
    return new AttentionModelWriter(spec).write();
  }

  public int keys(Sizes sizes) {
    return spec.cross() ? sizes.context() : sizes.tokens();
  }

  /** Random inputs; every row of a mask keeps at least one key. */
  public Inputs inputs(Sizes sizes, long seed) {
    return inputs(sizes, seed, false);
  }

  /** @param wholly whether the mask leaves out every key of the first batch entry */
  public Inputs inputs(Sizes sizes, long seed, boolean wholly) {
    Random random = new Random(seed);
    Map<String, Feed> feeds = new LinkedHashMap<>();
    int type = AttentionModelWriter.projectedType(spec);
    int b = sizes.batch();
    int m = keys(sizes);
    feeds.put("x", new Feed(type, new long[] {b, sizes.tokens(), C}, AttentionWeights.normal(random, b * sizes.tokens() * C, 1)));
    if (spec.cross()) {
      feeds.put("context", new Feed(type, new long[] {b, m, C}, AttentionWeights.normal(random, b * m * C, 1)));
    }
    double[] weights = new double[b * m];
    float[] mask = new float[b * m];
    for (int i = 0; i < b * m; i++) {
      boolean keep = i % m == 0 || random.nextInt(3) > 0;
      keep &= !(wholly && i < m);
      mask[i] = keep ? 1 : 0;
      weights[i] = mask[i];
    }
    switch (spec.mask()) {
      case KEY_BOOL, KEY_BOOL_GUARDED, KEY_FILLED, KEY_COMPUTED -> feeds.put("mask", new Feed(DataType.BOOL_VALUE, new long[] {b, m}, mask));
      case KEY_DROPPED -> feeds.put("mask", new Feed(DataType.BOOL_VALUE, new long[] {b, m}, inverted(mask)));
      case KEY_ADDITIVE, KEY_EXPANDED, KEY_TILED -> feeds.put("mask", new Feed(DataType.FLOAT_VALUE, new long[] {b, m}, mask));
      case KEY_PADDING -> feeds.put("mask", new Feed(DataType.INT32_VALUE, new long[] {b, m}, mask));
      case KEY_BIAS -> {
        for (int i = 0; i < mask.length; i++) {
          // Multiples of 1/16 are the same numbers in every type.
          mask[i] = (random.nextInt(81) - 64) / 16f;
          weights[i] = Math.exp(mask[i]);
        }
        feeds.put("mask", new Feed(DataType.FLOAT_VALUE, new long[] {b, m}, mask));
      }
      case QUERY_DEPENDENT -> {
        float[] each = new float[b * sizes.tokens() * m];
        for (int i = 0; i < each.length; i++) {
          each[i] = i % m == 0 || random.nextBoolean() ? 1 : 0;
        }
        feeds.put("mask", new Feed(DataType.BOOL_VALUE, new long[] {b, 1, sizes.tokens(), m}, each));
      }
      default -> java.util.Arrays.fill(weights, 1);
    }
    return new Inputs(feeds, weights);
  }

  private static float[] inverted(float[] mask) {
    float[] drop = new float[mask.length];
    for (int i = 0; i < mask.length; i++) {
      drop[i] = 1 - mask[i];
    }
    return drop;
  }
}
