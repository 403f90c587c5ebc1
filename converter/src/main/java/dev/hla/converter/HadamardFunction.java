package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;
import static dev.hla.converter.FunctionBody.Kind.INT64;

import dev.hla.converter.FunctionBody.Carried;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;
import java.util.function.BiFunction;

/**
 * The operators of domain ai.hla as model-local functions: plain ONNX that a runtime without the operator library
 * inlines and runs, and that a runtime with the library passes over for its kernel.
 *
 * <p>One body serves every rank and power, because a file may hold sites that differ in them and ONNX Runtime takes one
 * body for each name. So the body reads its attributes and makes its tables itself. With D monomials of all factors
 * together (see {@link #tables}) and X' the features of a chunk of tokens as [R, tokens]:
 *
 * <pre>
 *   products(X') [D, tokens]    row d is the product of the features in monomial d
 *   state = products(K') [v, 1]           [D, dv + 1], summed over chunks of keys
 *   [numerator, denominator] = (weights * state)^T products(Q')      [dv + 1, tokens], chunk by chunk of queries
 * </pre>
 *
 * <p>Tokens are the last axis of the products, so that a monomial is a product of contiguous rows whatever the ranks. A
 * chunk is small enough for its products to stay in a processor's cache; heads are taken one by one, or several at once
 * where tokens are few. Factors of rank 1 are gates: they multiply rows of [v, 1] and of the output and never enter the
 * products. Everything is computed in float.
 */
public final class HadamardFunction {
  /** Domain of the operators. */
  public static final String DOMAIN = "ai.hla";
  /** Version of the domain. */
  public static final long DOMAIN_VERSION = 1;
  /** Name of the core operator: features and values in, attention out. */
  public static final String CORE = "HadamardLinearAttention";
  /** The oldest ONNX opset in which the bodies can be written. */
  public static final long MIN_OPSET = 11;
  /** The oldest IR version that knows functions: a file that carries one must say this or more. */
  public static final long MIN_IR_VERSION = 8;

  /** Numbers in one chunk's products: 1 MB, so that they, their factors and the state share a core's cache. */
  private static final long CHUNK_NUMBERS = 1 << 18;
  private static final long MIN_CHUNK_TOKENS = 128;
  /** Numbers in the products of all heads up to which they are formed at once, to save rounds on short sequences. */
  private static final long TOGETHER_NUMBERS = 1 << 20;
  private static final long MAX_POWER = 4;
  /**
   * From here on a Constant takes numbers, not only tensors, and so can read an attribute. A function may say that it
   * speaks this version in a model of an older one: constants are no longer nodes when the model's version is imposed.
   */
  private static final long CONSTANT_OPSET = 12;
  /** From here on a value can be cast to the type of another, so that one body serves every type. */
  public static final long CAST_LIKE_OPSET = 15;
  /** From here on loops and branches return bfloat16. */
  private static final long BFLOAT16_LOOP_OPSET = 16;

  private final FunctionBody f;
  /** Type of the tensors; null if the body serves every type. */
  private final DataType type;
  /** Whether the output is cast round by round. */
  private final boolean castsEarly;

  private HadamardFunction(FunctionBody body, long opset, DataType type) {
    f = body;
    this.type = opset < CAST_LIKE_OPSET ? type : null;
    castsEarly = opset >= BFLOAT16_LOOP_OPSET;
  }

