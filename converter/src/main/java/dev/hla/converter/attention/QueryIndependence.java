package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.graph.TensorReader;
import dev.hla.onnx.TensorProto;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Proves that a mask which has an entry for each query has the same one for all of them: a mask of keys that met a
 * tensor of all queries on its way, as where exporters write "each query may look at each key, and the key is no padding".
 * It follows one axis, counted from the last as 1, upwards through the nodes that compute the mask.
 */
final class QueryIndependence {
  private static final int LONGEST = 40;
  private static final int LARGEST_CONSTANT = 1 << 24;
  private static final int QUERIES = 2;

  private final Context context;
  private final Graph graph;
  private final Map<String, Boolean> proven = new HashMap<>();

  QueryIndependence(Context context, Graph graph) {
    this.context = context;
    this.graph = graph;
  }

  boolean holds(String mask) {
    return isSame(mask, QUERIES, LONGEST);
  }

  /** Whether a value does not change along an axis; one that it lacks would be repeated. */
  private boolean isSame(String value, int axis, int steps) {
    int rank = context.shapes.rank(value);
    if (rank < 0 || axis < 1 || steps == 0) {
      return false;
    }
    if (axis > rank || context.shapes.dim(value, -axis).is(1) || !Double.isNaN(context.shapes.scalar(value))) {
      return true;
    }
    // The same tensors are met again and again: what is not proven yet is taken for false, so that the search ends.
    String question = value + ":" + axis;
    Boolean known = proven.putIfAbsent(question, false);
    if (known != null) {
      return known;
    }
    Node n = graph.producer(value);
    TensorProto constant = constant(n, value);
    boolean same = constant != null ? repeats(constant, axis) : n != null && isSame(n, rank, axis, steps - 1);
    proven.put(question, same);
    return same;
  }

  private TensorProto constant(Node n, String value) {
    return n == null ? (context.isDefault(value) ? null : graph.initializer(value)) : n.is("Constant") ? n.tensor("value") : null;
  }

  private boolean isSame(Node n, int rank, int axis, int steps) {
    return switch (n.op()) {
      case "ConstantOfShape" -> true;
      case "Greater", "GreaterOrEqual", "Less", "LessOrEqual" -> isDecided(n) || allSame(n, axis, steps);
      case "Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Mod", "Where", "And", "Or", "Xor", "Equal", "BitwiseAnd", "BitwiseOr" -> allSame(n, axis, steps);
      case "Cast", "Identity", "Not", "Neg", "Abs", "Sign", "Exp", "Log", "Clip", "IsNaN", "IsInf", "Ceil", "Floor", "Round", "Expand", "Tile", "Slice" ->
          isSame(n.input(0), axis, steps);
      case "Unsqueeze" -> isSameUnder(n.input(0), added(n, rank), rank, axis, steps);
      case "Transpose" -> {
        long[] perm = n.integers("perm");
        yield (perm == null || perm.length == rank) && isSame(n.input(0), perm == null ? rank + 1 - axis : rank - (int) perm[rank - axis], steps);
      }
      case "Reshape", "Flatten", "Squeeze" -> keepsFrom(n, axis) && isSame(n.input(0), axis, steps);
      case "Gather" -> isSameGathered(n, rank, axis, steps);
      case "GatherND" -> isSameGatheredEach(n, axis, steps);
      case "Concat" -> n.integer("axis", 0) != -axis && n.integer("axis", 0) != rank - axis && allSame(n, axis, steps);
      default -> false;
    };
  }

  private boolean allSame(Node n, int axis, int steps) {
    for (int i = 0; i < n.inputs(); i++) {
      if (n.has(i) && !isSame(n.input(i), axis, steps)) {
        return false;
      }
    }
    return true;
  }

  /** The axes that an Unsqueeze adds, or null. */
  private List<Dim> added(Node n, int rank) {
    long[] axes = n.integers("axes");
    List<Dim> stated = axes != null ? Arrays.stream(axes).mapToObj(Dim::of).toList() : n.has(1) ? context.shapes.integers(n.input(1)) : null;
    return stated == null || stated.contains(null) || !stated.stream().allMatch(Dim::isStatic) ? null
        : stated.stream().map(a -> a.value() < 0 ? a.plus(Dim.of(rank)) : a).toList();
  }

