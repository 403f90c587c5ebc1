package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;

import dev.hla.converter.FunctionBody.Carried;
import dev.hla.converter.ProductNodes.Sides;
import java.util.List;

/**
 * The nodes of the attention itself, round by round and chunk by chunk.
 *
 * <pre>
 *   state = products(K) [v, 1]           [D, dv + 1], summed over chunks of keys
 *   [numerator, denominator] = (weights * state)^T products(Q)      [dv + 1, tokens], chunk by chunk of queries
 * </pre>
 *
 * <p>What the measurements taught (N = 8192, 12 heads, dv = 128, two threads, ONNX Runtime 1.29.0, time over the kernel's):
 * summing denominators apart instead of a 129th column of the values, queries through a Gemm that takes its left side
 * transposed instead of a Transpose of every chunk, padding instead of an overlap to be cut out, and the cast outside of
 * all loops, where the optimiser removes it, brought 16^2 from 2.22 to 1.93 and 64 alone from 2.85 to 2.38 (over version 4
 * of the kernel; version 6 is faster, and leaves 16,16 at 1.84 and 32,32 at 1.43). A quarter or half of
 * {@link #CHUNK_NUMBERS} is slower.
 */
final class AttentionNodes {
  /** Numbers in one chunk's products: 1 MB, so that they, their factors and the state share a core's cache. */
  private static final long CHUNK_NUMBERS = 1 << 18;
  private static final long MIN_CHUNK_TOKENS = 128;
  /** Numbers in the products of all heads up to which they are formed at once, to save rounds on short sequences. */
  private static final long TOGETHER_NUMBERS = 1 << 20;

  private final FunctionBody f;
  private final ProductNodes products;
  private final Sizes sizes;

  AttentionNodes(FunctionBody body, ProductNodes products, Sizes sizes) {
    f = body;
    this.products = products;
    this.sizes = sizes;
  }

  /** Sizes of the tensors, each a tensor of one element. */
  record Sizes(String batch, String heads, String queries, String keys, String valueDim) {}

  /** Makes the features [.., R, tokens] in float of the batches and heads {@code starts .. ends}. */
  @FunctionalInterface
  interface Features {
    String build(FunctionBody round, String starts, String ends);
  }

  /** Makes the values of the batches and heads {@code starts .. ends}, for {@link ChunkValues} to take from. */
  @FunctionalInterface
  interface Values {
    ChunkValues build(FunctionBody round, String starts, String ends);
  }

  /** Makes the values [.., tokens, dv] in float of the tokens {@code begin .. end}. */
  @FunctionalInterface
  interface ChunkValues {
    String build(FunctionBody chunk, String begin, String end);
  }

  /**
   * What the operator gives.
   *
   * @param rows [B, H, N + some, dv] in float: a head's last rows may stand for no query, and are to be dropped
   * @param state [B, H, D, dv + 1] in float, weighted; null without a state to begin with
   */
  record Result(String rows, String state) {}

