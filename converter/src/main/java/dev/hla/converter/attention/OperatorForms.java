package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.MaskOperand;
import dev.hla.converter.wiring.Operand;
import dev.hla.converter.wiring.WiredSite;

/**
 * Attention that is one node: ai.onnx Attention, com.microsoft MultiHeadAttention and Attention. Other attention operators, such
 * as GroupQueryAttention, are told with the reason why they are no site.
 */
final class OperatorForms {
  private final Context context;
  private final SiteBuilder builder;

  OperatorForms(Context context, SiteBuilder builder) {
    this.context = context;
    this.builder = builder;
  }

  static boolean isAttention(Node n) {
    return n.is("Attention", "com.microsoft.Attention", "com.microsoft.MultiHeadAttention", "com.microsoft.GroupQueryAttention",
        "com.microsoft.PackedMultiHeadAttention", "com.microsoft.PackedAttention", "com.microsoft.DecoderMaskedMultiHeadAttention",
        "com.microsoft.DecoderMaskedSelfAttention", "com.microsoft.DecoderAttention", "com.microsoft.QAttention", "com.microsoft.SparseAttention",
        "com.microsoft.LongformerAttention");
  }

  WiredSite match(Node n) throws NoMatch {
    return switch (n.op()) {
      case "Attention" -> onnx(n);
      case "com.microsoft.MultiHeadAttention" -> multiHead(n);
      case "com.microsoft.Attention" -> projecting(n);
      case "com.microsoft.QAttention" -> throw new NoMatch(n + " is attention over quantized tensors; expected float, float16 or bfloat16");
      case "com.microsoft.SparseAttention", "com.microsoft.LongformerAttention" ->
          throw new NoMatch(n + " is attention over some of the keys only; expected one over whole sequences");
      default -> throw new NoMatch(n + " is an attention operator with a key cache or packed sequences; expected one over whole sequences");
    };
  }

  /** ai.onnx Attention, opset 23: [B, H, N, d], or [B, N, H*d] with head counts. */
  private WiredSite onnx(Node n) {
    boolean packed = context.shapes.rank(n.input(0)) == 3 || n.integer("q_num_heads", 0) > 0;
    String axes = packed ? Operand.PACKED : Operand.BHND;
    long heads = n.integer("q_num_heads", 0);
    long kvHeads = n.integer("kv_num_heads", 0);
    Dim kv = context.shapes.dim(n.input(1), 1);
    if (!packed && kv != null && kv.isStatic()) {
      kvHeads = kv.value();
    }
    MaskTracer.Traced mask = MaskTracer.Traced.NONE;
    if (n.integer("is_causal", 0) != 0) {
      mask = MaskTracer.Traced.FULL;
    } else if (n.has(3)) {
      mask = new MaskTracer(context, n.graph()).of(n.input(3),
          context.shapes.type(n.input(3)) == 9 ? MaskOperand.Form.KEEP : MaskOperand.Form.ADDED, 1, true);
    }
    int extra = extraOutput(n);
    String blocked = n.has(4) || n.has(5) ? "it continues a key cache (past_key); expected whole sequences"
        : n.has(6) ? "it is told how many keys count (nonpad_kv_seqlen); expected a mask with an entry for each key"
        : extra > 0 ? "its output " + (extra == 3 ? "qk_matmul_output" : "present_key or present_value") + " is read, too; expected the attention output alone"
        : n.real("softcap", 0) != 0 ? "it caps the scores (softcap); expected plain softmax" : "";
    return site(n, "onnx_attention", axes, mask, heads, kvHeads, null, null, blocked);
  }

  /** com.microsoft.MultiHeadAttention: [B, N, H*d] each, packed [B, N, H, 3, d], or a query with packed [B, M, H, 2, d]. */
  private WiredSite multiHead(Node n) {
    long heads = n.integer("num_heads", 0);
    MaskTracer.Traced mask = mask(n, 4, 5);
    String blocked = n.has(6) || n.has(7) ? "it continues a key cache (past_key); expected whole sequences"
        : extraOutput(n) > 0 ? "its present key and value are read, too; expected the attention output alone" : noKeyMask(n, 4, "key_padding_mask", mask);
    if (blocked.isEmpty() && n.has(3) && n.has(1) && context.shapes.rank(n.input(1)) == 4) {
      blocked = "it has a bias, and keys with heads first, to which none is added; expected no bias";
    } else if (blocked.isEmpty() && n.has(3) && n.has(2) && differ(context.shapes.dim(n.input(0), 2), context.shapes.dim(n.input(2), 2))) {
      blocked = "it has a bias, and values of another width than queries; expected the same, or no bias";
    }
    String bias = n.has(3) ? n.input(3) : null;
    return site(n, "multihead_attention", Operand.PACKED, mask, heads, heads, bias, null, blocked);
  }

