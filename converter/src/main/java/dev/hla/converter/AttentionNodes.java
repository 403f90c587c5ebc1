package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;

import dev.hla.converter.FunctionBody.Carried;
import dev.hla.converter.ProductNodes.Sides;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The nodes of the attention itself.
 *
 * <pre>
 *   state = products(K) [v, 1]                                     [D, dv + 1], summed over groups of keys
 *   [numerator, denominator] = products(Q)^T (weights * state)     [tokens, dv + 1], group by group of queries
 * </pre>
 *
 * <p>What the measurements taught (N = 8192, 12 heads, dv = 128, two threads, ONNX Runtime 1.30, time over the kernel's, in
 * turns on a busy machine): a Scan reads slices of its inputs and writes slices of its outputs where they lie, a Loop with
 * Slices copies both, which was a quarter of the time. Matrix products of many short chunks as one batch are faster than
 * one long product, whose rows of 8192 numbers meet in one set of the cache. So the core operator went from 2.4 to 1.8 at
 * 16^2, 2.0 to 1.7 at 16,16, and, where no products are formed, 3.4 to 1.6 at 64; the fused one from 3.1 to 2.2, 2.2 to 1.9
 * and 4.1 to 2.1. Whatever passes through an If is copied: a square's operands now go round it. A map gives columns in the
 * time that it takes to give rows, and is a batch, too, as is the product over keys that forms no products of features; chunks
 * are of 512 tokens, not 256. In a quiet minute that took the core operator from 1.87 to 1.73 at 16^2, and the fused one from
 * 2.02 to 1.84 at 16^2 and 1.93 to 1.86 at 64 (best runs); in a busy one from 1.8, 2.2 and 2.2 to 1.7, 2.1 and 2.1.
 *
 * <p>Of the fused function's time at 16^2 (one thread), 47 % are the two matrix products and 14 % those of the maps, 12 % the
 * products of features, 7 % softplus, and 5 % the division, which is also the copy to the output. At 64 softplus takes over a
 * quarter, half of it Log.
 */
final class AttentionNodes {
  /** Numbers in the products of all heads up to which they are formed at once, to save rounds on short sequences. */
  private static final long TOGETHER_NUMBERS = 1 << 20;

  /** Of a head's keys, where the features are the products. */
  private static final long MOST_PARTS = 8;

  private final FunctionBody f;
  private final ProductNodes products;
  private final Sizes sizes;
  private final String count;
  /** The same number, but not known before the run: for conditions around others that are, see {@link ProductNodes#sides}. */
  private final String tableCount;
  /** Whether the products are the features, and there are keys; not known before the run either. */
  private final String featuresAlone;
  private final String weights;
  private final String noKeys;

  AttentionNodes(FunctionBody body, ProductNodes products, Sizes sizes) {
    f = body;
    this.products = products;
    this.sizes = sizes;
    count = products.count();
    tableCount = f.op("table_count", "Shape", products.weights());
    weights = f.unsqueeze("weights_as_rows", products.weights(), 1);
    noKeys = f.op("keys_are_none", "Equal", sizes.keys, f.vector(0));
    // A product or a sum over no keys is not 0 in every version of ONNX Runtime.
    String some = f.op("there_are_some", "And", f.op("keys_are_some", "Not", noKeys), f.op("there_are_products", "Greater", tableCount, f.vector(0)));
    featuresAlone = f.op("features_are_products", "And", products.areFeatures(), some);
  }

  /** Sizes of the tensors, each a tensor of one element. */
  record Sizes(String batch, String heads, String queries, String keys, String valueDim) {}

  /**
   * Queries or keys.
   *
   * @param rows [B, H, tokens, d] in float
   * @param maps how features come of rows; null if the rows are features
   * @param parameters what that takes: tensors [H, ..] in float
   */
  record Side(String rows, MapNodes maps, List<String> parameters) {
    private String features(FunctionBody b, String ofRows, List<String> with) {
      return maps == null ? ofRows : maps.features(b, ofRows, with);
    }

    /** Of one head, [chunks, R, tokens] of rows [chunks, tokens, d]. */
    private String columns(FunctionBody b, String ofRows, List<String> with) {
      return maps == null ? b.transpose("columns_of_chunks", ofRows, 0, 2, 1) : maps.columns(b, ofRows, with);
    }
  }

  /**
   * What the operator gives.
   *
   * @param rows [B, H, N, dv] in float
   * @param states [B, H, D, dv + 1] in float, weighted; null without states to begin with
   */
  record Result(String rows, String states) {}

