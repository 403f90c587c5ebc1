package dev.hla.testdata.graph;

import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;

/** A model of many layers that are each one self-attention with 4 heads of 8 and a residual connection. */
public final class AttentionStack {
  /** Channels of the input x [1, tokens, WIDTH] and of the output y. */
  public static final int WIDTH = Parts.C;

  private AttentionStack() {}

  /** The model; its sites are called {@code blocks.0.attn.core} and so on. */
  public static ModelProto of(int layers, int tokens) {
    GraphBuilder g = new GraphBuilder(17);
    Parts p = new Parts(g);
    String x = g.input("x", DataType.FLOAT_VALUE, 1, tokens, WIDTH);
    for (int i = 0; i < layers; i++) {
      g.scope("/blocks." + i + "/attn");
      String y = p.norm(x);
      String attended = p.attend(p.split(p.linear(y)), p.split(p.linear(y)), p.split(p.linear(y)), null);
      x = p.residual(x, null, p.linear(attended));
    }
    g.scope("").output("y", x, DataType.FLOAT_VALUE, 1, tokens, WIDTH);
    return g.model("testdata");
  }
}
