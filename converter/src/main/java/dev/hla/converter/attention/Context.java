package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.graph.TensorReader;
import dev.hla.converter.shape.Shapes;
import dev.hla.onnx.TensorProto;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What every form asks of the graph around a site. */
final class Context {
  private static final int LARGEST_ZERO_MASK = 1 << 24;
  private static final int LONGEST_ZERO = 10;

  final Shapes shapes;
  final long opset;
  private final Set<String> constants = new HashSet<>();
  /** Inputs of the model that have an initializer for a default, so that a caller may give others. */
  private final Set<String> defaults;

  /**
   * @param constantInputs of a function: those that every caller hands weights
   * @param defaults whether an initializer that is also an input is a default, as from IR version 4 on
   */
  Context(Graph root, Shapes shapes, long opset, Set<String> constantInputs, boolean defaults) {
    this.shapes = shapes;
    this.opset = opset;
    this.defaults = defaults ? root.inputs().keySet() : Set.of();
    constants.addAll(constantInputs);
    collectConstants(root);
  }

  private void collectConstants(Graph graph) {
    for (Node n : graph.order()) {
      List<Graph> bodies = graph.bodies(n);
      bodies.forEach(this::collectConstants);
      boolean constant = bodies.isEmpty() && !n.proto().getOpType().startsWith("Random");
      for (int i = 0; constant && i < n.inputs(); i++) {
        constant = !n.has(i) || isConstant(graph, n.input(i));
      }
      if (constant) {
        constants.addAll(n.proto().getOutputList());
      }
    }
  }

  /** Whether a value is the same in every run: an initializer, or computed from such values alone. */
  boolean isConstant(Graph graph, String value) {
    return constants.contains(value) || graph.initializer(value) != null;
  }

  /** Whether a caller may give other numbers than the initializer that a value has. */
  boolean isDefault(String value) {
    return defaults.contains(value);
  }

  /** Whether a value is one number for all elements of what it meets: a scale. */
  boolean isScalar(String value) {
    var dims = shapes.of(value);
    return !Double.isNaN(shapes.scalar(value)) || (dims != null && dims.size() <= 4 && dims.stream().allMatch(d -> d.is(1)));
  }

  /** Whether a value is one number so low that a softmax leaves out what it stands for. */
  boolean isLow(String value) {
    return shapes.scalar(value) < -1000;
  }

  /** Whether a value is zero everywhere, in every run. A weight or a scale may be a default, a mask that a caller gives is a mask. */
  boolean isZero(Graph graph, String value) {
    return isZero(graph, value, LONGEST_ZERO);
  }

  private boolean isZero(Graph graph, String value, int steps) {
    TensorProto t = graph.initializer(value);
    if (t != null) {
      return !isDefault(value) && allZero(t);
    }
    if (shapes.scalar(value) == 0) {
      return true;
    }
    Node n = graph.producer(value);
    return n != null && steps > 0 && switch (n.op()) {
      case "Constant" -> n.tensor("value") != null && allZero(n.tensor("value"));
      case "ConstantOfShape" -> n.tensor("value") == null || allZero(n.tensor("value"));
      case "Mul" -> shapes.scalar(n.input(0)) == 0 || shapes.scalar(n.input(1)) == 0 || isZero(graph, n.input(0), steps - 1) || isZero(graph, n.input(1), steps - 1);
      case "Expand", "Reshape", "Cast", "Unsqueeze", "Squeeze", "Slice", "Transpose", "Identity", "Tile", "Neg" -> isZero(graph, n.input(0), steps - 1);
      case "Where" -> isZero(graph, n.input(1), steps - 1) && isZero(graph, n.input(2), steps - 1);
      case "Add", "Sub" -> isZero(graph, n.input(0), steps - 1) && isZero(graph, n.input(1), steps - 1);
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

  /**
   * The axes of an operand of a product as they lie in the graph. A fused product of com.microsoft may take the first of the
   * last two axes before those of the batch, and may transpose the two.
   *
   * @param input 0 or 1
   * @param lead of batch and heads
   * @param last the two that the product sees after them
   */
  static String axes(Node product, int input, String lead, String last) {
    String side = input == 0 ? "A" : "B";
    String own = product.integer("trans" + side, 0) != 0 ? new StringBuilder(last).reverse().toString() : last;
    return product.integer("transBatch" + side, 0) != 0 ? own.charAt(0) + lead + own.charAt(1) : lead + own;
  }

  /** The name of the producing node, or what the value is where no node produces it. */
  static String describe(Graph graph, String value) {
    Node n = graph.producer(value);
    return n != null ? n.toString() : (graph.initializer(value) != null ? "the initializer " : "the input ") + value;
  }
}
