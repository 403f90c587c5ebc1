package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;
import static dev.hla.converter.FunctionBody.Kind.INT64;

import dev.hla.converter.FunctionBody.Carried;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;
import java.util.function.BiFunction;

/**
 * The nodes that make the products of features: the tables of monomials of each factor, and the products [D, tokens] of a
 * chunk of tokens, whose row d is the product of the features in monomial d. Tokens are the last axis, so that a monomial
 * is a product of contiguous rows whatever the ranks.
 */
final class ProductNodes {
  private static final long MAX_POWER = RankSpec.MAX_POWER;

  private final FunctionBody f;
  private final Factors factors;
  private final Tables tables;
  private final Last last;

  /** Adds the nodes that make the tables, from {@code ranks} and {@code powers}, two 1-dimensional int64 tensors. */
  ProductNodes(FunctionBody body, String ranks, String powers) {
    f = body;
    factors = factors(ranks, powers);
    tables = tables();
    last = last();
  }

  /** Multinomial weight [D] of each product. */
  String weights() {
    return tables.weights;
  }

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
  private Tables tables() {
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
   * The last multiplication that makes products, over the most numbers by far.
   *
   * @param factor number of the last factor
   * @param byTable whether there is one factor, of a power above 1, and its last step is that multiplication; else every
   *     number of one side is multiplied by every number of the other
   * @param parents table of that step
   * @param columns table of that step
   */
  private record Last(String factor, String byTable, String parents, String columns) {}

  private Last last() {
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
  record Sides(String left, String right) {}

  Sides sides(FunctionBody b, String features) {
    String shape = b.op("features_shape", "Shape", features);
    String tokens = b.dim("features_tokens", shape, 3);
    String one = b.op("ones_row", "Expand", f.scalar(1f), b.concat(
        "row_shape", 0, b.dim("features_batches", shape, 0), b.dim("features_heads", shape, 1), f.vector(1), tokens));
    List<String> sides = b.choose(List.of("left_side", "right_side"), FLOAT, last.byTable,
        t -> List.of(monomials(t, features, f.scalar(0), f.scalar(2)), t.op("extensions", "Identity", features)),
        e -> {
          String before = e.loop("product", last.factor, List.of(new Carried("left_products", FLOAT, one)), List.of(), (c, i, product) -> {
            String next = monomials(c, features, i, f.scalar(1));
            String outer = c.op("outer_products", "Mul",
                c.unsqueeze("products_as_rows", product.get(0), 3), c.unsqueeze("monomials_as_columns", next, 2));
            return List.of(c.op("next_products", "Reshape", outer, c.concat("outer_shape", 0, f.vector(0, 0, -1), tokens)));
          }).get(0);
          return List.of(before, monomials(e, features, last.factor, f.scalar(1)));
        });
    String gates = b.concat("gates", 2, one, b.gather("gate_rows", features, factors.gateColumns, 2));
    return new Sides(b.op("gated_side", "Mul", sides.get(0), b.reduceProduct("gate", gates, 2)), sides.get(1));
  }

  /** Forms the products [.., D, chunk] of the tokens {@code begin .. end}. */
  @FunctionalInterface
  interface ChunkProducts {
    String build(FunctionBody chunk, String begin, String end);
  }

  /**
   * Builds {@code work} twice, once for each form of the last multiplication, and chooses outside of its loop: a nested
   * graph costs ONNX Runtime about as much as a chunk's multiplication.
   *
   * @param names of what {@code work} returns
   * @param productsShape shape that the products of a chunk are to have
   */
  List<String> perProduct(
      FunctionBody b, List<String> names, String productsShape, Sides sides,
      BiFunction<FunctionBody, ChunkProducts, List<String>> work) {
    return b.choose(names, FLOAT, last.byTable,
        t -> work.apply(t, (c, begin, end) -> c.op("products", "Reshape", c.op("extended", "Mul",
            c.gather("shorter", c.slice("left_chunk", sides.left, begin, end, f.vector(3)), last.parents, 2),
            c.gather("extension", c.slice("right_chunk", sides.right, begin, end, f.vector(3)), last.columns, 2)), productsShape)),
        e -> {
          String left = e.unsqueeze("left_as_rows", sides.left, 3);
          String right = e.unsqueeze("right_as_columns", sides.right, 2);
          return work.apply(e, (c, begin, end) -> c.op("products", "Reshape", c.op("all_pairs", "Mul",
              c.slice("left_chunk", left, begin, end, f.vector(4)),
              c.slice("right_chunk", right, begin, end, f.vector(4))), productsShape));
        });
  }

  /**
   * Monomials [.., C(r + n - 1, n), tokens] of factor {@code k}, without their weights; their degree n is the power of the
   * factor plus 1 less {@code missing}.
   */
  private String monomials(FunctionBody b, String features, String k, String missing) {
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
}
