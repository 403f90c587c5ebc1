package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;

import dev.hla.converter.Formation.Way;
import dev.hla.converter.FunctionBody.Carried;
import dev.hla.converter.ProductNodes.Sides;
import java.util.List;
import java.util.Objects;
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
 * <p>On two cores of an Intel Cascade Lake, medians of 20 to 40 turns in the calmer minutes: a Reshape whose result leaves a branch is a copy
 * by one thread, which the products of several factors went through (fused 16,16 from 2.55 to 2.2 times the kernel's time,
 * 32,32 from 2.4 to 2.05). Sums and totals of products as small products of their operands, once a head, chunks counted once
 * and not for each head (2600 to 1000 small nodes a run), and weights turned before the run: 16^2 from 2.16 to 2.0, 16,16
 * from 2.13 to 2.0, 32,32 to 1.9, 64 from 2.36 to 2.25. Chunks of 256 tokens or groups of half the size came out no better.
 *
 * <p>Bodies for the ranks of their file need no loops and branches to form products: 2.30 to 2.17 at 16^2, 2.28 to 2.11 at 16,16, 2.01 to
 * 1.91 at 32,32 (medians of 20 turns). Operands of queries divided, not the output, and sums over chunks as products with ones: 1.96 to
 * 1.75, 1.89 to 1.77 and 1.87 to 1.64 where another node reads the output. Where none does, ONNX Runtime copies it out of its last
 * Reshape, and the first two gain nothing.
 *
 * <p>Of the fused function's time at 16^2 before all that (AMD Zen 5, one thread), 47 % are the two matrix products and 14 % those of the maps, 12 % the
 * products of features, 7 % softplus, and 5 % the division, which is also the copy to the output. At 64 softplus took over a
 * quarter, half of it Log, which ONNX Runtime runs on one thread. Without it (Intel Cascade Lake, medians of
 * 20 turns): 2.3 to 1.9 at 64, 2.0 to 1.8 at 16^2.
 */
final class AttentionNodes {
  /** Numbers in the products of all heads up to which they are formed at once, to save rounds on short sequences. */
  private static final long TOGETHER_NUMBERS = 1 << 20;

  /** Of a head's keys, where the features are the products. */
  private static final long MOST_PARTS = 8;

  private final FunctionBody f;
  private final ProductNodes products;
  private final Sizes sizes;
  private final Variants<Formation> variants;
  private final String count;
  private final String noKeys;

  AttentionNodes(FunctionBody body, Variants<Formation> variants, Sizes sizes) {
    f = body;
    products = new ProductNodes(f, variants);
    this.sizes = sizes;
    this.variants = variants;
    count = variants.number("product_count", Formation::count);
    noKeys = f.op("keys_are_none", "Equal", sizes.keys, f.vector(0));
  }

  /** Sizes of the tensors, each a tensor of one element. */
  record Sizes(String batch, String heads, String queries, String keys, String valueDim) {}

  /**
   * Queries or keys.
   *
   * @param rows [B, H, tokens, d] in float
   * @param maps how features come of rows; null if the rows are features
   * @param parameters what that takes: tensors [H, ..] in float
   * @param factor what all features of a token are multiplied with, [B, H, tokens] in float; null for nothing
   */
  record Side(String rows, MapNodes maps, List<String> parameters, String factor) {
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
   * The operator itself. Heads are taken one by one, or all at once where tokens are few. Where features are the products as
   * well, nothing is formed: heads are taken at once whatever their size where features are there, one by one where they are not.
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
    List<String> results = variants.choose(f, use.outputs("plain_or_formed"), FLOAT, each -> each.way() == Way.FEATURES,
        (b, those) -> those.example().way() == Way.FEATURES ? use.plain(b) : use.formed(b));
    String rows = results.get(0);
    if (variants.any(each -> each.way() != Way.FEATURES)) {
      // Not where they are made: what leaves a branch through a Reshape is copied.
      rows = f.op("rows_of_heads", "Reshape", rows, f.concat("rows_shape", 0, sizes.batch, sizes.heads, sizes.queries, sizes.valueDim));
    }
    return new Result(rows, before == null ? null : results.get(1));
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

