package dev.hla.testdata.graph;

import static dev.hla.testdata.graph.AttentionSpec.HEADS;
import static dev.hla.testdata.graph.AttentionSpec.HEAD_DIM;
import static dev.hla.testdata.graph.AttentionSpec.SCALE;

import dev.hla.onnx.TensorProto.DataType;
import java.util.List;

/** Writes what is between q, k, v and the output, in each form around a softmax. */
final class CoreWriter {
  private final GraphBuilder g;
  private final AttentionSpec spec;
  private final String mask;
  private final int type;

  /** @param mask the model's mask input, or null */
  CoreWriter(GraphBuilder g, AttentionSpec spec, String mask, int type) {
    this.g = g;
    this.spec = spec;
    this.mask = mask;
    this.type = type;
  }

  /** The attended values, as [B, N, H, d] or, where the form leaves them so, [B, H, N, d]. */
  Head write(Head q, Head k, Head v) {
    g.scope("/block/attn");
    return switch (spec.form()) {
      case SDPA_COMPUTED_SCALE -> computedScale(q, k, v);
      case SDPA_TWO_TRANSPOSES -> {
        String root = scalar(Math.sqrt(SCALE));
        String keys = g.transpose(headsFirst(k), 0, 1, 3, 2);
        yield attended(g.op("Mul", headsFirst(q), root), g.op("Mul", keys, root), headsFirst(v));
      }
      case SDPA_EXPORTED -> exported(q, k, v);
      case MANUAL_TIMES -> valued(softmax(masked(g.op("Mul", product(q, k), scalar(SCALE)))), v);
      case MANUAL_DIVIDED -> valued(softmax(masked(g.op("Div", product(q, k), scalar(1 / SCALE)))), v);
      case MANUAL_CAST_SCALE -> {
        String scale = g.cast(g.real("scale", DataType.FLOAT_VALUE, new float[] {(float) SCALE}), type);
        String scores = g.cast(masked(g.op("Mul", product(q, k), scale)), type);
        yield valued(g.cast(softmax(scores), type), v);
      }
      case MANUAL_FLOAT_SOFTMAX -> {
        String scores = masked(g.op("Mul", product(q, k), scalar(SCALE)));
        String p = new CoreWriter(g, spec, mask, DataType.FLOAT_VALUE).softmax(g.cast(scores, DataType.FLOAT_VALUE));
        yield valued(g.cast(p, type), v);
      }
      case MANUAL_FLOAT_OPERANDS -> floatOperands(q, k, v);
      case SCALE_BEFORE_HEADS, NO_SCALE -> valued(softmax(masked(product(q, k))), v);
      case EINSUM_HEADS_FIRST -> {
        String scores = g.op("Mul", einsum("bhid,bhjd->bhij", headsFirst(q), headsFirst(k)), scalar(SCALE));
        yield heads(einsum("bhij,bhjd->bhid", softmax(masked(scores)), headsFirst(v)));
      }
      case EINSUM_TOKENS_FIRST -> {
        String scores = g.op("Mul", einsum("bihd,bjhd->bhij", tokensFirst(q), tokensFirst(k)), scalar(SCALE));
        yield new Head(einsum("bhij,bjhd->bihd", softmax(masked(scores)), tokensFirst(v)), Head.TOKENS_FIRST, HEADS);
      }
      case EINSUM_ODD_LETTERS -> {
        String scores = g.op("Mul", einsum("zqkw,zxkw->zkqx", tokensFirst(q), tokensFirst(k)), scalar(SCALE));
        yield heads(einsum("zkqx,zxkc->zkqc", softmax(masked(scores)), tokensFirst(v)));
      }
      case MERGED, MERGED_FLOAT_SCORES -> merged(q, k, v);
      case FUSED_MATMUL -> valued(softmax(masked(fused(headsFirst(q), headsFirst(k), 1))), v);
      case FUSED_MATMUL_TRANSPOSED -> valued(softmax(masked(fused(headsFirst(q), channelsFirst(k), 0))), v);
      case DECOMPOSED, DECOMPOSED_UNSHIFTED -> valued(decomposed(masked(g.op("Mul", product(q, k), scalar(SCALE)))), v);
      case GROUPED_EXPAND -> {
        String keys = g.transpose(repeated(k), 0, 1, 3, 2);
        String scores = g.op("Mul", g.op("MatMul", headsFirst(q), keys), scalar(SCALE));
        yield heads(g.op("MatMul", softmax(masked(scores)), repeated(v)));
      }
      default -> throw new IllegalArgumentException(spec.form() + " is one operator");
    };
  }

  private static Head heads(String value) {
    return new Head(value, Head.HEADS_FIRST, HEADS);
  }

  private String scalar(double value) {
    return g.scalar(value, type);
  }

  private String masked(String scores) {
    return new MaskWriter(g, spec, mask, type).onto(scores);
  }

  private String einsum(String equation, String a, String b) {
    return g.op("Einsum", List.of(GraphBuilder.text("equation", equation)), a, b);
  }

  private String product(Head q, Head k) {
    return g.op("MatMul", headsFirst(q), channelsFirst(k));
  }

  private Head valued(String probabilities, Head v) {
    return heads(g.op("MatMul", probabilities, headsFirst(v)));
  }

  private Head attended(String q, String k, String v) {
    return heads(g.op("MatMul", softmax(masked(g.op("MatMul", q, k))), v));
  }

