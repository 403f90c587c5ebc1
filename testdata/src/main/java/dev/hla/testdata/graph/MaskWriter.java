package dev.hla.testdata.graph;

import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.graph.AttentionSpec.Sizes;
import java.util.List;

/** Writes the mask of one attention, in the type of its scores. */
final class MaskWriter {
  private final GraphBuilder g;
  private final AttentionSpec spec;
  private final String input;
  private final int type;

  /**
   * @param input the model's mask input, or null
   * @param type of the scores
   */
  MaskWriter(GraphBuilder g, AttentionSpec spec, String input, int type) {
    this.g = g;
    this.spec = spec;
    this.input = input;
    this.type = type;
  }

  /** The scores, [B, H, N, M] or merged [B*H, N, M], with the mask on them. */
  String onto(String scores) {
    if (spec.mask() == AttentionMask.NONE) {
      return scores;
    }
    String before = g.scope();
    g.scope("/block/mask");
    String masked = switch (spec.mask()) {
      case KEY_FILLED -> g.op("Where", fourAxes(input), scores, low(-10000));
      case KEY_DROPPED -> g.op("Where", fourAxes(input), low(Double.NEGATIVE_INFINITY), scores);
      // baddbmm adds the product to what it starts from.
      default -> spec.form().isMerged() ? g.op("Add", added(scores), scores) : g.op("Add", scores, added(scores));
    };
    g.scope(before);
    return masked;
  }

  private String low(double value) {
    return g.real("low", type, new float[] {(float) value});
  }

  private String fourAxes(String mask) {
    return g.unsqueeze(mask, 1, 2);
  }

  private String added(String scores) {
    return switch (spec.mask()) {
      case ZERO_CONSTANT -> zeros(scores);
      case ZERO_COMPUTED -> g.op("Mul", filled(scores), g.scalar(0, type));
      case KEY_EXPANDED -> merged(g.op("Expand", additive(), everywhere()));
      case KEY_TILED -> merged(g.op("Tile", additive(), repeats()));
      case KEY_COMPUTED -> merged(g.op("Where", computed(), low(0), low(-10000)));
      case QUERY_DEPENDENT -> merged(g.op("Where", input, low(0), low(-10000)));
      case CAUSAL -> causal();
      default -> forOperator();
    };
  }

  /** A mask that broadcasts over heads and queries, [B, 1, 1, M], to be added. */
  String forOperator() {
    return switch (spec.mask()) {
      case KEY_BOOL, KEY_BOOL_GUARDED -> g.op("Where", fourAxes(input), low(0), low(Double.NEGATIVE_INFINITY));
      case KEY_BIAS -> fourAxes(cast(input));
      default -> additive();
    };
  }

  private String cast(String x) {
    return type == DataType.FLOAT_VALUE ? x : g.cast(x, type);
  }

  /** (1 - m) * -10000, [B, 1, 1, M]. */
  private String additive() {
    return fourAxes(g.op("Mul", g.op("Sub", g.scalar(1, type), cast(input)), g.scalar(-10000, type)));
  }

  /** KEY_EXPANDED of an operator: [B, 1, N, M] or [B, H, N, M]. */
  String expanded(long heads) {
    return g.op("Expand", additive(), spec.dynamic() ? g.concat(0, g.ints(1), g.ints(heads), queries(), g.ints(1))
        : g.ints(sizes().batch(), heads, sizes().tokens(), keys()));
  }

  /** Where a key is kept and the query is at position 0 or later, [B, 1, N, M]. */
  String computed() {
    String last = spec.dynamic() ? queries() : g.ints(sizes().tokens());
    String positions = g.op("Range", g.squeeze(g.ints(0), 0), g.squeeze(last, 0), g.squeeze(g.ints(1), 0));
    return g.op("And", g.op("GreaterOrEqual", g.unsqueeze(positions, 1), g.ints(0)), fourAxes(input));
  }

  private Sizes sizes() {
    return AttentionSpec.FIRST;
  }

  private long keys() {
    return spec.cross() ? sizes().context() : sizes().tokens();
  }

  /** The number of queries of a dynamic model, which the main graph's input tells. */
  private String queries() {
    return g.dim("x", 1);
  }

  private String everywhere() {
    return spec.dynamic() ? g.concat(0, g.dim("x", 0), g.ints(AttentionSpec.HEADS), queries(), g.dim(spec.cross() ? "context" : "x", 1))
        : g.ints(sizes().batch(), AttentionSpec.HEADS, sizes().tokens(), keys());
  }

  private String repeats() {
    return spec.dynamic() ? g.concat(0, g.ints(1), g.ints(AttentionSpec.HEADS), queries(), g.ints(1)) : g.ints(1, AttentionSpec.HEADS, sizes().tokens(), 1);
  }

  /** [B, H, N, M] with batch and heads joined where the form joins them. */
  private String merged(String mask) {
    if (!spec.form().isMerged()) {
      return mask;
    }
    String full = spec.mask() == AttentionMask.QUERY_DEPENDENT || spec.mask() == AttentionMask.KEY_COMPUTED ? g.op("Expand", mask, everywhere()) : mask;
    return spec.dynamic() ? g.reshape(full, g.concat(0, g.ints(-1), g.dim(full, 2), g.dim(full, 3)))
        : g.reshape(full, (long) sizes().batch() * AttentionSpec.HEADS, sizes().tokens(), keys());
  }

  private String zeros(String scores) {
    int rank = spec.form().isMerged() ? 3 : 4;
    if (spec.dynamic()) {
      return g.real("zeros", type, new float[1], rank == 3 ? new long[] {1, 1, 1} : new long[] {1, 1, 1, 1});
    }
    int count = sizes().batch() * AttentionSpec.HEADS * sizes().tokens() * (int) keys();
    return rank == 3 ? g.real("zeros", type, new float[count], sizes().batch() * AttentionSpec.HEADS, sizes().tokens(), keys())
        : g.real("zeros", type, new float[count], sizes().batch(), AttentionSpec.HEADS, sizes().tokens(), keys());
  }

  private String filled(String scores) {
    return cast(g.op("ConstantOfShape", List.of(), g.op("Shape", scores)));
  }

  /** An initializer in static models; compared ranges in dynamic ones. */
  private String causal() {
    if (!spec.dynamic()) {
      int n = sizes().tokens();
      float[] mask = new float[n * n];
      for (int i = 0; i < n * n; i++) {
        mask[i] = i % n > i / n ? -10000 : 0;
      }
      return spec.form().isMerged() ? g.real("causal", type, mask, 1, n, n) : g.real("causal", type, mask, 1, 1, n, n);
    }
    String positions = g.op("Range", g.squeeze(g.ints(0), 0), g.squeeze(queries(), 0), g.squeeze(g.ints(1), 0));
    String later = g.op("Greater", g.unsqueeze(positions, 0), g.unsqueeze(positions, 1));
    return g.op("Where", later, low(-10000), low(0));
  }
}