    /** The products are formed of features. */
    private List<String> formed(FunctionBody b) {
      String heads = f.op("all_heads", "Mul", sizes.batch, sizes.heads);
      String numbers = f.op("head_numbers", "Mul", f.larger("most_tokens", sizes.queries, sizes.keys), f.late("late_count", count));
      String many = f.op("all_is_much", "Greater", f.op("all_numbers", "Mul", heads, numbers), f.vector(TOGETHER_NUMBERS));
      return b.choose(outputs("formed"), FLOAT, many, this::headByHead, this::together);
    }

    /** The products are the features. A product or a sum over no keys is not 0 in every version of ONNX Runtime. */
    private List<String> plain(FunctionBody b) {
      String some = f.op("there_are_keys", "Greater", f.late("late_keys", sizes.keys), f.vector(0));
      return b.choose(outputs("plain"), FLOAT, some, queries.maps == null ? this::plainTogether : this::plainHeads, this::plainWithoutKeys);
    }

    private List<String> plainWithoutKeys(FunctionBody b) {
      if (before == null) {
        return List.of(b.op("no_rows", "Expand", f.scalar(0f), f.concat("no_rows_shape", 0, sizes.batch, sizes.heads, sizes.queries, sizes.valueDim)));
      }
      return List.of(plainRows(b, queries.rows, halves(b, before)), before);
    }

    /** All heads at once. */
    private List<String> plainTogether(FunctionBody b) {
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
      // A ReduceSum takes three times as long (5.1 and 2.0 ms at R = 64), and an Add to a column goes number by number (3.1 ms, 0.3 in a row).
      String keys = b.dim("keys_to_sum", b.op("features_to_sum_shape", "Shape", keyFeatures), -2);
      String ones = b.op("ones", "Expand", f.scalar(1f), b.concat("ones_shape", 0, f.vector(1), keys));
      State own = new State(numerators, b.transpose("plain_denominators", b.op("key_sums", "MatMul", ones, keyFeatures), swapped));
      State state = continued(b, own, before);
      String rows = plainRows(b, queryFeatures, state);
      return before == null ? List.of(rows) : List.of(rows, joined(b, state));
    }

    private String plainRows(FunctionBody b, String queryFeatures, State state) {
      String sums = b.op("plain_sums", "MatMul", queryFeatures, state.denominators);
      String divisors = b.op("plain_divisors", "Reshape",
          b.op("sums_and_floor", "Add", b.op("sums_in_row", "Reshape", sums, f.vector(-1)), floor), b.op("plain_sums_shape", "Shape", sums));
      // Queries are divided, not the output: that is written once, by the product.
      return b.op("plain_rows", "MatMul", b.op("divided_queries", "Div", queryFeatures, divisors), state.numerators);
    }

    /** Batch by batch, all heads of one at once. */
    private List<String> together(FunctionBody b) {
      String shape = b.concat("products_together_shape", 0, sizes.heads, count, b.vector(-1));
      // A key of zeros changes nothing, and there is one even where there are none.
      String oneMore = b.vector(0, 0, 0, 0, 1, 0);
      return b.scan("batch", List.of(), tensors(), List.of(), outputs("together"), List.of(3, 3), (batch, none, of) -> {
        String keyFeatures = batch.op("one_more_key", "Pad", keyFeatures(batch, of, keys.parameters), oneMore);
        Sides keySides = sides(batch, keyFeatures);
        String sums = numerators(batch, keySides, shape, batch.op("one_more_value", "Pad", of.get(2), oneMore));
        State state = weighted(batch, new State(sums, products.sums(batch, keySides)), before == null ? null : of.get(3));
        Sides sides = sides(batch, queries.features(batch, of.get(0), queries.parameters));
        String rows = sums(batch, divided(batch, sides, state), shape, state.numerators);
        return before == null ? List.of(rows) : List.of(rows, joined(batch, state));
      });
    }

    private Sides sides(FunctionBody b, String features) {
      return products.sides(b, b.transpose("columns_together", features, 0, 2, 1));
    }

    /** What is taken slice by slice; the states before and the factors of keys never meet, so either is the fourth. */
    private List<String> tensors() {
      return Stream.of(queries.rows, keys.rows, values, before, keys.factor).filter(Objects::nonNull).toList();
    }