  private boolean isSameUnder(String below, List<Dim> added, int rank, int axis, int steps) {
    if (added == null) {
      return false;
    }
    int behind = (int) added.stream().filter(a -> a.value() > rank - axis).count();
    return added.contains(Dim.of(rank - axis)) || isSame(below, axis - behind, steps);
  }

  /** Whether a change of shape leaves the axis and those behind it as they are. */
  private boolean keepsFrom(Node n, int axis) {
    for (int i = 1; i <= axis; i++) {
      Dim from = context.shapes.dim(n.input(0), -i);
      if (from == null || !from.equals(context.shapes.dim(n.output(0), -i))) {
        return false;
      }
    }
    return true;
  }

  /** [.., indices, ..]: axes of the data before and after those of the indices. */
  private boolean isSameGathered(Node n, int rank, int axis, int steps) {
    int data = context.shapes.rank(n.input(0));
    int indices = context.shapes.rank(n.input(1));
    if (data < 0 || indices < 0) {
      return false;
    }
    int at = (int) (n.integer("axis", 0) < 0 ? n.integer("axis", 0) + data : n.integer("axis", 0));
    int behind = data - at - 1;
    return axis <= behind ? isSame(n.input(0), axis, steps)
        : axis <= behind + indices ? isSame(n.input(1), axis - behind, steps) : isSame(n.input(0), axis - indices + 1, steps);
  }

  /** Indices [.., k] that each name an element, or a part, of the data. */
  private boolean isSameGatheredEach(Node n, int axis, int steps) {
    Dim named = context.shapes.dim(n.input(1), -1);
    int behind = named == null || !named.isStatic() ? -1 : context.shapes.rank(n.input(0)) - (int) named.value();
    return behind >= 0 && n.integer("batch_dims", 0) == 0
        && (axis <= behind ? isSame(n.input(0), axis, steps) : isSame(n.input(1), axis - behind + 1, steps));
  }

  /** Whether a comparison of positions with a number comes out one way: positions begin at 0. */
  private boolean isDecided(Node n) {
    boolean orEqual = n.op().endsWith("OrEqual");
    boolean less = n.op().startsWith("Less");
    double bound = context.shapes.scalar(n.input(less ? 0 : 1));
    double under = context.shapes.scalar(n.input(less ? 1 : 0));
    return ((orEqual ? bound <= 0 : bound < 0) && isPosition(n.input(less ? 1 : 0), LONGEST))
        || ((orEqual ? under < 0 : under <= 0) && isPosition(n.input(less ? 0 : 1), LONGEST));
  }

  private boolean isPosition(String value, int steps) {
    Node n = graph.producer(value);
    TensorProto constant = constant(n, value);
    if (constant != null) {
      double[] numbers = TensorReader.numbers(constant, LARGEST_CONSTANT);
      return numbers != null && Arrays.stream(numbers).allMatch(x -> x >= 0);
    }
    return n != null && steps > 0 && switch (n.op()) {
      case "Range" -> context.shapes.scalar(n.input(0)) >= 0 && context.shapes.scalar(n.input(2)) > 0;
      case "Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Slice", "Tile" -> isPosition(n.input(0), steps - 1);
      default -> false;
    };
  }

  /** Whether a tensor in the file holds the same along an axis. */
  private static boolean repeats(TensorProto t, int axis) {
    double[] numbers = TensorReader.numbers(t, LARGEST_CONSTANT);
    if (numbers == null) {
      return false;
    }
    int behind = 1;
    for (int i = t.getDimsCount() - axis + 1; i < t.getDimsCount(); i++) {
      behind *= (int) t.getDims(i);
    }
    int block = behind * (int) t.getDims(t.getDimsCount() - axis);
    for (int i = 0; i < numbers.length; i++) {
      if (numbers[i] != numbers[i - i % block + i % behind]) {
        return false;
      }
    }
    return true;
  }
}
