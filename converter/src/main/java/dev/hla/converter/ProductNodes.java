package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;
import static dev.hla.converter.FunctionBody.Kind.INT64;

import dev.hla.converter.FunctionBody.Carried;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;

/**
 * The nodes that make the products of features: the tables of monomials of each factor, and the products [L, D, tokens] of
 * L heads or chunks of tokens, whose row d is the product of the features in monomial d. Tokens are the last axis, so that a monomial
 * is a product of contiguous rows whatever the ranks.
 */
final class ProductNodes {
  private static final long MAX_POWER = RankSpec.MAX_POWER;

  private final FunctionBody f;
  private final String count;
  private final Factors factors;
  private final Tables tables;
  private final Last last;

  /** Adds the nodes that make the tables, from {@code ranks} and {@code powers}, two 1-dimensional int64 tensors. */
  ProductNodes(FunctionBody body, String ranks, String powers) {
    f = body;
    count = count(ranks, powers);
    factors = factors(ranks, powers);
    tables = tables();
    last = last(f.reduceSum("feature_count", ranks, 0));
  }

  /** D, a tensor of one element. */
  String count() {
    return count;
  }

  /** The product over the factors of C(r + p - 1, p), from ranks and powers alone, so that ONNX Runtime folds it. */
  private String count(String ranks, String powers) {
    String steps = f.op("power_steps", "Range", f.scalar(0), f.scalar(MAX_POWER), f.scalar(1));
    String within = f.op("within_power", "Less", steps, f.unsqueeze("powers_as_rows", powers, 1));
    String above = f.op("above", "Where", within, f.op("rank_and_step", "Add", f.unsqueeze("ranks_as_rows", ranks, 1), steps), f.scalar(1));
    String below = f.op("below", "Where", within, f.op("step_and_one", "Add", steps, f.scalar(1)), f.scalar(1));
    String monomials = f.op("monomial_counts", "Div", f.reduceProduct("above_product", above, 1), f.reduceProduct("below_product", below, 1));
    return f.op("product_count", "Reshape", f.reduceProduct("monomials_product", monomials, 0), f.vector(-1));
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
   * @param alone whether a single one enters the products
   * @param noGates whether all enter the products
   * @param largestPower of those that enter the products
   */
  private record Factors(
      String count, String starts, String ends, String ranks, String powers, String gateColumns, String alone, String noGates,
      String largestPower) {}

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

    // What follows from these is known before the first run, as ONNX Runtime folds them; Compress and NonZero it does not.
    String entering = f.cast("entering", enters, DataType.INT64);
    String number = f.reduceSum("entering_count", entering, 0);

    String factorRanks = f.op("factor_ranks", "Compress", List.of(FunctionBody.integer("axis", 0)), ranks, enters);
    return new Factors(
        f.op("factor_count", "Size", factorRanks),
        f.op("factor_starts", "Compress", List.of(FunctionBody.integer("axis", 0)), starts, enters),
        f.op("factor_ends", "Compress", List.of(FunctionBody.integer("axis", 0)), ends, enters),
        factorRanks,
        f.op("factor_powers", "Compress", List.of(FunctionBody.integer("axis", 0)), powers, enters),
        gateColumns,
        f.op("one_factor", "Equal", f.op("entering_now", "Shape", factorRanks), f.vector(1)),
        f.op("no_gates", "Equal", f.op("gates_now", "Shape", gateColumns), f.vector(0)),
        f.op("largest_power", "ReduceMax", f.op("entering_powers", "Mul", powers, entering)));
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
   * The last multiplication that makes products, over the most numbers by far. Which one follows from ranks and powers
   * alone, without the tables: so a runtime that folds constants knows it before the first run and drops the others.
   *
   * @param factor number of the last factor
   * @param none whether there is none: one factor of power 1 and no gate, whose features are the products
   * @param byTable whether there is one factor, of a power above 1, and its last step is that multiplication
   * @param ofFeatures whether it is the only step, and there is no gate: both its operands are the features
   * @param parents table of that step
   * @param columns table of that step
   * @param pairs its entries as places in a matrix of shorter monomials and features
   */
  private record Last(String factor, String none, String byTable, String ofFeatures, String ungated, String parents, String columns, String pairs) {}

  private Last last(String featureCount) {
    String tables = f.op("bounds_count", "Size", this.tables.bounds);
    String begin = f.op("last_table_start", "Gather", this.tables.bounds, f.larger("last_table",
        f.op("last_step", "Sub", f.unsqueeze("bounds_count_vector", tables, 0), f.vector(2)), f.vector(0)));
    String end = f.vector(Long.MAX_VALUE);
    String byTable = f.op("by_table_alone", "And", factors.alone, f.op("several_steps", "Greater", factors.largestPower, f.vector(1)));
    String linear = f.op("linear", "And", factors.alone, f.op("power_is_1", "Equal", factors.largestPower, f.vector(1)));
    String parents = f.slice("last_parents", this.tables.parents, begin, end, f.vector(0));
    String columns = f.slice("last_columns", this.tables.columns, begin, end, f.vector(0));
    // No version folds a Loop, or what comes of one.
    String late = f.op("there_are_products", "Greater", f.op("count_of_table", "Shape", this.tables.weights), f.vector(0));
    String none = f.op("products_are_features", "And", linear, factors.noGates);
    return new Last(
        f.op("last_factor", "Sub", factors.count, f.scalar(1)),
        f.op("none_at_all", "And", none, late), f.op("by_table", "And", byTable, late),
        f.op("of_features", "And", f.op("one_step", "And", byTable, f.op("power_is_2", "Equal", factors.largestPower, f.vector(2))), f.op("ungated_late", "And", factors.noGates, late)),
        f.op("ungated", "And", factors.noGates, late),
        parents, columns, f.op("last_pairs", "Add", f.op("last_parent_rows", "Mul", parents, featureCount), columns));
  }

  /** Whether the products are the features themselves: a bool tensor of one element. */
  String areFeatures() {
    return last.none;
  }

  /**
   * The operands of the last multiplication: [L, few, tokens] each, L some heads or chunks of tokens. Gates are in
   * {@code left}. A table's right operand is {@code features}, and both where it is the only step: whatever passes
   * through an If is copied, so {@code left} and {@code right} are a row of no meaning then.
   */
  record Sides(String left, String right, String features) {
    static final int NUMBER = 3;

    /** The first {@link #NUMBER} of a list, in order. */
    static Sides of(List<String> all) {
      return new Sides(all.get(0), all.get(1), all.get(2));
    }

    List<String> all() {
      return List.of(left, right, features);
    }
  }

  /**
   * The operands for features [L, R, tokens].
   *
   * <p>No condition here is known before the run, although it follows from attributes: ONNX Runtime takes the place of an If
   * whose condition it knows by the nodes of a branch, and where that is nested it crashes (1.30) or forgets inputs (1.17).
   */
  Sides sides(FunctionBody b, String features) {
    String shape = b.op("features_shape", "Shape", features);
    String tokens = b.dim("features_tokens", shape, 2);
    String one = b.op("ones_row", "Expand", f.scalar(1f), b.concat("row_shape", 0, b.dim("features_lead", shape, 0), f.vector(1), tokens));
    List<String> sides = b.choose(List.of("left_side", "right_side"), FLOAT, last.byTable,
        table -> {
          String row = table.slice("row_of_no_meaning", features, f.vector(0), f.vector(1), f.vector(1));
          String left = table.choose(List.of("shorter_monomials_side"), FLOAT, last.ofFeatures,
              whole -> List.of(whole.op("another_row", "Identity", row)),
              steps -> List.of(monomials(steps, features, f.scalar(0), f.scalar(2)))).get(0);
          return List.of(left, row);
        },
        several -> {
          String before = several.loop("product", last.factor, List.of(new Carried("left_products", FLOAT, one)), List.of(), (c, i, product) -> {
            String next = monomials(c, features, i, f.scalar(1));
            String outer = c.op("outer_products", "Mul",
                c.unsqueeze("products_as_rows", product.get(0), 2), c.unsqueeze("monomials_as_columns", next, 1));
            return List.of(c.op("next_products", "Reshape", outer, c.concat("outer_shape", 0, f.vector(0, -1), tokens)));
          }).get(0);
          return List.of(before, monomials(several, features, last.factor, f.scalar(1)));
        });
    String left = b.choose(List.of("gated_side"), FLOAT, last.ungated,
        ungated -> List.of(ungated.op("ungated_side", "Identity", sides.get(0))),
        gated -> List.of(gated.op("side_and_gates", "Mul", sides.get(0),
            gated.reduceProduct("gate", gated.gather("gate_rows", features, factors.gateColumns, 1), 1)))).get(0);
    return new Sides(left, sides.get(1), features);
  }

  /** Makes something of the operands of the last multiplication, [.., few, tokens] each. */
  @FunctionalInterface
  private interface OfOperands {
    String build(FunctionBody body, String left, String right);
  }

  /**
   * What becomes of the operands.
   *
   * @param byTable where products are those of rows that a table names
   * @param ofAll where they are those of all pairs of rows
   */
  private String ofOperands(FunctionBody b, String name, Sides sides, OfOperands byTable, OfOperands ofAll) {
    return b.choose(List.of(name), FLOAT, last.byTable,
        table -> table.choose(List.of(name + "_by_table"), FLOAT, last.ofFeatures,
            whole -> List.of(byTable.build(whole, sides.features, sides.features)),
            steps -> List.of(byTable.build(steps, sides.left, sides.features))),
        several -> List.of(ofAll.build(several, sides.left, sides.right))).get(0);
  }

  /**
   * The products.
   *
   * @param shape [L, D, tokens], at most one of them -1
   */
  String multiply(FunctionBody b, Sides sides, String shape) {
    String products = ofOperands(b, "products", sides,
        (t, left, right) -> t.op("by_table", "Mul", t.gather("shorter", left, last.parents, 1), t.gather("extension", right, last.columns, 1)),
        (s, left, right) -> s.op("all_pairs", "Mul", s.unsqueeze("left_as_rows", left, 2), s.unsqueeze("right_as_columns", right, 1)));
    // Not inside: what leaves an If through a Reshape is copied.
    return b.op("products_in_rows", "Reshape", products, shape);
  }

  /** Their sums over the tokens, [L, D, 1]: a small product of the operands, so that they are not all read again. */
  String sums(FunctionBody b, Sides sides) {
    String sums = ofOperands(b, "product_sums", sides, (t, left, right) -> t.gather("sums_by_table", pairSums(t, left, right), last.pairs, 1), this::pairSums);
    return b.unsqueeze("sums_in_column", sums, 2);
  }

  private String pairSums(FunctionBody b, String left, String right) {
    return b.op("pair_sums", "Reshape", b.op("pair_sums_as_matrix", "MatMul", left, b.transpose("right_in_rows", right, 0, 2, 1)), f.vector(0, -1));
  }

  /**
   * Sums over the products, each times its number in a state; the products are not formed for it.
   *
   * @param column of the state, [L or 1, D, 1]
   * @return [L, 1, tokens]
   */
  String totals(FunctionBody b, Sides sides, String column) {
    return ofOperands(b, "totals", sides,
        (t, left, right) -> {
          // The column as a matrix of shorter monomials and features, 0 where the table has no such product.
          String lead = t.dim("state_lead", t.op("state_column_shape", "Shape", column), 0);
          String rows = rows(t, "left", left);
          String columns = rows(t, "right", right);
          String numbers = t.op("state_row", "Reshape", column, f.vector(0, -1));
          String zeros = t.op("empty_matrix", "Expand", f.scalar(0f), t.concat("empty_matrix_shape", 0, lead, t.op("pair_count", "Mul", rows, columns)));
          String places = t.op("state_places", "Expand", last.pairs, t.op("state_row_shape", "Shape", numbers));
          String filled = t.op("filled_matrix", "ScatterElements", List.of(FunctionBody.integer("axis", 1)), zeros, places, numbers);
          return totals(t, left, right, t.op("state_matrix", "Reshape", filled, t.concat("state_matrix_shape", 0, lead, rows, columns)));
        },
        (s, left, right) -> totals(s, left, right, s.op("state_matrix_of_all", "Reshape", column, s.concat("matrix_of_all_shape", 0, f.vector(0, -1), rows(s, "right", right)))));
  }

  private static String rows(FunctionBody b, String name, String side) {
    return b.dim(name + "_rows", b.op(name + "_shape", "Shape", side), 1);
  }

  private static String totals(FunctionBody b, String left, String right, String matrix) {
    return b.reduceSum("total", b.op("weighed", "Mul", left, b.op("weighed_right", "MatMul", matrix, right)), 1);
  }

  /**
   * Monomials [L, C(r + n - 1, n), tokens] of factor {@code k}, without their weights; their degree n is the power of the
   * factor plus 1 less {@code missing}.
   */
  private String monomials(FunctionBody b, String features, String k, String missing) {
    String index = b.unsqueeze("factor_index", k, 0);
    String first = b.slice("factor_rows", features,
        b.op("factor_start", "Gather", factors.starts, index), b.op("factor_end", "Gather", factors.ends, index), f.vector(1));
    String steps = b.op("monomial_steps", "Sub", b.op("factor_power", "Gather", factors.powers, k), missing);
    String offset = b.op("factor_offset", "Gather", tables.offsets, index);
    return b.loop("monomial", steps, List.of(new Carried("monomials", FLOAT, first)), List.of(), (c, i, monomials) -> {
      String table = c.op("table", "Add", offset, i);
      String begin = c.op("table_start", "Gather", tables.bounds, table);
      String end = c.op("table_end", "Gather", tables.bounds, c.op("next_table", "Add", table, f.scalar(1)));
      String parents = c.slice("table_parents", tables.parents, begin, end, f.vector(0));
      String columns = c.slice("table_columns", tables.columns, begin, end, f.vector(0));
      return List.of(c.op("next_monomials", "Mul",
          c.gather("shorter_monomials", monomials.get(0), parents, 1), c.gather("extending_columns", features, columns, 1)));
    }).get(0);
  }
}