    /** Features [.., tokens, R] of keys, with their factors from the slices {@code of} the tensors. */
    private String keyFeatures(FunctionBody b, List<String> of, List<String> map) {
      String features = keys.features(b, of.get(1), map);
      return keys.factor == null ? features : b.op("masked_features", "Mul", features, b.unsqueeze("key_factor", of.get(3), -1));
    }

    /** What becomes of one head: of slices of the tensors, of the parameters of its maps, and of what it is given besides. */
    @FunctionalInterface
    private interface HeadBody {
      List<String> build(FunctionBody body, List<String> of, List<String> queryMap, List<String> keyMap, List<String> given);
    }

    /**
     * Head by head: slices of the inputs, each giving a slice of the output.
     *
     * @param axes how many the rows of a head have
     * @param given int64 tensors, the first axis that of the heads
     */
    private List<String> heads(FunctionBody b, String way, int axes, List<String> given, HeadBody work) {
      List<String> tensors = tensors();
      List<String> parameters = Stream.concat(queries.parameters.stream(), keys.parameters.stream()).toList();
      return b.scan("batch", List.of(), tensors, List.of(), outputs("all_" + way), List.of(axes + 1, 3), (batch, none, ofBatch) ->
          batch.scan("head", List.of(), Stream.concat(ofBatch.stream(), parameters.stream()).toList(), given, outputs("batch_" + way), List.of(axes, 2), (head, nothing, of) -> {
            int maps = tensors.size() + queries.parameters.size();
            int end = tensors.size() + parameters.size();
            return work.build(head, of.subList(0, tensors.size()), of.subList(tensors.size(), maps), of.subList(maps, end), of.subList(end, of.size()));
          }));
    }

    /** Of features that are the products: nothing is formed. */
    private List<String> plainHeads(FunctionBody b) {
      return heads(b, "plain", 2, List.of(), (head, of, queryMap, keyMap, none) ->
          plainHead(head, queries.features(head, of.get(0), queryMap), keyFeatures(head, of, keyMap), of.get(2)));
    }

    private List<String> headByHead(FunctionBody b) {
      List<String> chunks = ChunkNodes.forHeads(b, sizes.heads, sizes.queries, sizes.keys, count, sizes.valueDim);
      return heads(b, "formed", 4, chunks, (head, of, queryMap, keyMap, given) -> {
        ChunkNodes.Head queryChunks = new ChunkNodes.Head(head, given.subList(0, ChunkNodes.Head.NUMBER));
        ChunkNodes.Head keyChunks = new ChunkNodes.Head(head, given.subList(ChunkNodes.Head.NUMBER, given.size()));
        State state = weighted(head, headState(head, keyChunks, of, keyMap), before == null ? null : of.get(3));
        String rows = headRows(head, queryChunks, of.get(0), queryMap, state);
        return before == null ? List.of(rows)
            : List.of(rows, head.op("head_state", "Reshape", joined(head, state), head.concat("head_state_shape", 0, count, f.vector(-1))));
      });
    }

    /** The operands of the products of one head, [chunks, few, tokens of a chunk]. */
    private Sides sides(FunctionBody b, ChunkNodes.Head chunks, String name, Side side, String rows, String factor, List<String> map) {
      String columns = chunks.columns(b, name, rows, (e, all) -> side.features(e, all, map), (e, cut) -> side.columns(e, cut, map));
      if (factor != null) {
        String row = chunks.columns(b, name + "_factor", b.unsqueeze(name + "_factor_rows", factor, 1),
            (e, all) -> all, (e, cut) -> e.transpose(name + "_factor_row", cut, 0, 2, 1));
        columns = b.op(name + "_masked_columns", "Mul", columns, row);
      }
      return products.sides(b, columns);
    }

    private static List<String> groups(FunctionBody b, ChunkNodes.Head chunks, String name, Sides sides) {
      return sides.all().stream().map(each -> chunks.groups(b, name + "_groups", each)).toList();
    }

