package dev.hla.converter;

import dev.hla.converter.FunctionBody.Kind;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The nodes that cut the tokens of a head into chunks, and the chunks into groups.
 *
 * <p>A chunk is one matrix product of a batch, short enough that the rows of its products do not meet in one set of a
 * cache; a group is what is formed at once. Where the tokens have fitting divisors, chunks are views of the tensors, and
 * nothing is copied. Where they have none, the last group is filled with features of 0.
 */
final class ChunkNodes {
  /** Tokens in a chunk. */
  private static final long MOST_TOKENS = 512;
  private static final long LEAST_TOKENS = 64;
  private static final long MOST_CHUNKS = 4;
  /** Numbers in a group's products: 4 MB, and less where they are fewer than 512 a token, so that the caches hold them. */
  private static final long GROUP_NUMBERS = 1 << 20;

  /** What the shapes of a head's views are made of, for queries or keys; from ZERO on it is the same for both. */
  private enum Number {
    /** 1 where nothing is filled, else 0. */
    EXACT,
    TOKENS,
    CHUNKS,
    TOKENS_OF_CHUNK,
    GROUPS,
    CHUNKS_OF_GROUP,
    /** Tokens that fill the last group. */
    MISSING,
    ZERO,
    /** -1, which in a shape stands for what is left. */
    REST,
    PRODUCTS,
    VALUE_DIM
  }

  /** What a {@link Head} takes, in the order of its fields. */
  private static final List<List<Number>> FOR_HEAD = List.of(
      List.of(Number.EXACT),
      List.of(Number.TOKENS),
      List.of(Number.VALUE_DIM),
      List.of(Number.ZERO, Number.ZERO, Number.MISSING, Number.ZERO),
      List.of(Number.CHUNKS, Number.TOKENS_OF_CHUNK, Number.REST),
      List.of(Number.GROUPS, Number.CHUNKS_OF_GROUP, Number.TOKENS_OF_CHUNK, Number.REST),
      List.of(Number.GROUPS, Number.CHUNKS_OF_GROUP, Number.REST, Number.TOKENS_OF_CHUNK),
      List.of(Number.CHUNKS_OF_GROUP, Number.PRODUCTS, Number.TOKENS_OF_CHUNK));

  private ChunkNodes() {}

  /**
   * What the scan of the heads is to be given for the {@link Head} of the queries and then for that of the keys, each repeated
   * for every head. As inputs of its body they last: ONNX Runtime 1.17 forgets that an outer value, or one of the body itself, is
   * still needed when only nested branches need it.
   *
   * @param heads a tensor of one element, as are the others
   * @param queries their number
   * @param keys their number; either may be 0
   * @param products D
   * @param valueDim dv
   * @return int64 tensors [heads, ..]
   */
  static List<String> forHeads(FunctionBody b, String heads, String queries, String keys, String products, String valueDim) {
    String same = b.op("same_numbers", "Expand", b.concat("common_numbers", 0, b.vector(0, -1), products, valueDim), b.vector(2, 1));
    String width = b.larger("group_width", products, valueDim);
    String table = b.concat("chunk_numbers", 1, Stream.concat(chunks(b, b.unsqueeze("tokens_of_sides", b.concat("tokens_of_both", 0, queries, keys), 1), width).stream(),
        Stream.of(same)).toArray(String[]::new));
    long[] numbers = FOR_HEAD.stream().flatMap(List::stream).mapToLong(Number::ordinal).toArray();
    String row = b.op("numbers_for_head", "Reshape", b.gather("numbers_of_sides", table, b.table("which_numbers", numbers), 1), b.vector(1, -1));
    String rows = b.op("numbers_for_heads", "Expand", row, b.concat("numbers_for_heads_shape", 0, heads, b.vector(1)));
    long[] sizes = Stream.concat(FOR_HEAD.stream(), FOR_HEAD.stream()).mapToLong(List::size).toArray();
    return b.split("for_heads", rows, 1, sizes);
  }

  /**
   * The numbers before {@link Number#ZERO}, in order.
   *
   * @param tokens of both sides, [2, 1], as is each number
   * @param width of the widest rows of a group
   */
  private static List<String> chunks(FunctionBody b, String tokens, String width) {
    String some = b.larger("some_tokens", tokens, b.vector(1));
    String divisor = largestDivisor(b, "tokens", some, MOST_TOKENS, null);
    String fits = b.op("tokens_fit", "Or", b.op("are_few", "Equal", divisor, some), b.op("are_enough", "Greater", divisor, b.vector(LEAST_TOKENS - 1)));
    String tokensOfChunk = b.op("chunk_tokens", "Where", fits, divisor, b.vector(MOST_TOKENS));
    String all = b.ceilDiv("chunks", some, tokensOfChunk);
    String fitting = b.larger("chunk_limit",
        b.op("chunks_that_fit", "Div", b.vector(GROUP_NUMBERS), b.op("numbers_of_chunk", "Mul", tokensOfChunk, width)), b.vector(1));
    String limit = b.op("most_chunks", "Where", b.op("fit_all", "Less", fitting, b.vector(MOST_CHUNKS)), fitting, b.vector(MOST_CHUNKS));
    String dividing = largestDivisor(b, "chunks", all, MOST_CHUNKS, limit);
    String even = b.ceilDiv("even_chunks", all, b.ceilDiv("even_groups", all, limit));
    // Twice as many groups are less work than a copy of the values.
    String divides = b.op("chunks_divide", "Greater", b.op("chunks_twice", "Add", dividing, dividing), b.op("even_less_one", "Sub", even, b.vector(1)));
    String isExact = b.op("are_exact", "And", b.op("there_are_some", "Equal", tokens, some), b.op("all_fit", "And", fits, divides));
    String chunksOfGroup = b.op("group_chunks", "Where", isExact, dividing, even);
    String groups = b.ceilDiv("groups", all, chunksOfGroup);
    String chunks = b.op("padded_chunks", "Mul", groups, chunksOfGroup);
    String missing = b.op("missing_tokens", "Sub", b.op("padded_tokens", "Mul", chunks, tokensOfChunk), tokens);
    return List.of(b.cast("exact_number", isExact, DataType.INT64), tokens, chunks, tokensOfChunk, groups, chunksOfGroup, missing);
  }