  private String softmax(String scores) {
    String p = g.softmax(scores, spec.form().isMerged() ? 3 : 4);
    if (spec.mask() != AttentionMask.KEY_BOOL_GUARDED) {
      return p;
    }
    return g.op("Where", g.op("IsNaN", p), scalar(0), p);
  }

  private String decomposed(String scores) {
    String shifted = spec.form() == AttentionForm.DECOMPOSED ? g.op("Sub", scores, g.reduceMax(scores, -1)) : scores;
    String e = g.op("Exp", shifted);
    return g.op("Div", e, g.reduceSum(e, -1));
  }

  // ---- scaled_dot_product_attention

  private Head computedScale(Head q, Head k, Head v) {
    String queries = headsFirst(q);
    String size = g.slice(g.op("Shape", queries), 0, -1, Long.MAX_VALUE);
    String root = g.op("Sqrt", g.cast(size, DataType.FLOAT_VALUE));
    String scale = g.cast(g.op("Div", g.real("one", DataType.FLOAT_VALUE, new float[] {1}, 1), root), type);
    String scaledQuery = g.op("Mul", queries, g.op("Sqrt", scale));
    String scaledKey = g.op("Mul", channelsFirst(k), g.op("Sqrt", scale));
    return attended(scaledQuery, scaledKey, headsFirst(v));
  }

  private Head exported(Head q, Head k, Head v) {
    String root = scalar(Math.sqrt(SCALE));
    String scaledQuery = g.op("Mul", headsFirst(q), root);
    String keys = headsFirst(k);
    String to3d;
    String to4d;
    if (spec.dynamic()) {
      String shape = g.op("Shape", keys);
      String lead = g.slice(shape, 0, 0, 2);
      String tokens = g.slice(shape, 0, 2, 3);
      String width = g.slice(shape, 0, 3, 4);
      to3d = g.concat(0, g.ints(-1), tokens, width);
      to4d = g.concat(0, lead, width, tokens);
    } else {
      to3d = g.ints(-1, keys(), HEAD_DIM);
      to4d = g.ints(AttentionSpec.FIRST.batch(), HEADS, HEAD_DIM, keys());
    }
    String flipped = g.reshape(g.transpose(g.reshape(keys, to3d), 0, 2, 1), to4d);
    return attended(scaledQuery, g.op("Mul", flipped, root), headsFirst(v));
  }

  private long keys() {
    return spec.cross() ? AttentionSpec.FIRST.context() : AttentionSpec.FIRST.tokens();
  }

  // ---- others

  private Head floatOperands(Head q, Head k, Head v) {
    int wide = DataType.FLOAT_VALUE;
    CoreWriter inFloat = new CoreWriter(g, spec, mask, wide);
    String scores = g.op("MatMul", g.cast(headsFirst(q), wide), g.cast(channelsFirst(k), wide));
    String p = inFloat.softmax(inFloat.masked(g.op("Mul", scores, g.scalar(SCALE, wide))));
    return heads(g.cast(g.op("MatMul", p, g.cast(headsFirst(v), wide)), type));
  }

  private String fused(String q, String k, long flipped) {
    return g.op("com.microsoft.FusedMatMul", List.of(GraphBuilder.number("alpha", SCALE), GraphBuilder.integer("transB", flipped)), q, k);
  }

  private Head merged(Head q, Head k, Head v) {
    boolean inFloat = spec.form() == AttentionForm.MERGED_FLOAT_SCORES;
    int scoreType = inFloat ? DataType.FLOAT_VALUE : type;
    String queries = joined(headsFirst(q));
    String keys = g.transpose(joined(headsFirst(k)), 0, 2, 1);
    if (inFloat) {
      queries = g.cast(queries, scoreType);
      keys = g.cast(keys, scoreType);
    }
    String scores = g.op("Mul", g.op("MatMul", queries, keys), g.scalar(SCALE, scoreType));
    String p = softmax(new MaskWriter(g, spec, mask, scoreType).onto(scores));
    String o = g.op("MatMul", inFloat ? g.cast(p, type) : p, joined(headsFirst(v)));
    return heads(spec.dynamic() ? g.reshape(o, g.concat(0, g.ints(-1), g.ints(HEADS), g.dim(headsFirst(q), 2), g.ints(HEAD_DIM)))
        : g.reshape(o, AttentionSpec.FIRST.batch(), HEADS, AttentionSpec.FIRST.tokens(), HEAD_DIM));
  }

  private String joined(String headsFirst) {
    return g.reshape(headsFirst, g.concat(0, g.ints(-1), g.dim(headsFirst, 2), g.ints(HEAD_DIM)));
  }

  private String repeated(Head few) {
    String apart = g.unsqueeze(headsFirst(few), 2);
    String wide = g.op("Expand", apart, g.ints(1, 1, HEADS / few.heads(), 1, 1));
    return spec.dynamic() ? g.reshape(wide, g.concat(0, g.ints(0), g.ints(HEADS), g.dim(apart, 3), g.ints(HEAD_DIM)))
        : g.reshape(wide, 0, HEADS, keys(), HEAD_DIM);
  }

  // ---- layouts

  private String tokensFirst(Head h) {
    return new Layouts(g).tokensFirst(h);
  }

  private String headsFirst(Head h) {
    return new Layouts(g).headsFirst(h);
  }

  /** [B, H, d, N], by one transpose wherever one is enough. */
  private String channelsFirst(Head h) {
    return new Layouts(g).channelsFirst(h);
  }
}
