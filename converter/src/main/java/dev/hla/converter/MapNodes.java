package dev.hla.converter;

import dev.hla.converter.FunctionBody.Kind;
import dev.hla.converter.graph.Softplus;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.List;

/** The nodes of the feature maps in the fused operator's function: {@code z = x W + b}, and an activation for each factor. */
final class MapNodes {
  private final FunctionBody f;
  private final Variants<List<Slice>> slices;

  /** Columns of z that lie side by side and pass through the same activation. */
  private record Slice(Activation activation, int first, int end) {}

  MapNodes(FunctionBody body, Variants<FactorUse> variants) {
    f = body;
    slices = variants.map(MapNodes::slices);
  }

  private static List<Slice> slices(FactorUse use) {
    int[] ranks = use.ranks().ranks();
    String[] words = use.activations().split(",", -1);
    if (words.length != ranks.length) {
      throw new HlaException("activations \"" + SafeTensors.printable(use.activations()) + "\" for " + ranks.length + " factors (" + use.ranks() + "); each factor has one");
    }
    List<Slice> slices = new ArrayList<>();
    int first = 0;
    for (int factor = 0; factor < ranks.length; factor++) {
      Activation activation = Activation.of(words[factor]);
      if (!activation.elementwise()) {
        throw new HlaException("activation " + words[factor] + " looks at a whole factor, which the fused operator does not; use the core operator for it");
      }
      boolean same = !slices.isEmpty() && slices.get(slices.size() - 1).activation == activation;
      int begins = same ? slices.remove(slices.size() - 1).first : first;
      first += ranks[factor];
      slices.add(new Slice(activation, begins, first));
    }
    return slices;
  }

  /**
   * What the maps take: weights [H, d, R], biases [H, 1, R] with their signs turned, and weights in rows [H, R, d], all in
   * float. They are constants, so that ONNX Runtime turns the weights before the first run.
   *
   * @param side query or key, whose weights are meant
   */
  List<String> parameters(String side) {
    String weight = f.cast(side + "_weight_float", side + "_weight", DataType.FLOAT);
    return List.of(
        weight,
        f.op(side + "_bias_taken_away", "Neg", f.unsqueeze(side + "_bias_row", f.cast(side + "_bias_float", side + "_bias", DataType.FLOAT), 1)),
        f.transpose(side + "_weight_rows", weight, 0, 2, 1));
  }

  /** Features [.., tokens, R] of rows [.., tokens, d]. */
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
    return slices.choose(b, List.of("features"), Kind.FLOAT, each -> each.stream().map(Slice::activation).toList(), (e, variants) -> {
      List<Slice> example = variants.example();
      List<String> activated = new ArrayList<>();
      for (int i = 0; i < example.size(); i++) {
        int place = i;
        Activation activation = example.get(i).activation;
        // The usual map has one activation, and needs no slices.
        String slice = example.size() == 1 ? z : e.slice(activation.word() + "_columns", z, variants.number("slice_start", each -> each.get(place).first),
            variants.number("slice_end", each -> each.get(place).end), f.vector(axis));
        activated.add(activate(e, activation.word(), activation, slice));
      }
      return List.of(activated.size() == 1 ? activated.get(0) : e.concat("activated", axis, activated.toArray(String[]::new)));
    }).get(0);
  }

  private String activate(FunctionBody b, String name, Activation activation, String z) {
    return switch (activation) {
      case IDENTITY -> z;
      // Relu would make 0 of NaN.
      case RELU -> b.op(name, "Where", b.op(name + "_is_negative", "Less", z, f.scalar(0f)), f.scalar(0f), z);
      case EXP -> b.op(name, "Exp", z);
      case SOFTPLUS -> Softplus.of(z, f::scalar, name, (op, gives, inputs) -> b.op(gives, op, inputs));
      case SOFTMAX -> throw new IllegalArgumentException(name);
    };
  }
}