  /**
   * The largest number up to {@code most} and {@code limit} that divides {@code number}.
   *
   * @param number [.., 1]
   * @param limit of the same shape, or null
   * @return a tensor of the same shape
   */
  static String largestDivisor(FunctionBody b, String name, String number, long most, String limit) {
    String candidates = b.op(name + "_candidates", "Range", b.scalar(1), b.scalar(most + 1), b.scalar(1));
    String divides = b.op(name + "_divide", "Equal", b.op(name + "_rest", "Mod", number, candidates), b.vector(0));
    if (limit != null) {
      divides = b.op(name + "_divide_and_fit", "And", divides, b.op(name + "_fit", "Not", b.op(name + "_too_many", "Greater", candidates, limit)));
    }
    return b.reduceMax(name + "_largest", b.op(name + "_divisors", "Where", divides, candidates, b.vector(1)), -1);
  }

  /** Views of the tensors of one head. */
  static final class Head {
    /** How many tensors it takes. */
    static final int NUMBER = FOR_HEAD.size();

    private final String exact;
    private final String tokens;
    private final String valueDim;
    private final String padding;
    private final String matrices;
    private final String rowGroups;
    private final String grouped;
    private final String productShape;
    private final String ones;

    /**
     * @param b the body that takes a head
     * @param given its slices of what {@link ChunkNodes#forHeads} gave
     */
    Head(FunctionBody b, List<String> given) {
      exact = b.asScalar("exact", b.cast("is_exact", given.get(0), DataType.BOOL));
      tokens = given.get(1);
      valueDim = given.get(2);
      padding = given.get(3);
      matrices = given.get(4);
      rowGroups = given.get(5);
      grouped = given.get(6);
      productShape = given.get(7);
      ones = b.op("ones_of_chunks", "Expand", b.scalar(1f), b.concat("ones_of_chunks_shape", 0, b.vector(1), b.dim("chunks_of_group", productShape, 0)));
    }

    /** dv, a tensor of one element. */
    String valueDim() {
      return valueDim;
    }

    /** Shape of a group's products, [chunks, D, tokens]. */
    String productShape() {
      return productShape;
    }

    /**
     * Features as [chunks, R, tokens of a chunk].
     *
     * @param rows what they are made of, [tokens, columns]
     * @param features makes features [tokens, R] of all rows: zeros are appended to these, not to what they are made of
     * @param cut makes features [chunks, R, tokens of a chunk] of rows that are cut into chunks
     */
    String columns(FunctionBody b, String name, String rows, BiFunction<FunctionBody, String, String> features, BiFunction<FunctionBody, String, String> cut) {
      return b.choose(List.of(name + "_columns"), Kind.FLOAT, exact,
          then -> List.of(cut.apply(then, then.op(name + "_chunks", "Reshape", rows, matrices))),
          otherwise -> List.of(otherwise.transpose(name + "_padded_columns", otherwise.op(
              name + "_padded_chunks", "Reshape", padded(otherwise, name, features.apply(otherwise, rows)), matrices), 0, 2, 1))).get(0);
    }

    /** Rows [tokens, columns], padded to whole groups. */
    private String padded(FunctionBody b, String name, String rows) {
      return b.op(name + "_padded", "Pad", rows, padding);
    }

    /** Columns [chunks, rows, tokens of a chunk] as [groups, chunks of a group, rows, tokens of a chunk]: a view. */
    String groups(FunctionBody b, String name, String columns) {
      return b.op(name, "Reshape", columns, grouped);
    }

    /**
     * Builds {@code work} on rows [tokens, columns] as [groups, chunks of a group, tokens of a chunk, columns].
     *
     * @param names of what {@code work} returns
     */
    List<String> onRows(FunctionBody b, List<String> names, String rows, BiFunction<FunctionBody, String, List<String>> work) {
      return b.choose(names, Kind.FLOAT, exact,
          then -> work.apply(then, then.op("row_groups", "Reshape", rows, rowGroups)),
          otherwise -> work.apply(otherwise, otherwise.op("padded_row_groups", "Reshape", padded(otherwise, "rows", rows), rowGroups)));
    }

    /**
     * What {@code work} gives for padded tokens, [groups, chunks, tokens of a chunk, columns], in a shape of as many axes that has
     * the head's tokens alone. Where nothing is padded it is written where it belongs.
     */
    String rows(FunctionBody b, Function<FunctionBody, String> work) {
      return b.choose(List.of("rows_of_head"), Kind.FLOAT, exact, then -> List.of(work.apply(then)), otherwise -> {
        String rows = otherwise.op("padded_rows", "Reshape", work.apply(otherwise), otherwise.concat("padded_rows_shape", 0, b.vector(1, 1, -1), valueDim));
        return List.of(otherwise.slice("cut_rows", rows, b.vector(0), tokens, b.vector(2)));
      }).get(0);
    }

    /** Sum [1, numbers] over the chunks of a group. A ReduceSum takes two to three times as long (256 products, 4 chunks: 6.2 and 2.9 ms in 48 groups). */
    String sum(FunctionBody b, String ofChunks) {
      return b.op("sum_of_chunks", "MatMul", ones, b.op("numbers_of_chunks", "Reshape", ofChunks, b.vector(0, -1)));
    }
  }
}
