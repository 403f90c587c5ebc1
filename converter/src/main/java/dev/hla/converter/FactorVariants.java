package dev.hla.converter;

import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;

/**
 * The nodes by which a function finds out which of the factors in its file its node has. Plain ONNX cannot take a string
 * apart, so all attributes are compared with what the file has; a node that has something else gets an index out of bounds.
 */
final class FactorVariants {
  private FactorVariants() {}

  /** @param uses what the nodes of the file have, one or more, all different */
  static Variants<FactorUse> of(FunctionBody f, List<FactorUse> uses) {
    return new Variants<>(f, uses, uses.size() == 1 ? null : number(f, uses));
  }

  private static String number(FunctionBody f, List<FactorUse> uses) {
    // Each use is a row: rank and power of each factor in one number, 0 after the last, then the number of the activations.
    List<String> activations = uses.stream().map(FactorUse::activations).distinct().toList();
    int columns = RankSpec.MAX_FACTORS + 1;
    long[] rows = new long[uses.size() * columns];
    long[] numbers = new long[uses.size()];
    for (int i = 0; i < numbers.length; i++) {
      RankSpec spec = uses.get(i).ranks();
      for (int factor = 0; factor < spec.ranks().length; factor++) {
        rows[i * columns + factor] = (long) spec.ranks()[factor] * (RankSpec.MAX_POWER + 1) + spec.powers()[factor];
      }
      rows[i * columns + columns - 1] = activations.indexOf(uses.get(i).activations());
      numbers[i] = i - uses.size();
    }
    String ranks = f.attribute("ranks", "value_ints", AttributeType.INTS);
    String powers = f.attribute("powers", "value_ints", AttributeType.INTS);
    String codes = f.op("codes", "Add", f.op("scaled_ranks", "Mul", ranks, f.scalar(RankSpec.MAX_POWER + 1)), powers);
    String padded = f.slice("codes_of_all", f.concat("codes_and_zeros", 0, codes, f.table("zero_codes", new long[RankSpec.MAX_FACTORS])),
        f.vector(0), f.vector(RankSpec.MAX_FACTORS), f.vector(0));
    String row = f.concat("row", 0, padded, activations.size() == 1 ? f.vector(0) : textNumber(f, activations));
    String table = f.op("rows", "Reshape", f.table("row_numbers", rows), f.vector(-1, columns));
    String same = f.reduceProduct("same_row", f.cast("same", f.op("are_same", "Equal", table, row), DataType.INT64), 1);
    String offsets = f.op("same_numbers", "Mul", f.op("same_flags", "Reshape", same, f.vector(-1)), f.table("use_numbers", numbers));
    return f.op("use", "Add", f.reduceSum("use_offset", offsets, 0), f.vector(uses.size()));
  }

  /** Number of the node's activations among {@code known}; another where they are none of them. */
  private static String textNumber(FunctionBody f, List<String> known) {
    String text = f.attribute("activations", "value_string", AttributeType.STRING);
    String texts = f.concat("all_activations", 0, f.texts("known_activations", known), f.oneText("these_activations", text));
    // In order of first appearance, so that the last text's number is its place among the known ones.
    // Every output has a name: up to ONNX Runtime 1.24, folding a Unique with a gap among its outputs fails.
    String places = f.ops(List.of("different_activations", "activations_first", "activations_number"), "Unique",
        List.of(FunctionBody.integer("sorted", 0)), texts).get(2);
    return f.dim("these_number", places, -1);
  }
}