  /** com.microsoft.Attention: the projections are inside the node. */
  private WiredSite projecting(Node n) {
    long heads = n.integer("num_heads", 0);
    MaskTracer.Traced mask = mask(n, 3, 5);
    String blocked = n.has(4) ? "it continues a key cache (past); expected whole sequences"
        : extraOutput(n) > 0 ? "its present output is read, too; expected the attention output alone"
        : n.integer("do_rotary", 0) != 0 ? "it rotates query and key itself (do_rotary); expected plain projections" : noKeyMask(n, 3, "mask_index", mask);
    Operand x = new Operand(n.input(0), Operand.PACKED, context.shapes.type(n.input(0)));
    Dim width = context.shapes.dim(n.input(1), -1);
    long[] sizes = n.integers("qkv_hidden_sizes");
    long channels = sizes != null && sizes.length == 3 ? sizes[0] : width != null && width.isStatic() ? width.value() / 3 : 0;
    if (blocked.isEmpty() && sizes != null && !(sizes.length == 3 && sizes[0] == sizes[1] && sizes[1] == sizes[2])) {
      blocked = "its query, key and value have different widths (qkv_hidden_sizes); expected equal ones";
    }
    double scale = n.attribute("scale") != null ? n.real("scale", 0) : heads > 0 && channels > 0 ? 1 / Math.sqrt((double) channels / heads) : Double.NaN;
    WiredSite site = builder.build(n, "packed_attention", x, x, x, new Operand(n.output(0), Operand.PACKED, x.type()), mask, scale, scale, heads,
        heads, n.has(2) ? n.input(2) : null, n.input(1), blocked);
    long d = heads > 0 && channels % heads == 0 ? channels / heads : 0;
    return new WiredSite(site.name(), site.node(), site.form(), site.kind(), site.heads(), d, site.queryTokens(), site.keyTokens(), site.batch(),
        site.mask(), site.scale(), site.dtype(), d > 0 ? site.reason() : "the width of its projections cannot be told", site.wiring());
  }

  /** The mask of an operator of com.microsoft, by the numbers of its inputs: one entry a key, or numbers that are added to the scores. */
  private MaskTracer.Traced mask(Node n, int padding, int bias) {
    if (n.integer("unidirectional", 0) != 0) {
      return MaskTracer.Traced.FULL;
    }
    MaskTracer.Traced added = n.has(bias) ? new MaskTracer(context, n.graph()).of(n.input(bias), MaskOperand.Form.ADDED, 1, true) : MaskTracer.Traced.NONE;
    if (!n.has(padding) || added.kind() != MaskKind.NONE) {
      return added;
    }
    return context.shapes.rank(n.input(padding)) > 2 ? MaskTracer.Traced.FULL
        : MaskTracer.Traced.key(new MaskOperand(n.input(padding), MaskOperand.Form.KEEP, 1, "BM", false, false));
  }

  /** Why the mask of such an operator is not one mask with an entry for each key; "" where it is, or is none. */
  private String noKeyMask(Node n, int padding, String name, MaskTracer.Traced mask) {
    if (!n.has(padding) || mask.kind() != MaskKind.KEY) {
      return "";
    }
    return !mask.operand().value().equals(n.input(padding)) ? "it has a " + name + " and an attention_bias; expected one mask"
        : context.shapes.rank(n.input(padding)) != 2 ? "its " + name + " holds sequence lengths; expected one entry a key, [B, M]" : "";
  }

  private static boolean differ(Dim a, Dim b) {
    return a != null && b != null && a.isStatic() && b.isStatic() && a.value() != b.value();
  }

  /** The number of an output besides the attention's that something reads; 0 for none. */
  private static int extraOutput(Node n) {
    for (int i = 1; i < n.outputs(); i++) {
      if (!n.output(i).isEmpty() && (!n.graph().consumers(n.output(i)).isEmpty() || n.graph().isOutput(n.output(i)))) {
        return i;
      }
    }
    return 0;
  }

  private WiredSite site(Node n, String form, String axes, MaskTracer.Traced mask, long heads, long kvHeads, String bias, String weight,
      String blocked) {
    Operand q = operand(n.input(0), axes);
    // Packed inputs hold several operands side by side in a fifth axis.
    String keys = n.has(1) ? n.input(1) : n.input(0);
    String values = n.has(2) ? n.input(2) : keys;
    boolean packed = context.shapes.rank(keys) == 5;
    String keyAxes = packed ? (n.has(1) ? "BNH2D" : "BNH3D") : axes;
    Operand k = packed ? operand(keys, keyAxes) : operand(keys, crossAxes(keys, axes));
    Operand v = packed ? operand(values, keyAxes) : operand(values, crossAxes(values, axes));
    if (packed && !n.has(1)) {
      q = k;
    }
    long d = 0;
    int channels = q.axes().indexOf('D') >= 0 ? q.axes().indexOf('D') : q.axes().indexOf('C');
    Dim width = context.shapes.dim(q.value(), channels);
    if (width != null && width.isStatic()) {
      d = q.axes().indexOf('C') >= 0 ? (heads > 0 ? width.value() / heads : 0) : width.value();
    }
    double scale = n.attribute("scale") != null && n.real("scale", 0) != 0 ? n.real("scale", 0) : d > 0 ? 1 / Math.sqrt(d) : Double.NaN;
    return builder.build(n, form, q, k, v, new Operand(n.output(0), axes, context.shapes.type(n.output(0)) == 0 ? v.type() : context.shapes.type(n.output(0))),
        mask, scale, scale, heads, kvHeads, bias, weight, blocked);
  }

  /** MultiHeadAttention takes keys of cross attention as [B, H, M, d] beside a packed query. */
  private String crossAxes(String value, String axes) {
    return context.shapes.rank(value) == 4 ? Operand.BHND : axes;
  }

  private Operand operand(String value, String axes) {
    return new Operand(value, axes, context.shapes.type(value));
  }
}
