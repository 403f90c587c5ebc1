package dev.hla.converter.attention;

import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.graph.TensorReader;
import dev.hla.converter.shape.Dim;
import dev.hla.converter.shape.Shapes;
import dev.hla.onnx.TensorProto;
import java.util.HashMap;
import java.util.Map;

/** What every form asks of the graph around a site. */
final class Context {
  private static final int LARGEST_ZERO_MASK = 1 << 24;

  final Shapes shapes;
  final long opset;
  private final Map<String, Boolean> constants = new HashMap<>();

  Context(Shapes shapes, long opset) {
    this.shapes = shapes;
    this.opset = opset;
  }

  /** Whether a value is the same in every run: an initializer, or computed from nothing else in a few steps. */
  boolean isConstant(Graph graph, String value) {
    Boolean known = constants.get(value);
    if (known == null) {
      known = isConstant(graph, value, 8);
      constants.put(value, known);
    }
    return known;
  }

  private boolean isConstant(Graph graph, String value, int steps) {
    if (graph.initializer(value) != null) {
      return true;
    }
    Node n = graph.producer(value);
    if (n == null || steps == 0 || !graph.bodies(n).isEmpty()) {
      return false;
    }
    for (int i = 0; i < n.inputs(); i++) {
      if (n.has(i) && !isConstant(graph, n.input(i), steps - 1)) {
        return false;
      }
    }
    return true;
  }

  /** Whether a value is one number for all elements of what it meets: a scale. */
  boolean isScalar(String value) {
    var dims = shapes.of(value);
    return !Double.isNaN(shapes.scalar(value)) || (dims != null && dims.size() <= 4 && dims.stream().allMatch(d -> d.is(1)));
  }

  /** Whether a value is zero everywhere. */
  boolean isZero(Graph graph, String value) {
    TensorProto t = graph.initializer(value);
    if (t != null) {
      return allZero(t);
    }
    if (shapes.scalar(value) == 0) {
      return true;
    }
    Node n = graph.producer(value);
    return n != null && switch (n.op()) {
      case "Constant" -> n.tensor("value") != null && allZero(n.tensor("value"));
      case "ConstantOfShape" -> n.tensor("value") == null || allZero(n.tensor("value"));
      case "Mul" -> shapes.scalar(n.input(0)) == 0 || shapes.scalar(n.input(1)) == 0 || isZero(graph, n.input(0)) || isZero(graph, n.input(1));
      case "Expand", "Reshape", "Cast", "Unsqueeze", "Squeeze", "Slice", "Transpose", "Identity", "Tile", "Neg" -> isZero(graph, n.input(0));
      case "Where" -> isZero(graph, n.input(1)) && isZero(graph, n.input(2));
      case "Add", "Sub" -> isZero(graph, n.input(0)) && isZero(graph, n.input(1));
      default -> false;
    };
  }

  private static boolean allZero(TensorProto t) {
    double[] numbers = TensorReader.numbers(t, LARGEST_ZERO_MASK);
    if (numbers == null) {
      return false;
    }
    for (double x : numbers) {
      if (x != 0) {
        return false;
      }
    }
    return true;
  }

  /** Whether a reshape leaves the last two axes of its input as they are, so that it joins or parts leading axes only. */
  boolean keepsLastTwo(Node reshape) {
    for (int i = -2; i < 0; i++) {
      Dim from = shapes.dim(reshape.input(0), i);
      Dim to = shapes.dim(reshape.output(0), i);
      if (from == null || to == null || !(from.equals(to) || (!from.isNamed() || !to.isNamed()) && !(from.isStatic() && to.isStatic()))) {
        return false;
      }
    }
    return true;
  }

  /** The name of the producing node, or what the value is where no node produces it. */
  static String describe(Graph graph, String value) {
    Node n = graph.producer(value);
    return n != null ? n.toString() : (graph.initializer(value) != null ? "the initializer " : "the input ") + value;
  }
}