  /**
   * The operator itself.
   *
   * <p>One round takes one head, or all heads of all batches where tokens are few. The chunks of queries are of one size,
   * as values stacked by a loop must be, so queries are padded with features of 0; the rows of the padding are dropped in
   * the end, by the copy that makes the output.
   *
   * @param epsilon a 0-dimensional float
   * @param before the state that stands for earlier keys, [B, H, D, dv + 1] in float or without any numbers; or null
   */
  Result attend(
      String epsilon, Features queryFeatures, Features keyFeatures, Values values, String before) {
    String count = f.op("products_vector", "Shape", products.weights());
    String tokens = f.larger("most_tokens", sizes.queries, f.larger("some_keys", sizes.keys, f.vector(1)));
    String headNumbers = f.op("head_numbers", "Mul", tokens, count);
    String groups = f.op("groups", "Mul", sizes.batch, sizes.heads);
    String many = f.op("all_is_much", "Greater", f.op("all_numbers", "Mul", groups, headNumbers), f.vector(TOGETHER_NUMBERS));
    String batches = f.op("round_batches", "Where", many, f.vector(1), sizes.batch);
    String heads = f.op("round_heads", "Where", many, f.vector(1), sizes.heads);
    String rounds = f.asScalar("rounds", f.op("rounds_vector", "Where", many, groups, f.vector(1)));

    String widest = f.larger("chunk_columns", count, sizes.valueDim);
    String fitting = f.larger("fitting_tokens", f.op("fitting", "Div", f.vector(CHUNK_NUMBERS), widest), f.vector(MIN_CHUNK_TOKENS));
    String keyChunk = f.op("key_chunk_tokens", "Where", many, fitting, tokens);
    String keyChunks = f.asScalar("key_chunks", ceilDiv(f, "key_chunks_vector", sizes.keys, keyChunk));
    String queryChunksVector = ceilDiv(f, "query_chunks_vector", sizes.queries, f.op("query_chunk_limit", "Where", many, fitting, tokens));
    String queryChunks = f.asScalar("query_chunks", queryChunksVector);
    String queryChunk = ceilDiv(f, "query_chunk_tokens", sizes.queries, queryChunksVector);
    String paddedQueries = f.op("padded_queries", "Mul", queryChunk, queryChunksVector);
    String padding = f.concat("query_padding", 0, f.vector(0, 0, 0, 0, 0, 0, 0), f.op("missing_queries", "Sub", paddedQueries, sizes.queries));

    String columns = f.op("value_columns", "Add", sizes.valueDim, f.vector(1));
    String lead = f.concat("round_shape", 0, batches, heads);
    String stateShape = f.concat("state_shape", 0, lead, count, columns);
    String productsShape = f.concat("products_shape", 0, lead, count, f.vector(-1));
    String matrixShape = f.concat("products_matrix_shape", 0, count, f.vector(-1));
    String oneHead = f.asScalar("one_head_a_round", many);
    String weightsAsRows = f.unsqueeze("weights_as_rows", products.weights(), 1);
    // Without keys the denominator is epsilon, which may be 0, and the output is to be 0 all the same.
    String noKeys = f.op("keys_are_none", "Equal", sizes.keys, f.vector(0));
    String noKeysAtAll = noKeys;
    String carried = null;
    String carriedShape = before == null ? null : f.concat("carried_shape", 0, sizes.batch, sizes.heads, count, columns);
    if (before != null) {
      String begins = f.op("state_is_empty", "Equal", f.unsqueeze("state_size", f.op("state_numbers", "Size", before), 0), f.vector(0));
      noKeysAtAll = f.op("no_keys_at_all", "And", noKeys, begins);
      carried = f.choose(List.of("state_before"), FLOAT, begins,
          then -> List.of(then.op("first_state", "Expand", f.scalar(0f), carriedShape)),
          otherwise -> List.of(otherwise.op("given_state", "Identity", before))).get(0);
    }
    String earlier = carried;
    String floor = f.op("denominator_floor", "Where", noKeysAtAll, f.scalar(1f), epsilon);

    List<String> results = f.loop("round", rounds, List.of(), before == null ? List.of("rows") : List.of("rows", "states"), (b, round, none) -> {
      String batch = b.op("first_batch", "Div", round, sizes.heads);
      String head = b.op("first_head", "Sub", round, b.op("heads_before", "Mul", batch, sizes.heads));
      String starts = b.concat("round_start", 0, batch, head);
      String ends = b.op("round_end", "Add", starts, lead);
      String state = b.choose(List.of("state"), FLOAT, noKeys,
          then -> List.of(then.op("no_state", "Expand", f.scalar(0f), stateShape)),
          some -> {
            String noNumerators = some.op("zero_numerators", "Expand", f.scalar(0f), f.concat("numerators_shape", 0, lead, count, sizes.valueDim));
            String noDenominators = some.op("zero_denominators", "Expand", f.scalar(0f), f.concat("denominators_shape", 0, lead, count, f.vector(1)));
            ChunkValues chunkValues = values.build(some, starts, ends);
            Sides sides = products.sides(some, keyFeatures.build(some, starts, ends));
            List<String> sums = products.perProduct(some, List.of("numerator_state", "denominator_state"), productsShape, sides, (w, chunkProducts) ->
                w.loop("key_chunk", keyChunks, List.of(
                    new Carried("numerator_sum", FLOAT, noNumerators),
                    new Carried("denominator_sum", FLOAT, noDenominators)), List.of(), (c, i, sum) -> {
                  String begin = c.op("key_start", "Mul", keyChunk, i);
                  String end = c.op("key_end", "Add", begin, keyChunk);
                  String chunk = chunkProducts.build(c, begin, end);
                  return List.of(
                      c.op("next_numerators", "Add", sum.get(0), c.op("added_numerators", "MatMul", chunk, chunkValues.build(c, begin, end))),
                      c.op("next_denominators", "Add", sum.get(1), c.reduceSum("added_denominators", chunk, 3)));
                }));
            return List.of(some.concat("own_state", 3, sums.toArray(String[]::new)));
          }).get(0);
      String ownState = b.op("weighted_state", "Mul", state, weightsAsRows);
      String wholeState = earlier == null ? ownState
          : b.op("whole_state", "Add", b.slice("earlier_state", earlier, starts, ends, f.vector(0, 1)), ownState);
      Sides sides = products.sides(b, b.op("padded_query_features", "Pad", queryFeatures.build(b, starts, ends), padding));
      // Either there is one chunk or there is one head: [rounds, chunks, .., tokens, dv] has the rows in the tokens' order.
      String stacked = b.choose(List.of("stacked_rows"), FLOAT, oneHead,
          one -> {
            String numerators = one.op("numerator_matrix", "Reshape",
                one.slice("numerator_part", wholeState, f.vector(0), sizes.valueDim, f.vector(3)),
                f.concat("numerator_matrix_shape", 0, count, sizes.valueDim));
            String denominators = one.op("denominator_row", "Reshape",
                one.slice("denominator_part", wholeState, sizes.valueDim, columns, f.vector(3)),
                f.concat("denominator_row_shape", 0, f.vector(1), count));
            return products.perProduct(one, List.of("sums"), matrixShape, sides, (w, chunkProducts) ->
                w.loop("query_chunk", queryChunks, List.of(), List.of("chunk_rows"), (c, i, nothing) -> {
                  String begin = c.op("query_start", "Mul", queryChunk, i);
                  String chunk = chunkProducts.build(c, begin, c.op("query_end", "Add", begin, queryChunk));
                  String sums = c.op("numerator", "Gemm", List.of(FunctionBody.integer("transA", 1)), chunk, numerators);
                  String denominator = c.op("denominator", "Add", c.op("denominator_sum", "MatMul", denominators, chunk), floor);
                  return List.of(c.op("ratio", "Div", sums, c.op("denominator_column", "Reshape", denominator, f.vector(-1, 1))));
                }));
          },
          all -> {
            String contraction = all.transpose("state_columns", wholeState, 0, 1, 3, 2);
            return products.perProduct(all, List.of("sums"), productsShape, sides, (w, chunkProducts) -> {
              String sums = w.op("sums_of_all", "MatMul", contraction, chunkProducts.build(w, f.vector(0), queryChunk));
              String denominator = w.op("denominators", "Add", w.slice("denominator_rows", sums, sizes.valueDim, columns, f.vector(2)), floor);
              String numerator = w.slice("numerator_rows", sums, f.vector(0), sizes.valueDim, f.vector(2));
              return List.of(w.transpose("rows_of_all", w.op("ratios", "Div", numerator, denominator), 0, 1, 3, 2));
            });
          }).get(0);
      return earlier == null ? List.of(stacked) : List.of(stacked, wholeState);
    });
    String rows = f.op("padded_rows", "Reshape", results.get(0),
        f.concat("padded_rows_shape", 0, sizes.batch, sizes.heads, paddedQueries, sizes.valueDim));
    return new Result(rows, earlier == null ? null : f.op("all_states", "Reshape", results.get(1), carriedShape));
  }

  /** {@code ceil(a / b)} of int64, a not negative, b positive. */
  private String ceilDiv(FunctionBody b, String name, String dividend, String divisor) {
    String sum = b.op(name + "_sum", "Sub", b.op(name + "_above", "Add", dividend, divisor), f.scalar(1));
    return b.op(name, "Div", sum, divisor);
  }
}
