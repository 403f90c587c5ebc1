package dev.hla.converter.rewrite;

import dev.hla.converter.Formation;
import dev.hla.converter.Monomials;
import dev.hla.converter.SiteMaps;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;

/**
 * Hadamard linear attention as ordinary nodes for known ranks and powers: no loop, no branch, no table that is computed.
 * The products of all tokens exist at once, B * H * D * (N + M) floats; the operator and its function never form them.
 * Tokens are the last axis of features and products, so that every product is one of contiguous rows.
 */
final class PlainAttention {
  private final Emitter out;
  private final SiteMaps maps;
  private final Formation formation;

  PlainAttention(Emitter out, SiteMaps maps) {
    this.out = out;
    this.maps = maps;
    formation = Formation.of(maps.spec());
  }

  /**
   * @param query features [B, H, N, R]
   * @param key features [B, H, M, R]
   * @param value [B, H, M, dv]
   * @param type of all three and of the result; everything between is float
   * @return [B, H, N, dv]
   */
  String attend(String query, String key, String value, int type) {
    String keys = products(rows(key, "key", type), "key");
    String sums = out.node("MatMul", "state_values", List.of(keys, asFloat(value, "value", type)));
    String weights = out.node("ReduceSum", "state_weights", List.of(keys, out.integers("token_axis", 3)));
    String state = out.node("Concat", "state", List.of(sums, weights), Emitter.integer("axis", 3));
    String weighted = out.node("Mul", "weighted_state", List.of(state, out.reals("multinomials", DataType.FLOAT_VALUE, formation.weights(), formation.count(), 1)));
    String contraction = out.node("Transpose", "state_columns", List.of(weighted), Emitter.ints("perm", 0, 1, 3, 2));
    String result = out.node("MatMul", "sums", List.of(contraction, products(rows(query, "query", type), "query")));
    String denominator = out.node("Add", "denominator", List.of(slice(result, "weight_sum", -1, Long.MAX_VALUE), addend(value)));
    String ratio = out.node("Div", "ratio", List.of(slice(result, "value_sum", 0, -1), denominator));
    String attended = out.node("Transpose", "attended", List.of(ratio), Emitter.ints("perm", 0, 1, 3, 2));
    return type == DataType.FLOAT_VALUE ? attended : out.cast(attended, type, "attended_cast");
  }

  /** What is added to the denominator: epsilon, and where that is 0 a 1 if there are no keys, since the output is 0 then and not 0 / 0. */
  private String addend(String value) {
    if (maps.epsilon() > 0) {
      return out.reals("epsilon", DataType.FLOAT_VALUE, new float[] {maps.epsilon()});
    }
    String keys = out.node("Shape", "keys", List.of(value), Emitter.integer("start", 2), Emitter.integer("end", 3));
    return out.cast(out.node("Equal", "no_keys", List.of(keys, out.integers("none", 0))), DataType.FLOAT_VALUE, "one_without_keys");
  }

  private String asFloat(String x, String name, int type) {
    return type == DataType.FLOAT_VALUE ? x : out.cast(x, DataType.FLOAT_VALUE, name + "_wide");
  }

  /** Features as rows: [B, H, R, tokens]. */
  private String rows(String features, String side, int type) {
    return out.node("Transpose", side + "_rows", List.of(asFloat(features, side + "_features", type)), Emitter.ints("perm", 0, 1, 3, 2));
  }

  /** Products [B, H, D, tokens]. */
  private String products(String rows, String side) {
    List<Monomials> factors = formation.factors();
    String product = monomials(rows, factors.get(0), side);
    for (int gate : formation.gates()) {
      product = out.node("Mul", side + "_gated", List.of(product, gather(rows, side, gate)));
    }
    long count = factors.get(0).count();
    for (Monomials factor : factors.subList(1, factors.size())) {
      count *= factor.count();
      String outer = out.node("Mul", side + "_outer",
          List.of(out.unsqueeze(product, side + "_left", 3), out.unsqueeze(monomials(rows, factor, side), side + "_right", 2)));
      product = out.reshape(outer, side + "_products", 0, 0, count, -1);
    }
    return product;
  }

  private String monomials(String rows, Monomials factor, String side) {
    String product = null;
    for (int place = 0; place < factor.degree(); place++) {
      String column = gather(rows, side, factor.columns(place));
      product = product == null ? column : out.node("Mul", side + "_monomials", List.of(product, column));
    }
    return product;
  }

  private String gather(String rows, String side, long... columns) {
    return out.node("Gather", side + "_columns", List.of(rows, out.integers(side + ".columns", columns)), Emitter.integer("axis", 2));
  }

  private String slice(String x, String gives, long from, long to) {
    return out.node("Slice", gives, List.of(x, out.integers(gives + ".start", from), out.integers(gives + ".end", to), out.integers(gives + ".axis", 2)));
  }
}