    private State headState(FunctionBody b, ChunkNodes.Head chunks, List<String> of, List<String> map) {
      Sides sides = sides(b, chunks, "key", keys, of.get(1), keys.factor == null ? null : of.get(3), map);
      List<Carried> sum = List.of(new Carried("numerator_sum", FLOAT, zeros(b, chunks.valueDim())));
      List<String> tensors = groups(b, chunks, "key", sides);
      String sums = chunks.onRows(b, List.of("numerator_state"), of.get(2), (w, groups) ->
          w.scan("key_group", sum, Stream.concat(tensors.stream(), Stream.of(groups)).toList(), List.of(), List.of(), List.of(2), (g, before, each) -> List.of(
              g.op("next_numerators", "Add", before.get(0), chunks.sum(g, numerators(g, sides.with(each), chunks.productShape(), each.get(tensors.size()))))))).get(0);
      String numerators = b.op("head_numerators", "Reshape", sums, b.concat("head_numerators_shape", 0, f.vector(1), count, f.vector(-1)));
      return new State(numerators, b.reduceSum("head_denominators", products.sums(b, sides), 0));
    }

    /**
     * Sums over the state for queries.
     *
     * @param shape of the products, [L, D, tokens]
     * @param numerators [L or 1, D, dv]
     * @return [L, tokens, dv]
     */
    private String sums(FunctionBody b, Sides sides, String shape, String numerators) {
      // ONNX Runtime makes one product of this and the Transpose.
      return b.op("numerator_sums", "MatMul", b.transpose("products_of_tokens", products.multiply(b, sides, shape), 0, 2, 1), numerators);
    }

    /**
     * Operands whose products are divided by what the output is to be divided by. These are fewer numbers than the output, which
     * so is written once, by the product.
     */
    private Sides divided(FunctionBody b, Sides sides, State state) {
      return products.divided(b, sides, b.op("divisors", "Add", products.totals(b, sides, state.denominators), floor));
    }

    private String headRows(FunctionBody b, ChunkNodes.Head chunks, String rows, List<String> map, State state) {
      Sides sides = sides(b, chunks, "query", queries, rows, null, map);
      Sides divided = divided(b, sides, state);
      List<String> tensors = groups(b, chunks, "query", divided);
      return chunks.rows(b, w -> w.scan("query_group", List.of(), tensors, List.of(), List.of("group_rows"), List.of(3), (g, none, of) ->
          List.of(sums(g, divided.with(of), chunks.productShape(), state.numerators))).get(0));
    }

    /**
     * The weighted state of products that are formed, earlier keys included.
     *
     * @param own the state of the keys, without weights
     * @param earlier [.., D, dv + 1], or null
     */
    private State weighted(FunctionBody b, State own, String earlier) {
      String weights = products.weights();
      if (weights == null) {
        return continued(b, own, earlier);
      }
      String rows = f.unsqueeze("weights_as_rows", weights, 1);
      return continued(b, new State(
          b.op("weighted_numerators", "Mul", own.numerators, rows), b.op("weighted_denominators", "Mul", own.denominators, rows)), earlier);
    }

    private State continued(FunctionBody b, State own, String earlier) {
      if (earlier == null) {
        return own;
      }
      State before = halves(b, earlier);
      return new State(
          b.op("all_numerators", "Add", own.numerators, before.numerators), b.op("all_denominators", "Add", own.denominators, before.denominators));
    }

    private State halves(FunctionBody b, String state) {
      return new State(
          b.slice("earlier_numerators", state, f.vector(0), sizes.valueDim, f.vector(-1)),
          b.slice("earlier_denominators", state, sizes.valueDim, f.vector(Long.MAX_VALUE), f.vector(-1)));
    }
  }

  private String zeros(FunctionBody b, String columns) {
    return b.op("zeros", "Expand", f.scalar(0f), b.concat("zeros_shape", 0, f.vector(1), b.op("state_numbers_of_head", "Mul", count, columns)));
  }

  /** Sums [L, D, dv] of the products of keys, of a shape [L, D, tokens], with values [L, tokens, dv]. */
  private String numerators(FunctionBody b, Sides sides, String shape, String values) {
    return b.op("chunk_numerators", "MatMul", products.multiply(b, sides, shape), values);
  }

  private String joined(FunctionBody b, State state) {
    return b.concat("state", -1, state.numerators, state.denominators);
  }
}
