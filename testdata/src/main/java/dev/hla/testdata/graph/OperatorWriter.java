package dev.hla.testdata.graph;

import static dev.hla.testdata.graph.AttentionSpec.GROUPED_HEADS;
import static dev.hla.testdata.graph.AttentionSpec.HEADS;
import static dev.hla.testdata.graph.AttentionSpec.HEAD_DIM;
import static dev.hla.testdata.graph.AttentionSpec.SCALE;

import dev.hla.onnx.AttributeProto;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Writes attention as one operator of ai.onnx or com.microsoft. */
final class OperatorWriter {
  private final GraphBuilder g;
  private final AttentionSpec spec;
  private final String mask;
  private final int type;

  /** @param mask the model's mask input, or null */
  OperatorWriter(GraphBuilder g, AttentionSpec spec, String mask, int type) {
    this.g = g;
    this.spec = spec;
    this.mask = mask;
    this.type = type;
  }

  /** The attended values: [B, H, N, d] of the operator on four axes, else [B, N, H * d]. */
  Head write(String x, String context, AttentionWeights.Names w) {
    return switch (spec.form()) {
      case ONNX_ATTENTION_4D, ONNX_ATTENTION_3D, ONNX_ATTENTION_GROUPED -> onnx(x, context, w);
      case MS_ATTENTION -> projecting(x, w);
      default -> multiHead(x, context, w);
    };
  }

  private Head packed(String value) {
    return new Head(value, Head.PACKED, HEADS);
  }

  /** An operator with trailing inputs that are left out. */
  private String attend(String op, List<AttributeProto> attributes, String... inputs) {
    g.scope("/block/attn");
    int count = inputs.length;
    while (inputs[count - 1].isEmpty()) {
      count--;
    }
    return g.op(op, attributes, Arrays.copyOf(inputs, count));
  }

  private Head onnx(String x, String context, AttentionWeights.Names w) {
    List<Head> qkv = new ProjectionWriter(g, spec, type).write(x, context, w);
    Layouts layouts = new Layouts(g);
    boolean four = spec.form() == AttentionForm.ONNX_ATTENTION_4D;
    List<String> operands = qkv.stream().map(h -> four ? layouts.headsFirst(h) : layouts.packed(h)).toList();
    List<AttributeProto> attributes = new ArrayList<>();
    if (spec.mask() == AttentionMask.CAUSAL) {
      attributes.add(GraphBuilder.integer("is_causal", 1));
    }
    if (four) {
      attributes.add(GraphBuilder.number("scale", SCALE));
    } else {
      attributes.add(GraphBuilder.integer("q_num_heads", HEADS));
      attributes.add(GraphBuilder.integer("kv_num_heads", spec.form() == AttentionForm.ONNX_ATTENTION_GROUPED ? GROUPED_HEADS : HEADS));
    }
    String o = attend("Attention", attributes, operands.get(0), operands.get(1), operands.get(2), onnxMask());
    return four ? new Head(o, Head.HEADS_FIRST, HEADS) : packed(o);
  }

  private String onnxMask() {
    g.scope("/block/mask");
    MaskWriter writer = new MaskWriter(g, spec, mask, type);
    return switch (spec.mask()) {
      case NONE, CAUSAL -> "";
      case ZERO_CONSTANT -> zeros();
      case KEY_BOOL -> g.unsqueeze(mask, 1, 2);
      case KEY_EXPANDED -> writer.expanded(1);
      case KEY_COMPUTED -> writer.computed();
      case QUERY_DEPENDENT -> mask;
      default -> writer.forOperator();
    };
  }

  private String zeros() {
    int n = AttentionSpec.FIRST.tokens();
    int m = spec.cross() ? AttentionSpec.FIRST.context() : n;
    return spec.dynamic() ? g.real("zeros", type, new float[1], 1, 1, 1, 1) : g.real("zeros", type, new float[n * m], 1, 1, n, m);
  }

  private Head multiHead(String x, String context, AttentionWeights.Names w) {
    List<AttributeProto> attributes = new ArrayList<>(List.of(GraphBuilder.integer("num_heads", HEADS)));
    if (spec.mask() == AttentionMask.CAUSAL) {
      attributes.add(GraphBuilder.integer("unidirectional", 1));
    }
    String[] operands = operands(x, context, w);
    if (spec.form() != AttentionForm.MS_MULTI_HEAD_BIAS) {
      attributes.add(GraphBuilder.number("scale", SCALE));
    }
    boolean padding = spec.mask() == AttentionMask.KEY_PADDING;
    return packed(attend("com.microsoft.MultiHeadAttention", attributes, operands[0], operands[1], operands[2], operands[3], padding ? mask : "",
        padding ? "" : bias()));
  }

  private String[] operands(String x, String context, AttentionWeights.Names w) {
    g.scope("/block/qkv");
    return switch (spec.form()) {
      case MS_MULTI_HEAD_BIAS -> new String[] {g.op("MatMul", x, w.query()), g.op("MatMul", context, w.key()), g.op("MatMul", context, w.value()),
          w.fusedBias()};
      case MS_MULTI_HEAD_PACKED_QKV -> new String[] {g.reshape(g.linear(x, w.fused(), w.fusedBias()), 0, 0, HEADS, 3, HEAD_DIM), "", "", ""};
      case MS_MULTI_HEAD_PACKED_QKV_BIAS -> new String[] {g.reshape(g.op("MatMul", x, w.fused()), 0, 0, HEADS, 3, HEAD_DIM), "", "", w.fusedBias()};
      case MS_MULTI_HEAD_PACKED_KV -> new String[] {g.linear(x, w.query(), w.queryBias()),
          g.reshape(g.linear(context, w.fused(), w.fusedBias()), 0, 0, HEADS, 2, HEAD_DIM), "", ""};
      default -> {
        List<Head> qkv = new ProjectionWriter(g, spec, type).write(x, context, w);
        Layouts layouts = new Layouts(g);
        boolean headsFirst = spec.form() == AttentionForm.MS_MULTI_HEAD_HEADS_FIRST;
        yield new String[] {layouts.packed(qkv.get(0)), headsFirst ? layouts.headsFirst(qkv.get(1)) : layouts.packed(qkv.get(1)),
            headsFirst ? layouts.headsFirst(qkv.get(2)) : layouts.packed(qkv.get(2)), ""};
      }
    };
  }

  /** An attention_bias, which the operator takes for every query only. */
  private String bias() {
    g.scope("/block/mask");
    MaskWriter writer = new MaskWriter(g, spec, mask, type);
    return switch (spec.mask()) {
      case ZERO_CONSTANT -> zeros();
      case KEY_EXPANDED -> writer.expanded(HEADS);
      case QUERY_DEPENDENT -> g.op("Where", mask, g.scalar(0, type), g.scalar(-10000, type));
      default -> "";
    };
  }

  private Head projecting(String x, AttentionWeights.Names w) {
    List<AttributeProto> attributes = new ArrayList<>(List.of(GraphBuilder.integer("num_heads", HEADS)));
    if (spec.mask() == AttentionMask.CAUSAL) {
      attributes.add(GraphBuilder.integer("unidirectional", 1));
    }
    boolean padding = spec.mask() == AttentionMask.KEY_PADDING;
    return packed(attend("com.microsoft.Attention", attributes, x, w.fused(), w.fusedBias(), padding ? mask : "", "", padding ? "" : bias()));
  }
}
