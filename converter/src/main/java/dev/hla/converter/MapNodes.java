package dev.hla.converter;

import dev.hla.converter.FunctionBody.Kind;
import dev.hla.converter.graph.Softplus;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The nodes of the feature maps in the fused operator's function: {@code z = x W + b}, and an activation for each factor.
 * Factors are sorted by activation, so that each activation is applied once, to one slice of z.
 */
final class MapNodes {
  /** Those that the operator has; their numbers are their places. */
  private static final List<Activation> ACTIVATIONS = Arrays.stream(Activation.values()).filter(Activation::elementwise).toList();

  private final FunctionBody f;
  private final String order;
  private final String ranks;
  /** Columns of W and b, factors in order. */
  private final String columns;
  /** The column after the last of each activation, in the order of {@link #ACTIVATIONS}. */
  private final List<String> ends = new ArrayList<>();
  /** Whether some node of the file has softplus alone, and every node. */
  private final boolean someAreSoftplus;
  private final boolean allAreSoftplus;
  /** Whether this node has; null where the file says it. */
  private final String softplusAlone;
  /** Numbers of the activations of the nodes that have not. */
  private final Set<Integer> mixed = new TreeSet<>();

  /**
   * @param ranks int64 [F]
   * @param activations the operator's attribute: a 0-dimensional string
   * @param known all values that it may have, one or more
   */
  MapNodes(FunctionBody body, String ranks, String activations, List<String> known) {
    f = body;
    long[] classes = new long[ACTIVATIONS.size()];
    for (int i = 0; i < classes.length; i++) {
      classes[i] = i;
    }
    Set<Integer> softplusOnly = Set.of(ACTIVATIONS.indexOf(Activation.SOFTPLUS));
    List<List<Integer>> everywhere = known.stream().map(MapNodes::numbers).toList();
    everywhere.stream().filter(each -> !softplusOnly.containsAll(each)).forEach(mixed::addAll);
    allAreSoftplus = mixed.isEmpty();
    someAreSoftplus = everywhere.stream().anyMatch(softplusOnly::containsAll);
    String ofFactor = factorActivations(ranks, activations, known, everywhere);
    String inClass = f.op("in_class", "Equal", f.unsqueeze("classes", f.vector(classes), 1), ofFactor);
    // Sorted by numbers that are all different. NonZero would give the same, but ONNX Runtime does not fold it.
    String factors = f.op("factors_in_order", "Range", f.scalar(0), f.op("factor_number", "Size", ranks), f.scalar(1));
    String keys = f.op("sort_keys", "Add", f.op("activation_keys", "Mul", ofFactor, f.scalar(1L << 32)), factors);
    order = f.ops(List.of("sorted_keys", "factor_order"), "TopK", List.of(FunctionBody.integer("largest", 0)),
        keys, f.op("how_many_factors", "Shape", ranks)).get(1);
    this.ranks = f.gather("sorted_ranks", ranks, order, 0);

    String starts = f.op("unsorted_starts", "Sub", f.op("unsorted_ends", "CumSum", ranks, f.scalar(0)), ranks);
    String sortedEnds = f.op("sorted_ends", "CumSum", this.ranks, f.scalar(0));
    String all = f.op("places", "Range", f.scalar(0), f.asScalar("width", f.reduceSum("width_vector", ranks, 0)), f.scalar(1));
    // A column belongs to as many factors further on as have ended before it.
    String ended = f.op("has_ended", "Not", f.op("ends_later", "Less", f.unsqueeze("places_as_rows", all, 1), sortedEnds));
    String factor = f.op("column_factor", "Squeeze", f.reduceSum("ended_before", f.cast("has_ended_number", ended, DataType.INT64), 1));
    String moved = f.op("factors_move", "Sub", f.gather("sorted_starts", starts, order, 0), f.op("starts_sorted", "Sub", sortedEnds, this.ranks));
    columns = f.op("sorted_columns", "Add", all, f.gather("columns_move", moved, f.op("column_factor_vector", "Reshape", factor, f.vector(-1)), 0));

    String classRanks = f.op("class_ranks", "MatMul", f.cast("in_class_number", inClass, DataType.INT64), ranks);
    String classEnds = f.op("class_ends", "CumSum", classRanks, f.scalar(0));
    for (long each : classes) {
      ends.add(f.dim("class_end", classEnds, each));
    }
    softplusAlone = !someAreSoftplus || allAreSoftplus ? null
        : f.op("softplus_alone", "Equal", f.dim("softplus_rank", classRanks, ACTIVATIONS.indexOf(Activation.SOFTPLUS)), ends.get(ends.size() - 1));
  }

