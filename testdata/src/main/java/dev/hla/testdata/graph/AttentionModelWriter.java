package dev.hla.testdata.graph;

import static dev.hla.testdata.graph.AttentionSpec.FIRST;
import static dev.hla.testdata.graph.AttentionSpec.HEAD_DIM;
import static dev.hla.testdata.graph.AttentionSpec.SCALE;
import static dev.hla.testdata.graph.AttentionSpec.WIDTH;

import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.Precision;
import java.util.ArrayList;
import java.util.List;

/** Puts the parts of an {@link AttentionModel} together. */
final class AttentionModelWriter {
  private final AttentionSpec spec;
  private final AttentionWeights weights;
  private final int type;
  private final int projected;

  AttentionModelWriter(AttentionSpec spec) {
    this.spec = spec;
    this.weights = new AttentionWeights(spec.keyHeads() * HEAD_DIM, spec.form().ordinal() * 31L + 7);
    this.type = spec.type().dataType();
    this.projected = projectedType(spec);
  }

  /** The type of the model's tokens and weights. */
  static int projectedType(AttentionSpec spec) {
    return spec.type() == Precision.FLOAT16 ? DataType.FLOAT16_VALUE : DataType.FLOAT_VALUE;
  }

  AttentionModel write() {
    GraphBuilder g = new GraphBuilder(spec.opset());
    String mask = inputs(g);
    String context = spec.cross() ? "context" : "x";
    String merged = null;
    String y;
    switch (spec.placement()) {
      case IF_BODY -> {
        AttentionWeights.Names names = names(g);
        String flag = g.input("flag", DataType.BOOL_VALUE);
        GraphBuilder then = g.body();
        then.yields(block(then, "x", context, mask, names)[1], projected, dims());
        GraphBuilder otherwise = g.body();
        otherwise.yields(otherwise.op("Identity", "x"), projected, dims());
        y = g.scope("/main").choose(flag, then, otherwise);
      }
      case LOOP_BODY -> {
        AttentionWeights.Names names = names(g);
        GraphBuilder body = g.body();
        body.input("round", DataType.INT64_VALUE);
        body.input("condition", DataType.BOOL_VALUE);
        body.input("state", projected, dims());
        String out = block(body, "state", spec.cross() ? context : "state", mask, names)[1];
        body.yields(body.op("Identity", "condition"), DataType.BOOL_VALUE);
        body.yields(out, projected, dims());
        y = g.scope("/main").loop(1, "x", body);
      }
      case FUNCTION, FUNCTION_OF_WEIGHTS -> y = called(g, mask, context);
      default -> {
        String[] values = block(g, "x", context, mask, names(g));
        merged = values[0];
        y = values[1];
      }
    }
    g.scope("").output("y", y, projected, dims());
    return new AttentionModel(spec, g.model("testdata"), operands(), merged, weights.out, weights.outBias);
  }

  private Object[] dims() {
    return spec.dynamic() ? new Object[] {"batch", "tokens", WIDTH} : new Object[] {FIRST.batch(), FIRST.tokens(), WIDTH};
  }

  /** x, context and mask; gives the mask's name or null. */
  private String inputs(GraphBuilder g) {
    Object b = spec.dynamic() ? "batch" : FIRST.batch();
    Object n = spec.dynamic() ? "tokens" : FIRST.tokens();
    Object m = !spec.cross() ? n : spec.dynamic() ? "context_tokens" : (Object) FIRST.context();
    g.input("x", projected, b, n, WIDTH);
    if (spec.cross()) {
      g.input("context", projected, b, m, WIDTH);
    }
    return switch (spec.mask()) {
      case KEY_BOOL, KEY_BOOL_GUARDED, KEY_FILLED, KEY_DROPPED, KEY_COMPUTED -> g.input("mask", DataType.BOOL_VALUE, b, m);
      case KEY_ADDITIVE, KEY_BIAS, KEY_EXPANDED, KEY_TILED -> g.input("mask", DataType.FLOAT_VALUE, b, m);
      case KEY_PADDING -> g.input("mask", DataType.INT32_VALUE, b, m);
      case QUERY_DEPENDENT -> g.input("mask", DataType.BOOL_VALUE, b, 1, n, m);
      default -> null;
    };
  }

  private String called(GraphBuilder g, String mask, String context) {
    GraphBuilder f = g.function();
    List<String> arguments = new ArrayList<>(List.of("x"));
    f.input("x", projected);
    if (spec.cross()) {
      f.input(context, projected);
      arguments.add(context);
    }
    if (mask != null) {
      f.input(mask, DataType.FLOAT_VALUE);
      arguments.add(mask);
    }
    AttentionWeights.Names names;
    if (spec.placement() == Placement.FUNCTION) {
      names = names(f);
    } else {
      names = names(g);
      for (String w : new String[] {names.query(), names.queryBias(), names.key(), names.keyBias(), names.value(), names.valueBias(), names.fused(),
          names.fusedBias(), names.out(), names.outBias()}) {
        if (w != null) {
          f.input(w, projected);
          arguments.add(w);
        }
      }
    }
    f.yields(block(f, "x", context, mask, names)[1], projected);
    g.define("AttentionBlock", f);
    return g.scope("/main").call("AttentionBlock", arguments.toArray(String[]::new));
  }