  /**
   * State of some heads, .. being B and H, or their product, or 1.
   *
   * @param numerators [.., D, dv]
   * @param denominators [.., D, 1]
   */
  private record State(String numerators, String denominators) {}

  /**
   * The operator itself. Heads are taken one by one, or all at once where tokens are few. Where features are there and are
   * the products as well, nothing is formed and all heads are taken at once whatever their size.
   *
   * @param epsilon a 0-dimensional float
   * @param values [B, H, M, dv] in float
   * @param before the states that stand for earlier keys, [B, H, D, dv + 1] in float or without any numbers; or null
   */
  Result attend(String epsilon, Side queries, Side keys, String values, String before) {
    // Without keys the denominator is epsilon, which may be 0, and the output is to be 0 all the same.
    String noKeysAtAll = noKeys;
    String earlier = null;
    if (before != null) {
      String begins = f.op("state_is_empty", "Equal", f.unsqueeze("state_size", f.op("state_numbers", "Size", before), 0), f.vector(0));
      noKeysAtAll = f.op("no_keys_at_all", "And", noKeys, begins);
      String shape = f.concat("state_shape", 0, sizes.batch, sizes.heads, count, f.op("state_columns", "Add", sizes.valueDim, f.vector(1)));
      earlier = f.choose(List.of("state_before"), FLOAT, begins,
          then -> List.of(then.op("first_state", "Expand", f.scalar(0f), shape)),
          otherwise -> List.of(otherwise.op("given_state", "Identity", before))).get(0);
    }
    Use use = new Use(queries, keys, values, earlier, f.op("denominator_floor", "Where", noKeysAtAll, f.scalar(1f), epsilon));
    String heads = f.op("all_heads", "Mul", sizes.batch, sizes.heads);
    String numbers = f.op("head_numbers", "Mul", f.larger("most_tokens", sizes.queries, sizes.keys), tableCount);
    String many = f.op("all_is_much", "Greater", f.op("all_numbers", "Mul", heads, numbers), f.vector(TOGETHER_NUMBERS));
    Function<FunctionBody, List<String>> formed = b -> b.choose(use.outputs("formed"), FLOAT, many, use::headByHead, use::together);
    List<String> results = queries.maps != null ? formed.apply(f)
        : f.choose(use.outputs("plain_or_formed"), FLOAT, featuresAlone, use::plain, formed);
    return new Result(results.get(0), before == null ? null : results.get(1));
  }

  /** One use of the operator. */
  private final class Use {
    private final Side queries;
    private final Side keys;
    private final String values;
    private final String before;
    private final String floor;

    private Use(Side queries, Side keys, String values, String before, String floor) {
      this.queries = queries;
      this.keys = keys;
      this.values = values;
      this.before = before;
      this.floor = floor;
    }

    /** Names of what a way to the result gives. */
    private List<String> outputs(String way) {
      return before == null ? List.of(way + "_rows") : List.of(way + "_rows", way + "_states");
    }

    /** All heads at once. */
    private List<String> plain(FunctionBody b) {
      String numerators = b.op("plain_numerators", "MatMul", b.transpose("key_columns", keys.rows, 0, 1, 3, 2), values);
      return plain(b, queries.rows, keys.rows, numerators, 0, 1, 3, 2);
    }

    /** One head, of features [tokens, R]. */
    private List<String> plainHead(FunctionBody b, String queryFeatures, String keyFeatures, String ofKeys) {
      return plain(b, queryFeatures, keyFeatures, inParts(b, keyFeatures, ofKeys), 1, 0);
    }

    /** Their product over the keys, a batch of shorter ones: one alone shares out badly among threads (20.0 and 16.3 ms at R = 64). */
    private String inParts(FunctionBody b, String keyFeatures, String ofKeys) {
      String shape = b.op("key_features_shape", "Shape", keyFeatures);
      String width = b.dim("key_features_width", shape, 1);
      String parts = ChunkNodes.largestDivisor(b, "key_parts", b.dim("keys_in_parts", shape, 0), MOST_PARTS, null);
      String columns = b.transpose("part_columns", b.op("key_parts_in_rows", "Reshape", keyFeatures, b.concat("key_parts_shape", 0, parts, b.vector(-1), width)), 0, 2, 1);
      String valueDim = b.dim("part_value_dim", b.op("part_values_shape", "Shape", ofKeys), 1);
      String rows = b.op("value_parts", "Reshape", ofKeys, b.concat("value_parts_shape", 0, parts, b.vector(-1), valueDim));
      String sum = b.reduceSum("part_numerators", b.op("numerators_of_parts", "MatMul", columns, rows), 0);
      return b.op("plain_numerators", "Reshape", sum, b.concat("plain_numerators_shape", 0, width, valueDim));
    }