  /** Number of each factor's activation [F], found by comparing the attribute with all it may be. */
  private String factorActivations(String ranks, String activations, List<String> known, List<List<Integer>> numbers) {
    if (known.size() == 1) {
      return f.vector(numbers.get(0).stream().mapToLong(Integer::longValue).toArray());
    }
    // One table of all known values, one after the other; a value begins after the factors of those before it.
    List<Long> table = new ArrayList<>();
    long[] begins = new long[known.size()];
    for (int i = 0; i < begins.length; i++) {
      begins[i] = table.size();
      numbers.get(i).forEach(number -> table.add((long) number));
    }
    String texts = f.concat("all_activations", 0, f.texts("known_activations", known), f.oneText("these_activations", activations));
    // In order of first appearance, so that the last text's number is its place among the known ones.
    // Every output has a name: up to ONNX Runtime 1.24, folding a Unique with a gap among its outputs fails.
    String places = f.ops(List.of("different_activations", "activations_first", "activations_number"), "Unique",
        List.of(FunctionBody.integer("sorted", 0)), texts).get(2);
    String begin = f.op("table_begin", "Gather", f.vector(begins), f.dim("these_number", places, -1));
    String end = f.op("table_stop", "Add", begin, f.op("factors_in_all", "Shape", ranks));
    return f.slice("factor_activations", f.vector(table.stream().mapToLong(Long::longValue).toArray()), begin, end, f.vector(0));
  }

  private static List<Integer> numbers(String activations) {
    List<Integer> numbers = new ArrayList<>();
    for (String word : activations.split(",", -1)) {
      int number = ACTIVATIONS.indexOf(Activation.of(word));
      if (number < 0) {
        throw new HlaException("activation " + word + " looks at a whole factor, which the fused operator does not; use the core operator for it");
      }
      numbers.add(number);
    }
    return numbers;
  }

  /** The order in which factors are taken: a permutation [F] of their numbers. */
  String order() {
    return order;
  }

  /** Ranks of the factors in that order [F]. */
  String ranks() {
    return ranks;
  }

  /**
   * What the maps take: weights [H, d, R], biases [H, 1, R] with their signs turned, and weights in rows [H, R, d], all in
   * float, factors in order. They are constants, so that ONNX Runtime turns the weights before the first run.
   *
   * @param side query or key, whose weights are meant
   */
  List<String> parameters(String side) {
    String weight = f.cast(side + "_weight_float", f.gather(side + "_sorted_weight", side + "_weight", columns, 2), DataType.FLOAT);
    String bias = f.gather(side + "_sorted_bias", side + "_bias", columns, 1);
    return List.of(
        weight,
        f.op(side + "_bias_taken_away", "Neg", f.unsqueeze(side + "_bias_row", f.cast(side + "_bias_float", bias, DataType.FLOAT), 1)),
        f.transpose(side + "_weight_rows", weight, 0, 2, 1));
  }

  /** Features [.., tokens, R], factors in order, of rows [.., tokens, d]. */
  String features(FunctionBody b, String rows, List<String> parameters) {
    // With an Add, ONNX Runtime makes a Gemm of the two, which takes longer than both (0.92 ms, 0.86 ms at 8192 x 128 x 64).
    return activated(b, b.op("z", "Sub", b.op("map", "MatMul", rows, parameters.get(0)), parameters.get(1)), -1);
  }

  /**
   * The same of one head as columns [chunks, R, tokens], of rows [chunks, tokens, d]. The product gives them so in the time
   * that it takes to give rows, and a bias is one number for a whole column.
   */
  String columns(FunctionBody b, String rows, List<String> parameters) {
    String product = b.op("map_in_columns", "MatMul", parameters.get(2), b.transpose("columns_to_map", rows, 0, 2, 1));
    return activated(b, b.op("z_in_columns", "Sub", product, b.transpose("bias_column", parameters.get(1), 1, 0)), 1);
  }

  /** @param axis of z along which the features lie */
  private String activated(FunctionBody b, String z, long axis) {
    // The usual map has one activation, and needs no slices.
    if (allAreSoftplus) {
      return activate(b, "softplus", Activation.SOFTPLUS, z);
    }
    return !someAreSoftplus ? activatedSlices(b, z, axis) : b.choose(List.of("features"), Kind.FLOAT, softplusAlone,
        then -> List.of(activate(then, "softplus", Activation.SOFTPLUS, z)), otherwise -> List.of(activatedSlices(otherwise, z, axis))).get(0);
  }

  private String activatedSlices(FunctionBody b, String z, long axis) {
    List<String> activated = new ArrayList<>();
    for (int i : mixed) {
      Activation each = ACTIVATIONS.get(i);
      String slice = z;
      if (mixed.size() > 1) {
        slice = b.slice(each.word() + "_columns", z, i == 0 ? f.vector(0) : ends.get(i - 1), ends.get(i), f.vector(axis));
      }
      activated.add(activate(b, each.word(), each, slice));
    }
    return mixed.size() == 1 ? activated.get(0) : b.concat("activated", axis, activated.toArray(String[]::new));
  }

  private String activate(FunctionBody b, String name, Activation activation, String z) {
    return switch (activation) {
      case IDENTITY -> z;
      // Relu would make 0 of NaN.
      case RELU -> b.op(name, "Where", b.op(name + "_is_negative", "Less", z, f.scalar(0f)), f.scalar(0f), z);
      case EXP -> b.op(name, "Exp", z);
      case SOFTPLUS -> Softplus.of(z, f.scalar(1f), name, (op, gives, inputs) -> b.op(gives, op, inputs));
      case SOFTMAX -> throw new IllegalArgumentException(name);
    };
  }
}
