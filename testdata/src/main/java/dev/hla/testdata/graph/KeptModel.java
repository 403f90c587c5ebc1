package dev.hla.testdata.graph;

import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;

/** Models with a softmax that is no attention, or none that can be converted, and the reason that must be given. */
public enum KeptModel {
  QUERIES_AXIS("its axis is 2 of 4; expected the last, the keys"),
  PROBABILITIES_ARE_AN_OUTPUT("its probabilities are the graph output 'p'; expected the product with the values"),
  PROBABILITIES_READ_TWICE("its probabilities are read by 2 nodes, among them ReduceMean /block/ReduceMean"),
  CHANNEL_GATE("multiplies with the constant"),
  CLASS_HEAD("multiplies with the constant"),
  SCORES_CHANGED("Tanh /block/Tanh feeds the softmax; expected a mask, a scale or the product of query and key"),
  CONSTANT_KEYS("multiplies with the constant"),
  OUTPUT_SCALED("Mul /block/Mul_1 reads the probabilities; expected the product with the values");

  private static final int FLOAT = DataType.FLOAT_VALUE;

  private final String reason;

  KeptModel(String reason) {
    this.reason = reason;
  }

  /** A part of the reason that the report must give. */
  public String reason() {
    return reason;
  }

  /** Input x [2, 12, 32], output y. */
  public ModelProto build(long opset) {
    GraphBuilder g = new GraphBuilder(opset);
    Parts p = new Parts(g);
    String x = g.input("x", FLOAT, 2, 12, Parts.C);
    g.scope("/block");
    if (this == CHANNEL_GATE || this == CLASS_HEAD) {
      String logits = this == CLASS_HEAD ? p.linear(x) : g.op("Add", p.linear(x), p.linear(x));
      String gate = g.softmax(logits, 3);
      g.scope("").output("y", this == CLASS_HEAD ? gate : g.op("Mul", gate, p.linear(x)), FLOAT, 2, 12, Parts.C);
      return g.model("testdata");
    }
    String q = g.transpose(p.split(p.linear(x)), 0, 2, 1, 3);
    String k = this == CONSTANT_KEYS ? p.weight(1, 2, 4, 8, 12) : g.transpose(p.split(p.linear(x)), 0, 2, 3, 1);
    String v = g.transpose(p.split(p.linear(x)), 0, 2, 1, 3);
    String scores = g.op("Mul", g.op("MatMul", q, k), p.number(0.35));
    if (this == SCORES_CHANGED) {
      scores = g.op("Tanh", scores);
    }
    String probabilities = this == QUERIES_AXIS ? g.op("Softmax", List.of(GraphBuilder.integer("axis", 2)), scores) : g.softmax(scores, 4);
    String weights = this == OUTPUT_SCALED ? g.op("Mul", probabilities, p.number(0.5)) : probabilities;
    String o = g.reshape(g.transpose(g.op("MatMul", weights, v), 0, 2, 1, 3), 0, 0, Parts.C);
    if (this == PROBABILITIES_READ_TWICE) {
      String usage = g.reduceMean(g.reduceMean(probabilities, 1), 3);
      o = g.op("Add", o, g.squeeze(usage, 1));
    }
    String y = p.linear(o);
    g.scope("").output("y", y, FLOAT, 2, 12, Parts.C);
    ModelProto model = g.model("testdata");
    if (this != PROBABILITIES_ARE_AN_OUTPUT) {
      return model;
    }
    // The very tensor is the output, not a copy of it.
    ModelProto.Builder named = model.toBuilder();
    named.getGraphBuilder().getNodeBuilderList().forEach(n -> {
      for (int i = 0; i < n.getInputCount(); i++) {
        n.setInput(i, n.getInput(i).equals(probabilities) ? "p" : n.getInput(i));
      }
      n.setOutput(0, n.getOutput(0).equals(probabilities) ? "p" : n.getOutput(0));
    });
    named.getGraphBuilder().addOutput(GraphBuilder.value("p", FLOAT, 2, 4, 12, 12));
    return named.build();
  }
}