    /**
     * The second of the two matrix products of features that are products.
     *
     * @param numerators the first one
     * @param swapped axes of the tensors, the last two in turn
     */
    private List<String> plain(FunctionBody b, String queryFeatures, String keyFeatures, String numerators, long... swapped) {
      State own = new State(numerators, b.transpose("plain_denominators", b.reduceSum("key_sums", keyFeatures, -2), swapped));
      State state = weighted(b, own, before);
      String divisors = b.op("plain_divisors", "Add", b.op("plain_sums", "MatMul", queryFeatures, state.denominators), floor);
      // Queries are divided, not the output: that is written once, by the product.
      String rows = b.op("plain_rows", "MatMul", b.op("divided_queries", "Div", queryFeatures, divisors), state.numerators);
      return before == null ? List.of(rows) : List.of(rows, joined(b, state));
    }

    /** Batch by batch, all heads of one at once. */
    private List<String> together(FunctionBody b) {
      String shape = b.concat("products_together_shape", 0, sizes.heads, count, b.vector(-1));
      // A key of zeros changes nothing, and there is one even where there are none.
      String oneMore = b.vector(0, 0, 0, 0, 1, 0);
      return b.scan("batch", List.of(), tensors(), outputs("together"), 3, (batch, none, of) -> {
        String keyFeatures = batch.op("one_more_key", "Pad", keys.features(batch, of.get(1), keys.parameters), oneMore);
        State own = ofKeys(batch, products(batch, keyFeatures, shape), batch.op("one_more_value", "Pad", of.get(2), oneMore));
        State state = weighted(batch, own, before == null ? null : of.get(3));
        Sums sums = sums(batch, products(batch, queries.features(batch, of.get(0), queries.parameters), shape), state);
        String rows = batch.op("rows_together", "Div", sums.numerators, batch.transpose("divisors_together", sums.denominators, 0, 2, 1));
        return before == null ? List.of(rows) : List.of(rows, joined(batch, state));
      });
    }

    private String products(FunctionBody b, String features, String shape) {
      return products.multiply(b, products.sides(b, b.transpose("columns_together", features, 0, 2, 1)), shape);
    }

    private List<String> tensors() {
      return before == null ? List.of(queries.rows, keys.rows, values) : List.of(queries.rows, keys.rows, values, before);
    }

    /** Head by head: slices of the inputs, each giving a slice of the output. */
    private List<String> headByHead(FunctionBody b) {
      List<String> tensors = tensors();
      List<String> parameters = Stream.concat(queries.parameters.stream(), keys.parameters.stream()).toList();
      return b.scan("batch", List.of(), tensors, outputs("all"), 3, (batch, none, ofBatch) ->
          batch.scan("head", List.of(), Stream.concat(ofBatch.stream(), parameters.stream()).toList(), outputs("batch"), 2, (head, nothing, of) -> {
            List<String> maps = of.subList(tensors.size(), of.size());
            List<String> queryMap = maps.subList(0, queries.parameters.size());
            List<String> keyMap = maps.subList(queries.parameters.size(), maps.size());
            Function<FunctionBody, List<String>> formed = g -> {
              // ONNX Runtime 1.17 forgets that outer numbers are still needed here, two scans deep: they are counted again.
              String valueDim = g.dim("columns_of_values", g.op("values_shape", "Shape", of.get(2)), 1);
              ChunkNodes queryChunks = new ChunkNodes(g, "query", g.dim("queries_here", g.op("queries_shape", "Shape", of.get(0)), 0), count, valueDim);
              ChunkNodes keyChunks = new ChunkNodes(g, "key", g.dim("keys_here", g.op("keys_shape", "Shape", of.get(1)), 0), count, valueDim);
              State state = weighted(g, headState(g, keyChunks.of(g), of.get(1), keyMap, of.get(2)), before == null ? null : of.get(3));
              String rows = headRows(g, queryChunks.of(g), of.get(0), queryMap, state);
              return before == null ? List.of(rows)
                  : List.of(rows, g.op("head_state", "Reshape", joined(g, state), g.concat("head_state_shape", 0, count, f.vector(-1))));
            };
            return queries.maps == null ? formed.apply(head)
                : head.choose(outputs("head"), FLOAT, featuresAlone,
                    p -> plainHead(p, queries.features(p, of.get(0), queryMap), keys.features(p, of.get(1), keyMap), of.get(2)), formed);
          }));
    }

