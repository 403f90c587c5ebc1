package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;

import dev.hla.converter.FunctionBody.Carried;
import dev.hla.converter.ProductNodes.Sides;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;

/**
 * The nodes of the attention itself, round by round and chunk by chunk.
 *
 * <pre>
 *   state = products(K) [v, 1]           [D, dv + 1], summed over chunks of keys
 *   [numerator, denominator] = (weights * state)^T products(Q)      [dv + 1, tokens], chunk by chunk of queries
 * </pre>
 */
final class AttentionNodes {
  /** Numbers in one chunk's products: 1 MB, so that they, their factors and the state share a core's cache. */
  private static final long CHUNK_NUMBERS = 1 << 18;
  private static final long MIN_CHUNK_TOKENS = 128;
  /** Numbers in the products of all heads up to which they are formed at once, to save rounds on short sequences. */
  private static final long TOGETHER_NUMBERS = 1 << 20;
  /** From here on loops and branches return bfloat16. */
  private static final long BFLOAT16_LOOP_OPSET = 16;

  private final FunctionBody f;
  private final ProductNodes products;
  private final Sizes sizes;
  /** Type of the output; null if it is that of an input. */
  private final DataType type;
  /** Whether the output is cast round by round. */
  private final boolean castsEarly;

  AttentionNodes(FunctionBody body, ProductNodes products, Sizes sizes, long opset, DataType type) {
    f = body;
    this.products = products;
    this.sizes = sizes;
    this.type = type;
    castsEarly = opset >= BFLOAT16_LOOP_OPSET;
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
   * @param rows [.., N, dv], rows in the order of [B, H, N]; in float or already in the output's type, see
   *     {@link #inOutputType}
   * @param state [B, H, D, dv + 1] in float, weighted; null without a state to begin with
   */
  record Result(String rows, String state) {}

  /**
   * The operator itself.
   *
   * <p>One round takes one head, or all heads of all batches where tokens are few. The chunks of queries are of one size,
   * as values stacked by a loop must be: the last one begins early enough to end with the last token, and what it has in
   * common with the one before is dropped.
   *
   * @param epsilon a 0-dimensional float
   * @param before the state that stands for earlier keys, [B, H, D, dv + 1] in float or without any numbers; or null
   * @param like a tensor of the output's type
   */
  Result attend(
      String epsilon, Features queryFeatures, Features keyFeatures, Values values, String before, String like) {
    String count = f.op("products_vector", "Shape", products.weights());
    String tokens = f.larger("most_tokens", sizes.queries, f.larger("some_keys", sizes.keys, f.vector(1)));
    String headNumbers = f.op("head_numbers", "Mul", tokens, count);
    String groups = f.op("groups", "Mul", sizes.batch, sizes.heads);
    String many = f.op("all_is_much", "Greater", f.op("all_numbers", "Mul", groups, headNumbers), f.vector(TOGETHER_NUMBERS));
    String batches = f.op("round_batches", "Where", many, f.vector(1), sizes.batch);
    String heads = f.op("round_heads", "Where", many, f.vector(1), sizes.heads);
    String rounds = f.asScalar("rounds", f.op("rounds_vector", "Where", many, groups, f.vector(1)));

    String fitting = f.larger("fitting_tokens", f.op("fitting", "Div", f.vector(CHUNK_NUMBERS), count), f.vector(MIN_CHUNK_TOKENS));
    String keyChunk = f.op("key_chunk_tokens", "Where", many, fitting, tokens);
    String keyChunks = f.asScalar("key_chunks", ceilDiv(f, "key_chunks_vector", sizes.keys, keyChunk));
    String queryChunksVector = ceilDiv(f, "query_chunks_vector", sizes.queries, f.op("query_chunk_limit", "Where", many, fitting, tokens));
    String queryChunks = f.asScalar("query_chunks", queryChunksVector);
    String queryChunk = ceilDiv(f, "query_chunk_tokens", sizes.queries, queryChunksVector);
    String lastQueryStart = f.op("last_query_start", "Sub", sizes.queries, queryChunk);
    String stackedQueries = f.op("stacked_queries", "Mul", queryChunk, queryChunksVector);
    String overlap = f.op("overlap", "Sub", stackedQueries, sizes.queries);
    String overlapStart = f.op("overlap_start", "Sub", stackedQueries, queryChunk);
    String overlapEnd = f.op("overlap_end", "Add", overlapStart, overlap);
    String overlaps = f.asScalar("overlaps", f.op("overlaps_vector", "Greater", overlap, f.vector(0)));

    String columns = f.op("value_columns", "Add", sizes.valueDim, f.vector(1));
    String lead = f.concat("round_shape", 0, batches, heads);
    String stateShape = f.concat("state_shape", 0, lead, count, columns);
    String productsShape = f.concat("products_shape", 0, lead, count, f.vector(-1));
    String stackedShape = f.concat("stacked_shape", 0, lead, f.vector(-1), columns);
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
            String ones = some.op("ones_column", "Expand", f.scalar(1f), f.concat("ones_shape", 0, lead, sizes.keys, f.vector(1)));
            String zeros = some.op("zero_state", "Expand", f.scalar(0f), stateShape);
            ChunkValues chunkValues = values.build(some, starts, ends);
            Sides sides = products.sides(some, keyFeatures.build(some, starts, ends));
            return products.perProduct(some, "state", productsShape, sides, (w, chunkProducts) ->
                w.loop("key_chunk", keyChunks, List.of(new Carried("state_sum", FLOAT, zeros)), List.of(), (c, i, sum) -> {
                  String begin = c.op("key_start", "Mul", keyChunk, i);
                  String end = c.op("key_end", "Add", begin, keyChunk);
                  String valuesAndOne = c.concat("values_and_one", 3,
                      chunkValues.build(c, begin, end), c.slice("chunk_ones", ones, begin, end, f.vector(2)));
                  String added = c.op("added_state", "MatMul", chunkProducts.build(c, begin, end), valuesAndOne);
                  return List.of(c.op("next_state", "Add", sum.get(0), added));
                }).get(0));
          }).get(0);
      String ownState = b.op("weighted_state", "Mul", state, weightsAsRows);
      String wholeState = earlier == null ? ownState
          : b.op("whole_state", "Add", b.slice("earlier_state", earlier, starts, ends, f.vector(0, 1)), ownState);
      String contraction = b.transpose("state_columns", wholeState, 0, 1, 3, 2);
      Sides sides = products.sides(b, queryFeatures.build(b, starts, ends));
      String stacked = products.perProduct(b, "sums", productsShape, sides, (w, chunkProducts) ->
          w.loop("query_chunk", queryChunks, List.of(), List.of("chunk_sums"), (c, i, nothing) -> {
            String begin = c.smaller("query_start", c.op("next_query_start", "Mul", queryChunk, i), lastQueryStart);
            String end = c.op("query_end", "Add", begin, queryChunk);
            String sums = c.op("chunk_columns", "MatMul", contraction, chunkProducts.build(c, begin, end));
            String denominator = c.op("denominator", "Add", c.slice("denominator_row", sums, sizes.valueDim, columns, f.vector(2)), floor);
            // The denominator's own quotient goes along: dropping it here would copy all others once more.
            return List.of(c.transpose("chunk_rows", c.op("ratio", "Div", sums, denominator), 0, 1, 3, 2));
          }).get(0)).get(0);
      // Either there is one chunk or there is one head: [chunks, .., tokens, dv + 1] has the rows in the tokens' order.
      String floats = b.op("stacked_rows", "Reshape", stacked, stackedShape);
      String all = castsEarly ? cast(b, floats, like) : floats;
      String rows = b.choose(List.of("round_output"), null, overlaps,
          then -> List.of(then.concat("kept_rows", 2,
              then.slice("rows_before_overlap", all,
                  f.vector(0, 0), f.concat("before_end", 0, overlapStart, sizes.valueDim), f.vector(2, 3)),
              then.slice("rows_after_overlap", all, f.concat("after_start", 0, overlapEnd, f.vector(0)),
                  f.concat("after_end", 0, stackedQueries, sizes.valueDim), f.vector(2, 3)))),
          otherwise -> List.of(otherwise.slice("rows_without_denominator", all, f.vector(0), sizes.valueDim, f.vector(3)))).get(0);
      return earlier == null ? List.of(rows) : List.of(rows, wholeState);
    });
    return new Result(results.get(0), earlier == null ? null : f.op("all_states", "Reshape", results.get(1), carriedShape));
  }

  /** What {@link #attend} returned, in whatever shape, in the type of {@code like}. */
  String inOutputType(String rows, String like) {
    return castsEarly ? rows : cast(f, rows, like);
  }

  /** Casts from float to the type of {@code like}. */
  private String cast(FunctionBody b, String x, String like) {
    return type == null ? b.op("output_cast", "CastLike", x, like) : b.cast("output_cast", x, type);
  }

  /** {@code ceil(a / b)} of int64, a not negative, b positive. */
  private String ceilDiv(FunctionBody b, String name, String dividend, String divisor) {
    String sum = b.op(name + "_sum", "Sub", b.op(name + "_above", "Add", dividend, divisor), f.scalar(1));
    return b.op(name, "Div", sum, divisor);
  }
}
