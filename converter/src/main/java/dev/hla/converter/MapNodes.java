package dev.hla.converter;

import dev.hla.converter.graph.Softplus;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

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

  /**
   * @param ranks int64 [F]
   * @param activations the operator's attribute: a 0-dimensional string
   * @param known all values that it may have
   */
  MapNodes(FunctionBody body, String ranks, String activations, List<String> known) {
    f = body;
    long[] classes = new long[ACTIVATIONS.size()];
    for (int i = 0; i < classes.length; i++) {
      classes[i] = i;
    }
    String ofFactor = factorActivations(ranks, activations, known);
    String inClass = f.op("in_class", "Equal", f.unsqueeze("classes", f.vector(classes), 1), ofFactor);
    order = f.gather("factor_order", f.op("class_pairs", "NonZero", inClass), f.scalar(1), 0);
    this.ranks = f.gather("sorted_ranks", ranks, order, 0);

    String starts = f.op("unsorted_starts", "Sub", f.op("unsorted_ends", "CumSum", ranks, f.scalar(0)), ranks);
    String widest = f.asScalar("widest_rank", f.op("widest_rank_vector", "ReduceMax", ranks));
    String places = f.op("places", "Range", f.scalar(0), widest, f.scalar(1));
    String pairs = f.op("column_pairs", "NonZero", f.op("has_column", "Less", places, f.unsqueeze("sorted_ranks_column", this.ranks, 1)));
    String sortedStarts = f.gather("sorted_starts", starts, order, 0);
    columns = f.op("sorted_columns", "Add",
        f.op("column_base", "Gather", sortedStarts, f.gather("column_factor", pairs, f.scalar(0), 0)),
        f.gather("column_place", pairs, f.scalar(1), 0));

    String classRanks = f.op("class_ranks", "MatMul", f.cast("in_class_number", inClass, DataType.INT64), ranks);
    String classEnds = f.op("class_ends", "CumSum", classRanks, f.scalar(0));
    for (long each : classes) {
      ends.add(f.dim("class_end", classEnds, each));
    }
  }

  /** Number of each factor's activation [F], found by comparing the attribute with all it may be. */
  private String factorActivations(String ranks, String activations, List<String> known) {
    if (known.isEmpty()) {
      throw new HlaException("no activations given: every value that the attribute has in the file is needed");
    }
    // One table of all known values, one after the other; a value begins after the factors of those before it.
    List<Long> table = new ArrayList<>();
    long[] begins = new long[known.size()];
    for (int i = 0; i < begins.length; i++) {
      begins[i] = table.size();
      for (String word : known.get(i).split(",", -1)) {
        int number = ACTIVATIONS.indexOf(Activation.of(word));
        if (number < 0) {
          throw new HlaException("activation " + word + " looks at a whole factor, which the fused operator does not; use the core operator for it");
        }
        table.add((long) number);
      }
    }
    String texts = f.concat("all_activations", 0, f.texts("known_activations", known), f.oneText("these_activations", activations));
    // In order of first appearance, so that the last text's number is its place among the known ones.
    // Every output has a name: up to ONNX Runtime 1.24, folding a Unique with a gap among its outputs fails.
    String numbers = f.ops(List.of("different_activations", "activations_first", "activations_number"), "Unique",
        List.of(FunctionBody.integer("sorted", 0)), texts).get(2);
    String begin = f.op("table_begin", "Gather", f.vector(begins), f.dim("these_number", numbers, -1));
    String end = f.op("table_stop", "Add", begin, f.op("factors_in_all", "Shape", ranks));
    return f.slice("factor_activations", f.vector(table.stream().mapToLong(Long::longValue).toArray()), begin, end, f.vector(0));
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
   * Features [.., R, tokens], factors in order, of rows [.., tokens, d] of the batches and heads {@code starts .. ends}.
   *
   * @param side query or key, whose weights are meant
   */
  String features(FunctionBody b, String side, String rows, String starts, String ends) {
    String from = b.dim(side + "_first_head", starts, 1);
    String to = b.dim(side + "_head_end", ends, 1);
    String weight = b.gather(side + "_sorted_weight", b.slice(side + "_head_weight", side + "_weight", from, to, f.vector(0)), columns, 2);
    String bias = b.gather(side + "_sorted_bias", b.slice(side + "_head_bias", side + "_bias", from, to, f.vector(0)), columns, 1);
    String product = b.op(side + "_map", "MatMul", rows, b.cast(side + "_weight_float", weight, DataType.FLOAT));
    String z = b.op(side + "_z", "Add",
        b.transpose(side + "_map_columns", product, 0, 1, 3, 2),
        b.unsqueeze(side + "_bias_column", b.cast(side + "_bias_float", bias, DataType.FLOAT), 2));
    List<String> activated = new ArrayList<>();
    for (int i = 0; i < ACTIVATIONS.size(); i++) {
      Activation each = ACTIVATIONS.get(i);
      String begin = i == 0 ? f.vector(0) : this.ends.get(i - 1);
      String slice = b.slice(side + "_" + each.word() + "_rows", z, begin, this.ends.get(i), f.vector(2));
      activated.add(activate(b, side + "_" + each.word(), each, slice));
    }
    return b.concat(side + "_features", 2, activated.toArray(String[]::new));
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