    /** The operands of the products of one head, in groups of chunks. */
    private List<String> sides(FunctionBody b, ChunkNodes.Head chunks, String name, Side side, String rows, List<String> map) {
      String columns = chunks.columns(b, name, rows, (e, all) -> side.features(e, all, map), (e, cut) -> side.columns(e, cut, map));
      return products.sides(b, columns).all().stream().map(each -> chunks.groups(b, name + "_groups", each)).toList();
    }

    private State headState(FunctionBody b, ChunkNodes.Head chunks, String rows, List<String> map, String values) {
      List<String> sides = sides(b, chunks, "key", keys, rows, map);
      List<Carried> sums = List.of(
          new Carried("numerator_sum", FLOAT, zeros(b, chunks.valueDim())),
          new Carried("denominator_sum", FLOAT, zeros(b, f.vector(1))));
      List<String> both = chunks.onRows(b, List.of("numerator_state", "denominator_state"), values, (w, groups) ->
          w.scan("key_group", sums, Stream.concat(sides.stream(), Stream.of(groups)).toList(), List.of(), 3, (g, sum, of) -> {
            State own = ofKeys(g, products.multiply(g, Sides.of(of), chunks.productShape()), of.get(Sides.NUMBER));
            return List.of(
                g.op("next_numerators", "Add", sum.get(0), g.reduceSum("group_numerators", own.numerators, 0)),
                g.op("next_denominators", "Add", sum.get(1), g.reduceSum("group_denominators", own.denominators, 0)));
          }));
      return new State(both.get(0), both.get(1));
    }

    /** Sums over the state for queries with products [L, D, tokens]. */
    private Sums sums(FunctionBody b, String queryProducts, State state) {
      // ONNX Runtime makes one product of this and the Transpose.
      String numerators = b.op("numerator_sums", "MatMul", b.transpose("products_in_rows", queryProducts, 0, 2, 1), state.numerators);
      String row = b.transpose("denominator_row", state.denominators, 0, 2, 1);
      return new Sums(numerators, b.op("divisors", "Add", b.op("denominator_sums", "MatMul", row, queryProducts), floor));
    }

    private String headRows(FunctionBody b, ChunkNodes.Head chunks, String rows, List<String> map, State state) {
      List<String> sides = sides(b, chunks, "query", queries, rows, map);
      List<String> sums = b.scan("query_group", List.of(), sides, List.of("group_sums", "group_divisors"), 3, (g, none, of) -> {
        Sums group = sums(g, products.multiply(g, Sides.of(of), chunks.productShape()), state);
        return List.of(group.numerators, group.denominators);
      });
      return chunks.ratios(b, sums.get(0), sums.get(1));
    }

    /**
     * The weighted state, earlier keys included.
     *
     * @param own the state of the keys, without weights
     * @param earlier [.., D, dv + 1], or null
     */
    private State weighted(FunctionBody b, State own, String earlier) {
      String numerators = b.op("weighted_numerators", "Mul", own.numerators, weights);
      String denominators = b.op("weighted_denominators", "Mul", own.denominators, weights);
      if (earlier == null) {
        return new State(numerators, denominators);
      }
      return new State(
          b.op("all_numerators", "Add", numerators, b.slice("earlier_numerators", earlier, f.vector(0), sizes.valueDim, f.vector(-1))),
          b.op("all_denominators", "Add", denominators, b.slice("earlier_denominators", earlier, sizes.valueDim, f.vector(Long.MAX_VALUE), f.vector(-1))));
    }
  }

  private String zeros(FunctionBody b, String columns) {
    return b.op("zeros", "Expand", f.scalar(0f), b.concat("zeros_shape", 0, f.vector(1), count, columns));
  }

  /** State of keys with products [L, D, tokens] and values [L, tokens, dv]. */
  private State ofKeys(FunctionBody b, String keyProducts, String values) {
    return new State(b.op("chunk_numerators", "MatMul", keyProducts, values), b.reduceSum("chunk_denominators", keyProducts, 2));
  }

  /**
   * What queries take from a state.
   *
   * @param numerators [L, tokens, dv]
   * @param denominators [L, 1, tokens]
   */
  private record Sums(String numerators, String denominators) {}

  private String joined(FunctionBody b, State state) {
    return b.concat("state", -1, state.numerators, state.denominators);
  }
}
