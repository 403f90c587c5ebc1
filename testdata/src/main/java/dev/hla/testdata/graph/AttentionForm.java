package dev.hla.testdata.graph;

/** The forms in which exporters and optimisers write attention. */
public enum AttentionForm {
  /** TorchScript: the square root of a scale that is computed from the shape of q, on both sides; one transpose of k. */
  SDPA_COMPUTED_SCALE("sdpa"),
  /** The same scale as a constant, and k transposed twice: heads first, then channels before tokens. */
  SDPA_TWO_TRANSPOSES("sdpa"),
  /** torch.export: k by way of three axes, [-1, M, d], and back. */
  SDPA_EXPORTED("sdpa"),
  ONNX_ATTENTION_4D("onnx_attention", 23),
  ONNX_ATTENTION_3D("onnx_attention", 23),
  ONNX_ATTENTION_GROUPED("onnx_attention", 23),
  /** Scores times a constant. */
  MANUAL_TIMES("manual"),
  /** Scores divided by a constant. */
  MANUAL_DIVIDED("manual"),
  /** The scale stands behind a Cast, and Casts that do nothing stand around the softmax. */
  MANUAL_CAST_SCALE("manual"),
  /** Softmax in float32, with Casts to it and back. */
  MANUAL_FLOAT_SOFTMAX("manual"),
  /** q, k and v cast to float32, the output cast back. */
  MANUAL_FLOAT_OPERANDS("manual"),
  /** q scaled before its heads are split. */
  SCALE_BEFORE_HEADS("manual"),
  /** No scale: it is folded into a projection. */
  NO_SCALE("manual"),
  /** Einsum over [B, H, N, d]. */
  EINSUM_HEADS_FIRST("einsum", 12),
  /** Einsum over [B, N, H, d], with no Transpose anywhere. */
  EINSUM_TOKENS_FIRST("einsum", 12),
  /** Einsum over [H, B, N, d] with letters of its own. */
  EINSUM_ODD_LETTERS("einsum", 12),
  /** Batch and heads in one axis. */
  MERGED("merged"),
  /** Merged, with q and k cast to float32 before their product. */
  MERGED_FLOAT_SCORES("merged"),
  /** com.microsoft.FusedMatMul with the scale as alpha, k transposed by transB. */
  FUSED_MATMUL("optimised"),
  /** The same with k transposed before. */
  FUSED_MATMUL_TRANSPOSED("optimised"),
  MS_MULTI_HEAD("multihead_attention"),
  MS_MULTI_HEAD_BIAS("multihead_attention"),
  /** Keys and values as [B, H, M, d] beside a packed query. */
  MS_MULTI_HEAD_HEADS_FIRST("multihead_attention"),
  MS_MULTI_HEAD_PACKED_KV("multihead_attention"),
  MS_MULTI_HEAD_PACKED_QKV("multihead_attention"),
  /** The same with a bias, whose three parts lie one after the other and not by heads. */
  MS_MULTI_HEAD_PACKED_QKV_BIAS("multihead_attention"),
  MS_ATTENTION("packed_attention"),
  /** ReduceMax, Sub, Exp, ReduceSum, Div. */
  DECOMPOSED("decomposed"),
  /** Exp, ReduceSum, Div. */
  DECOMPOSED_UNSHIFTED("decomposed"),
  /** Two heads of k and v repeated for four of q by Unsqueeze, Expand, Reshape. */
  GROUPED_EXPAND("manual");

  private final String reported;
  private final int oldest;

  AttentionForm(String reported) {
    this(reported, 9);
  }

  AttentionForm(String reported, int oldest) {
    this.reported = reported;
    this.oldest = oldest;
  }

  /** What the finder calls it. */
  public String reported() {
    return reported;
  }

  /** The first opset that has its operators. */
  public int oldest() {
    return oldest;
  }

  /** Whether it is one node of an operator that does everything from q, k and v to the output. */
  public boolean isOperator() {
    return isOnnxOperator() || isMicrosoftOperator();
  }

  public boolean isOnnxOperator() {
    return name().startsWith("ONNX_");
  }

  public boolean isMicrosoftOperator() {
    return name().startsWith("MS_");
  }

  public boolean isMerged() {
    return name().startsWith("MERGED");
  }

  /** Whether several operands lie in one tensor of five axes. */
  public boolean isPacked() {
    return this == MS_MULTI_HEAD_PACKED_KV || isPackedWithQuery();
  }

  /** Whether all three do. */
  public boolean isPackedWithQuery() {
    return this == MS_MULTI_HEAD_PACKED_QKV || this == MS_MULTI_HEAD_PACKED_QKV_BIAS;
  }

  public boolean isGrouped() {
    return this == GROUPED_EXPAND || this == ONNX_ATTENTION_GROUPED;
  }

  /** Whether the form takes q, k and v apart from each other, so that any projection fits it. */
  public boolean takesAnyProjection() {
    return this != MS_MULTI_HEAD_BIAS && !isPacked() && this != MS_ATTENTION && !isGrouped();
  }

  /** Einsum has no bfloat16, nor have the operators that project themselves anything to cast. */
  public boolean takesBfloat16() {
    return !reported.equals("einsum") && (!isMicrosoftOperator() || takesAnyProjection());
  }

  /** The operator, or the operator of the node that a site is told by. */
  public String anchor() {
    return isOnnxOperator() || this == MS_ATTENTION ? "Attention" : isMicrosoftOperator() ? "MultiHeadAttention"
        : reported.equals("decomposed") ? "Div" : "Softmax";
  }
}