  /**
   * {@code ai.hla::HadamardLinearAttention} version 1: inputs query_features [B, H, N, R], key_features [B, H, M, R],
   * value [B, H, M, dv], output [B, H, N, dv], attributes ranks, powers, epsilon.
   *
   * @param opset the version of the ONNX operators that the model imports: ONNX Runtime inlines the body before it
   *     looks operators up, and then takes the model's version for them whatever the function says
   * @param type type of the tensors; from opset 15 on the body serves every type and this does not count
   * @throws HlaException if the opset is older than {@link #MIN_OPSET}
   */
  public static FunctionProto core(long opset, DataType type) {
    if (opset < MIN_OPSET) {
      throw new HlaException("opset " + opset + " cannot express " + DOMAIN + "::" + CORE + " as a function; it takes opset "
          + MIN_OPSET + " or newer: export the model with a newer opset");
    }
    FunctionBody body = new FunctionBody(opset, "query_features", "key_features", "value", "output");
    new HadamardFunction(body, opset, type).coreNodes();
    return FunctionProto.newBuilder()
        .setDomain(DOMAIN)
        .setName(CORE)
        .setDocString("Hadamard Linear Attention (arXiv 2602.12128): y[i] = sum_j A[i,j] v[j] / (sum_j A[i,j] + epsilon), "
            + "A[i,j] = prod_f <query factor f of i, key factor f of j> ^ powers[f]. Linear in the tokens.")
        .addInput("query_features").addInput("key_features").addInput("value")
        .addOutput("output")
        .addAttribute("ranks").addAttribute("powers").addAttribute("epsilon")
        .addAllNode(body.nodes())
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(Math.max(opset, CONSTANT_OPSET)))
        .build();
  }

  private void coreNodes() {
    Factors factors = factors(
        f.attribute("ranks", "value_ints", AttributeType.INTS), f.attribute("powers", "value_ints", AttributeType.INTS));
    Tables tables = tables(factors);
    String queryShape = f.op("query_shape", "Shape", "query_features");
    String valueShape = f.op("value_shape", "Shape", "value");
    Sizes sizes = new Sizes(
        f.dim("batch", queryShape, 0), f.dim("heads", queryShape, 1), f.dim("queries", queryShape, 2),
        f.dim("keys", valueShape, 2), f.dim("value_dim", valueShape, 3));
    String rows = attend(
        factors, tables, sizes, f.attribute("epsilon", "value_float", AttributeType.FLOAT), "query_features", "key_features", "value");
    f.result("output", "Reshape", List.of(), castsEarly ? rows : cast(f, rows, "value"),
        f.concat("output_shape", 0, sizes.batch, sizes.heads, sizes.queries, sizes.valueDim));
  }

  /** Sizes of the tensors, each a tensor of one element. */
  private record Sizes(String batch, String heads, String queries, String keys, String valueDim) {}

  /**
   * The factors, gates apart.
   *
   * @param count number of factors that enter the products, 0-dimensional
   * @param starts their first columns
   * @param ends the columns after their last
   * @param ranks their ranks
   * @param powers their powers
   * @param gateColumns columns that only multiply rows, each as often as its power says
   */
  private record Factors(String count, String starts, String ends, String ranks, String powers, String gateColumns) {}

  /**
   * Factors of rank above 1 enter the products; those of rank 1 are gates. Where all are of rank 1 the first one enters
   * the products, so that there is always one to begin with.
   */
  private Factors factors(String ranks, String powers) {
    String ends = f.op("ends", "CumSum", ranks, f.scalar(0));
    String starts = f.op("starts", "Sub", ends, ranks);
    String wide = f.op("is_wide", "Greater", ranks, f.scalar(1));
    String widest = f.op("widest", "ReduceMax", ranks);
    String noneWide = f.op("none_is_wide", "Equal", widest, f.vector(1));
    String first = f.op("is_first", "Equal", starts, f.scalar(0));
    String enters = f.op("enters", "Or", wide, f.op("first_enters", "And", first, noneWide));

    // One (factor, power) pair for each time a gate is to be multiplied.
    String repeated = f.op("gate_repeats", "Less",
        f.op("powers_below", "Range", f.scalar(0), f.scalar(MAX_POWER), f.scalar(1)), f.unsqueeze("powers_column", powers, 1));
    String gates = f.op("gate_mask", "And", repeated, f.unsqueeze("is_gate", f.op("stays_out", "Not", enters), 1));
    String gateFactors = f.gather("gate_factors", f.op("gate_pairs", "NonZero", gates), f.scalar(0), 0);
    String gateColumns = f.op("gate_columns", "Gather", starts, gateFactors);

    String factorRanks = f.op("factor_ranks", "Compress", List.of(FunctionBody.integer("axis", 0)), ranks, enters);
    return new Factors(
        f.op("factor_count", "Size", factorRanks),
        f.op("factor_starts", "Compress", List.of(FunctionBody.integer("axis", 0)), starts, enters),
        f.op("factor_ends", "Compress", List.of(FunctionBody.integer("axis", 0)), ends, enters),
        factorRanks,
        f.op("factor_powers", "Compress", List.of(FunctionBody.integer("axis", 0)), powers, enters),
        gateColumns);
  }

  /**
   * How to form the monomials of each factor degree by degree. A table belongs to a factor and a degree above 1; table t
   * is the part {@code bounds[t] .. bounds[t + 1]} of {@code parents} and {@code columns}.
   *
   * @param weights multinomial weight of each of the D products
   * @param parents the monomial of the degree below that each monomial extends
   * @param columns and the column that extends it
   * @param bounds where tables begin and end
   * @param offsets number of each factor's first table
   */
  private record Tables(String weights, String parents, String columns, String bounds, String offsets) {}

  /**
   * A factor of rank r and power p contributes the C(r + p - 1, p) monomials of degree p in its r features. They are
   * listed degree by degree: a monomial is extended by its last column and those after it, so each comes up once, its
   * columns in ascending order. A monomial with multiplicities n_c has the weight p! / prod_c n_c!, and when its last
   * column has come {@code run} times in a row, the step to degree s multiplies it by {@code s / run}.
   */
  private Tables tables(Factors factors) {
    String steps = f.op("factor_steps", "Sub", factors.powers, f.scalar(1));
    String offsets = f.op("factor_offsets", "Sub", f.op("factor_steps_sum", "CumSum", steps, f.scalar(0)), steps);
    // Entry 0 of the tables is nobody's: no tensor is ever empty, and bounds begins with 1.
    List<String> tables = f.loop("factor", factors.count, List.of(
        new Carried("weights", FLOAT, f.cast("one_weight", f.vector(1), DataType.FLOAT)),
        new Carried("parents", INT64, f.vector(0)),
        new Carried("columns", INT64, f.vector(0)),
        new Carried("bounds", INT64, f.vector(1))), List.of(), (b, k, before) -> {
          String rank = b.op("rank", "Gather", factors.ranks, k);
          String start = b.op("start", "Gather", factors.starts, k);
          String local = b.op("local_columns", "Range", f.scalar(0), rank, f.scalar(1));
          String ones = b.op("ones", "Expand", f.scalar(1), b.op("local_shape", "Shape", local));
          List<String> grown = b.loop("degree", b.op("steps", "Gather", steps, k), List.of(
              new Carried("last_column", INT64, local),
              new Carried("run", INT64, ones),
              new Carried("multinomial", FLOAT, b.cast("first_multinomial", ones, DataType.FLOAT)),
              new Carried("parents_so_far", INT64, before.get(1)),
              new Carried("columns_so_far", INT64, before.get(2)),
              new Carried("bounds_so_far", INT64, before.get(3))), List.of(), (d, step, state) -> {
                String passed = d.op("passed", "Greater", d.unsqueeze("last_as_rows", state.get(0), 1), local);
                String pairs = d.op("pairs", "NonZero", d.op("extends", "Not", passed));
                String parent = d.gather("parent", pairs, f.scalar(0), 0);
                String column = d.gather("column", pairs, f.scalar(1), 0);
                String repeats = d.op("repeats", "Equal", d.op("parent_column", "Gather", state.get(0), parent), column);
                String longer = d.op("longer_run", "Add", d.op("parent_run", "Gather", state.get(1), parent), f.scalar(1));
                String run = d.op("next_run", "Where", repeats, longer, f.scalar(1));
                String degree = d.cast("degree", d.op("degree_number", "Add", step, f.scalar(2)), DataType.FLOAT);
                String scaled = d.op("scaled", "Mul", d.op("parent_multinomial", "Gather", state.get(2), parent), degree);
                String multinomial = d.op("next_multinomial", "Div", scaled, d.cast("run_float", run, DataType.FLOAT));
                String parents = d.concat("next_parents", 0, state.get(3), parent);
                return List.of(column, run, multinomial, parents,
                    d.concat("next_columns", 0, state.get(4), d.op("absolute_column", "Add", column, start)),
                    d.concat("next_bounds", 0, state.get(5), d.op("next_bound", "Shape", parents)));
              });
          String weights = b.op("weights_outer", "Mul", b.unsqueeze("weights_as_rows", before.get(0), 1), grown.get(2));
          return List.of(
              b.op("next_weights", "Reshape", weights, f.vector(-1)), grown.get(3), grown.get(4), grown.get(5));
        });
    return new Tables(tables.get(0), tables.get(1), tables.get(2), tables.get(3), offsets);
  }

  /**
   * The operator itself, in float: [.., N, dv] whose rows are in the output's order, from query [B, H, N, R], key
   * [B, H, M, R] and value [B, H, M, dv].
   *
   * <p>One round takes one head, or all heads of all batches where tokens are few. The chunks of queries are of one size,
   * as values stacked by a loop must be: the last one begins early enough to end with the last token, and what it has in
   * common with the one before is dropped.
   */
  private String attend(
      Factors factors, Tables tables, Sizes sizes, String epsilon, String query, String key, String value) {
    String products = f.op("products_vector", "Shape", tables.weights);
    String tokens = f.larger("most_tokens", sizes.queries, f.larger("some_keys", sizes.keys, f.vector(1)));
    String headNumbers = f.op("head_numbers", "Mul", tokens, products);
    String groups = f.op("groups", "Mul", sizes.batch, sizes.heads);
    String many = f.op("all_is_much", "Greater", f.op("all_numbers", "Mul", groups, headNumbers), f.vector(TOGETHER_NUMBERS));
    String batches = f.op("round_batches", "Where", many, f.vector(1), sizes.batch);
    String heads = f.op("round_heads", "Where", many, f.vector(1), sizes.heads);
    String rounds = f.asScalar("rounds", f.op("rounds_vector", "Where", many, groups, f.vector(1)));

    String fitting = f.larger("fitting_tokens", f.op("fitting", "Div", f.vector(CHUNK_NUMBERS), products), f.vector(MIN_CHUNK_TOKENS));
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
    String stateShape = f.concat("state_shape", 0, lead, products, columns);
    String productsShape = f.concat("products_shape", 0, lead, products, f.vector(-1));
    String stackedShape = f.concat("stacked_shape", 0, lead, f.vector(-1), columns);
    String weightsAsRows = f.unsqueeze("weights_as_rows", tables.weights, 1);
    // Without keys the denominator is epsilon, which may be 0, and the output is to be 0 all the same.
    String noKeys = f.op("keys_are_none", "Equal", sizes.keys, f.vector(0));
    String floor = f.op("denominator_floor", "Where", noKeys, f.scalar(1f), epsilon);
    Last last = last(factors, tables);

    return f.loop("round", rounds, List.of(), List.of("rows"), (b, round, none) -> {
      String batch = b.op("first_batch", "Div", round, sizes.heads);
      String head = b.op("first_head", "Sub", round, b.op("heads_before", "Mul", batch, sizes.heads));
      String starts = b.concat("round_start", 0, batch, head);
      String ends = b.op("round_end", "Add", starts, lead);
      String state = b.choose(List.of("state"), FLOAT, noKeys,
          then -> List.of(then.op("no_state", "Expand", f.scalar(0f), stateShape)),
          some -> {
            String ones = some.op("ones_column", "Expand", f.scalar(1f), f.concat("ones_shape", 0, lead, sizes.keys, f.vector(1)));
            String zeros = some.op("zero_state", "Expand", f.scalar(0f), stateShape);
            Sides sides = sides(some, factors, tables, last, columns(some, "key", key, starts, ends));
            return perProduct(some, "state", last, productsShape, sides, (w, chunkProducts) ->
                w.loop("key_chunk", keyChunks, List.of(new Carried("state_sum", FLOAT, zeros)), List.of(), (c, i, sum) -> {
                  String begin = c.op("key_start", "Mul", keyChunk, i);
                  String end = c.op("key_end", "Add", begin, keyChunk);
                  String rows = c.slice("value_rows", value,
                      c.concat("value_start", 0, starts, begin), c.concat("value_end", 0, ends, end), f.vector(0, 1, 2));
                  String values = c.concat("values_and_one", 3,
                      c.cast("value_float", rows, DataType.FLOAT), c.slice("chunk_ones", ones, begin, end, f.vector(2)));
                  String added = c.op("added_state", "MatMul", chunkProducts.build(c, begin, end), values);
                  return List.of(c.op("next_state", "Add", sum.get(0), added));
                }).get(0));
          }).get(0);
      String contraction = b.transpose("state_columns", b.op("weighted_state", "Mul", state, weightsAsRows), 0, 1, 3, 2);
      Sides sides = sides(b, factors, tables, last, columns(b, "query", query, starts, ends));
      String stacked = perProduct(b, "sums", last, productsShape, sides, (w, chunkProducts) ->
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
      String all = castsEarly ? cast(b, floats, value) : floats;
      return b.choose(List.of("round_output"), null, overlaps,
          then -> List.of(then.concat("kept_rows", 2,
              then.slice("rows_before_overlap", all, f.vector(0, 0), f.concat("before_end", 0, overlapStart, sizes.valueDim), f.vector(2, 3)),
              then.slice("rows_after_overlap", all, f.concat("after_start", 0, overlapEnd, f.vector(0)),
                  f.concat("after_end", 0, stackedQueries, sizes.valueDim), f.vector(2, 3)))),
          otherwise -> List.of(otherwise.slice("rows_without_denominator", all, f.vector(0), sizes.valueDim, f.vector(3))));
    }).get(0);
  }

  /** Casts from float to the type of {@code like}. */
  private String cast(FunctionBody b, String x, String like) {
    return type == null ? b.op("output_cast", "CastLike", x, like) : b.cast("output_cast", x, type);
  }

  /** Features of a round's heads as columns: [.., R, tokens] in float. */
  private String columns(FunctionBody b, String name, String features, String starts, String ends) {
    String rows = b.slice(name + "_rows", features, starts, ends, f.vector(0, 1));
    return b.transpose(name + "_columns", b.cast(name + "_float", rows, DataType.FLOAT), 0, 1, 3, 2);
  }

  /**
   * The last multiplication that makes products, over the most numbers by far.
   *
   * @param factor number of the last factor
   * @param byTable whether there is one factor, of a power above 1, and its last step is that multiplication; else every
   *     number of one side is multiplied by every number of the other
   * @param parents table of that step
   * @param columns table of that step
   */
  private record Last(String factor, String byTable, String parents, String columns) {}

  private Last last(Factors factors, Tables tables) {
    String factor = f.op("last_factor", "Sub", factors.count, f.scalar(1));
    String steps = f.op("steps_count", "Sub", f.op("bounds_count", "Size", tables.bounds), f.scalar(1));
    String alone = f.op("one_factor", "Equal", factor, f.scalar(0));
    String begin = f.op("last_table_start", "Gather", tables.bounds,
        f.larger("last_table", f.op("last_step", "Sub", f.unsqueeze("steps_count_vector", steps, 0), f.vector(1)), f.vector(0)));
    String end = f.vector(Long.MAX_VALUE);
    return new Last(
        factor,
        f.op("by_table", "And", alone, f.op("several_steps", "Greater", steps, f.scalar(0))),
        f.slice("last_parents", tables.parents, begin, end, f.vector(0)),
        f.slice("last_columns", tables.columns, begin, end, f.vector(0)));
  }

  /**
   * The two operands of the last multiplication, for all tokens of a round: [.., few, tokens] each. Gates are in
   * {@code left}.
   */
  private record Sides(String left, String right) {}

  private Sides sides(FunctionBody b, Factors factors, Tables tables, Last last, String features) {
    String shape = b.op("features_shape", "Shape", features);
    String tokens = b.dim("features_tokens", shape, 3);
    String one = b.op("ones_row", "Expand", f.scalar(1f), b.concat(
        "row_shape", 0, b.dim("features_batches", shape, 0), b.dim("features_heads", shape, 1), f.vector(1), tokens));
    List<String> sides = b.choose(List.of("left_side", "right_side"), FLOAT, last.byTable,
        t -> List.of(monomials(t, factors, tables, features, f.scalar(0), f.scalar(2)), t.op("extensions", "Identity", features)),
        e -> {
          String before = e.loop("product", last.factor, List.of(new Carried("left_products", FLOAT, one)), List.of(), (c, i, product) -> {
            String next = monomials(c, factors, tables, features, i, f.scalar(1));
            String outer = c.op("outer_products", "Mul",
                c.unsqueeze("products_as_rows", product.get(0), 3), c.unsqueeze("monomials_as_columns", next, 2));
            return List.of(c.op("next_products", "Reshape", outer, c.concat("outer_shape", 0, f.vector(0, 0, -1), tokens)));
          }).get(0);
          return List.of(before, monomials(e, factors, tables, features, last.factor, f.scalar(1)));
        });
    String gates = b.concat("gates", 2, one, b.gather("gate_rows", features, factors.gateColumns, 2));
    return new Sides(b.op("gated_side", "Mul", sides.get(0), b.reduceProduct("gate", gates, 2)), sides.get(1));
  }

  /** Forms the products [.., D, chunk] of the tokens {@code begin .. end}. */
  @FunctionalInterface
  private interface ChunkProducts {
    String build(FunctionBody chunk, String begin, String end);
  }

  /**
   * Builds {@code work} twice, once for each form of the last multiplication, and chooses outside of its loop: a nested
   * graph costs ONNX Runtime about as much as a chunk's multiplication.
   */
  private List<String> perProduct(
      FunctionBody b, String name, Last last, String productsShape, Sides sides, BiFunction<FunctionBody, ChunkProducts, String> work) {
    return b.choose(List.of(name + "_by_product"), FLOAT, last.byTable,
        t -> List.of(work.apply(t, (c, begin, end) -> c.op("products", "Mul",
            c.gather("shorter", c.slice("left_chunk", sides.left, begin, end, f.vector(3)), last.parents, 2),
            c.gather("extension", c.slice("right_chunk", sides.right, begin, end, f.vector(3)), last.columns, 2)))),
        e -> {
          String left = e.unsqueeze("left_as_rows", sides.left, 3);
          String right = e.unsqueeze("right_as_columns", sides.right, 2);
          return List.of(work.apply(e, (c, begin, end) -> c.op("products", "Reshape", c.op("all_pairs", "Mul",
              c.slice("left_chunk", left, begin, end, f.vector(4)), c.slice("right_chunk", right, begin, end, f.vector(4))), productsShape)));
        });
  }

  /**
   * Monomials [.., C(r + n - 1, n), tokens] of factor {@code k}, without their weights; their degree n is the power of the
   * factor plus 1 less {@code missing}.
   */
  private String monomials(FunctionBody b, Factors factors, Tables tables, String features, String k, String missing) {
    String index = b.unsqueeze("factor_index", k, 0);
    String first = b.slice("factor_rows", features,
        b.op("factor_start", "Gather", factors.starts, index), b.op("factor_end", "Gather", factors.ends, index), f.vector(2));
    String steps = b.op("monomial_steps", "Sub", b.op("factor_power", "Gather", factors.powers, k), missing);
    String offset = b.op("factor_offset", "Gather", tables.offsets, index);
    return b.loop("monomial", steps, List.of(new Carried("monomials", FLOAT, first)), List.of(), (c, i, monomials) -> {
      String table = c.op("table", "Add", offset, i);
      String begin = c.op("table_start", "Gather", tables.bounds, table);
      String end = c.op("table_end", "Gather", tables.bounds, c.op("next_table", "Add", table, f.scalar(1)));
      String parents = c.slice("table_parents", tables.parents, begin, end, f.vector(0));
      String columns = c.slice("table_columns", tables.columns, begin, end, f.vector(0));
      return List.of(c.op("next_monomials", "Mul",
          c.gather("shorter_monomials", monomials.get(0), parents, 2), c.gather("extending_columns", features, columns, 2)));
    }).get(0);
  }

  /** {@code ceil(a / b)} of int64, a not negative, b positive. */
  private String ceilDiv(FunctionBody b, String name, String dividend, String divisor) {
    String sum = b.op(name + "_sum", "Sub", b.op(name + "_above", "Add", dividend, divisor), f.scalar(1));
    return b.op(name, "Div", sum, divisor);
  }
}