  private boolean needsFused() {
    return spec.projection() != Projection.SEPARATE || spec.form() == AttentionForm.MS_ATTENTION || spec.form().isPacked();
  }

  private AttentionWeights.Names names(GraphBuilder g) {
    g.scope("weights");
    int c = WIDTH;
    int kv = weights.keyWidth;
    boolean fused = needsFused();
    boolean packedKeys = spec.form() == AttentionForm.MS_MULTI_HEAD_PACKED_KV;
    boolean queryApart = !fused || packedKeys;
    boolean biases = spec.form() == AttentionForm.MS_MULTI_HEAD_BIAS;
    return new AttentionWeights.Names(
        queryApart ? g.real("q", projected, weights.query, c, c) : null,
        queryApart && !biases ? g.real("q_bias", projected, weights.queryBias, c) : null,
        fused ? null : g.real("k", projected, weights.key, c, kv),
        fused || biases ? null : g.real("k_bias", projected, weights.keyBias, kv),
        fused ? null : g.real("v", projected, weights.value, c, kv),
        fused || biases ? null : g.real("v_bias", projected, weights.valueBias, kv),
        fused ? g.real("qkv", projected, fused(c, weights.query, weights.key, weights.value), c, packedKeys ? 2 * c : 3 * c) : null,
        fused || biases ? g.real("qkv_bias", projected, fusedBias(), packedKeys ? 2 * c : 3 * c) : null,
        g.real("out", projected, weights.out, c, c), g.real("out_bias", projected, weights.outBias, c));
  }

  private float[] fusedBias() {
    return spec.form() == AttentionForm.MS_MULTI_HEAD_PACKED_QKV_BIAS ? AttentionWeights.beside(1, weights.queryBias, weights.keyBias, weights.valueBias)
        : fused(1, weights.queryBias, weights.keyBias, weights.valueBias);
  }

  private float[] fused(int rows, float[] q, float[] k, float[] v) {
    return switch (spec.form()) {
      case MS_MULTI_HEAD_PACKED_KV -> AttentionWeights.interleaved(rows, k, v);
      case MS_MULTI_HEAD_PACKED_QKV, MS_MULTI_HEAD_PACKED_QKV_BIAS -> AttentionWeights.interleaved(rows, q, k, v);
      default -> AttentionWeights.beside(rows, q, k, v);
    };
  }

  /** The attended values, [B, N, C], and the block's output. */
  private String[] block(GraphBuilder g, String x, String context, String mask, AttentionWeights.Names w) {
    Head attended;
    if (spec.form().isOperator()) {
      attended = new OperatorWriter(g, spec, mask, type).write(x, context, w);
    } else {
      List<Head> qkv = new ProjectionWriter(g, spec, type).write(x, context, w);
      Head q = qkv.get(0);
      if (spec.form() == AttentionForm.SCALE_BEFORE_HEADS) {
        q = new Head(g.op("Mul", q.value(), g.scalar(SCALE, type)), Head.PACKED, q.heads());
      }
      attended = new CoreWriter(g, spec, mask, type).write(q, qkv.get(1), qkv.get(2));
    }
    g.scope("/block/heads");
    String merged = new Layouts(g).packed(attended);
    g.scope("/block/out");
    if (type != projected) {
      merged = g.cast(merged, projected);
    }
    return new String[] {merged, g.linear(merged, w.out(), w.outBias())};
  }

  /** q, k and v of the main graph's inputs, whatever the form. */
  private ModelProto operands() {
    GraphBuilder g = new GraphBuilder(spec.opset());
    inputs(g);
    String context = spec.cross() ? "context" : "x";
    g.scope("operands");
    int c = WIDTH;
    int kv = weights.keyWidth;
    String[] names = {"query", "key", "value"};
    float[][] matrices = {weights.query, weights.key, weights.value};
    float[][] biases = {weights.queryBias, weights.keyBias, weights.valueBias};
    for (int i = 0; i < 3; i++) {
      int width = i == 0 ? c : kv;
      String projection = g.linear(i == 0 ? "x" : context, g.real("weight", projected, matrices[i], c, width), g.real("bias", projected, biases[i], width));
      if (i == 0 && spec.form() == AttentionForm.SCALE_BEFORE_HEADS) {
        projection = g.op("Mul", projection, g.scalar(SCALE, projected));
      }
      String typed = type == projected ? projection : g.cast(projection, type);
      String heads = g.transpose(g.reshape(typed, 0, 0, i == 0 ? AttentionSpec.HEADS : spec.keyHeads(), HEAD_DIM), 0, 2, 1, 3);
      g.scope("").output(names[i], g.scope("operands").cast(heads, DataType.FLOAT_VALUE), DataType.FLOAT_VALUE, "b", "h", "n", "d");
    }
    return g.model("testdata");
  }
}
