package dev.hla.converter;

import static dev.hla.converter.FunctionBody.Kind.FLOAT;

import dev.hla.converter.Formation.Way;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The nodes that make the products of features [L, D, tokens] of L heads or chunks of tokens, whose row d is the product of
 * the features in monomial d. Tokens are the last axis, so that a monomial is a product of contiguous rows whatever the
 * ranks.
 */
final class ProductNodes {
  private final FunctionBody f;
  /** Those whose features are not the products. */
  private final Variants<Formation> formed;

  ProductNodes(FunctionBody body, Variants<Formation> variants) {
    f = body;
    formed = variants.where(each -> each.way() != Way.FEATURES);
  }

  /** Multinomial weights of the products, [D]; null where all are 1. */
  String weights() {
    return formed.any(each -> !each.unweighted()) ? formed.reals("weights", Formation::weights) : null;
  }

  /**
   * The operands of the last multiplication: [L, few, tokens] each, L some heads or chunks of tokens. Those that no node of
   * the file needs are null; those that this node does not need have no meaning. Gates are in {@code left}, a table's right
   * operand is {@code features}, and of a square both: whatever passes through an If is copied.
   *
   * @param divided whether {@code left} has been divided, and is there for squares, too
   */
  record Sides(String left, String right, String features, boolean divided) {
    /** Those that are there, in order. */
    List<String> all() {
      return Stream.of(left, right, features).filter(Objects::nonNull).toList();
    }

    /** Others in their place. */
    Sides with(List<String> others) {
      Iterator<String> next = others.iterator();
      return new Sides(left == null ? null : next.next(), right == null ? null : next.next(), features == null ? null : next.next(), divided);
    }
  }

  /** The operands for features [L, R, tokens]. */
  Sides sides(FunctionBody b, String features) {
    boolean anyLeft = formed.any(each -> each.way() != Way.SQUARE);
    boolean anyRight = formed.any(each -> each.way() == Way.PAIRS);
    List<String> sides = !anyLeft ? List.of() : formed.choose(b, anyRight ? List.of("left_side", "right_side") : List.of("left_side"), FLOAT,
        Formation::structure, (e, variants) -> {
          List<String> both = new ArrayList<>(Arrays.asList(left(e, features, variants), right(e, features, variants)));
          both.replaceAll(side -> side != null ? side : e.slice("row_of_no_meaning", features, f.vector(0), f.vector(1), f.vector(1)));
          return both.subList(0, anyRight ? 2 : 1);
        });
    return new Sides(anyLeft ? sides.get(0) : null, anyRight ? sides.get(1) : null, formed.any(each -> each.way() != Way.PAIRS) ? features : null, false);
  }

  /** The same, every product divided by the number of its token. */
  Sides divided(FunctionBody b, Sides sides, String divisors) {
    String left = formed.choose(b, List.of("divided_side"), FLOAT, each -> each.way() == Way.SQUARE, (e, variants) ->
        List.of(e.op("quotients", "Div", variants.example().way() == Way.SQUARE ? sides.features : sides.left, divisors))).get(0);
    return new Sides(left, sides.right, sides.features, true);
  }

  /** Of variants of one structure. */
  private String left(FunctionBody b, String features, Variants<Formation> variants) {
    Formation example = variants.example();
    String left = null;
    if (example.way() == Way.TABLE) {
      left = monomials(b, features, variants, 0, example.last().degree() - 1);
    }
    for (int factor = 0; factor < example.factors().size() - 1; factor++) {
      String next = monomials(b, features, variants, factor, example.factors().get(factor).degree());
      if (left != null) {
        int last = factor;
        next = b.op("products_so_far", "Reshape", pairs(b, left, next), variants.numbers("products_so_far_shape",
            each -> new long[] {0, each.factors().subList(0, last + 1).stream().mapToLong(Monomials::count).reduce(1, (x, y) -> x * y), -1}));
      }
      left = next;
    }
    return gated(b, left, features, variants);
  }

  private String gated(FunctionBody b, String left, String features, Variants<Formation> variants) {
    List<Integer> gates = variants.example().gates();
    if (gates.isEmpty()) {
      return left;
    }
    String rows = b.gather("gate_rows", features, variants.numbers("gates", each -> each.gates().stream().mapToLong(Integer::longValue).toArray()), 1);
    String gate = gates.size() == 1 ? rows : b.reduceProduct("gate", rows, 1);
    return left == null ? gate : b.op("side_and_gates", "Mul", left, gate);
  }

  private String right(FunctionBody b, String features, Variants<Formation> variants) {
    Formation example = variants.example();
    return example.way() == Way.PAIRS ? monomials(b, features, variants, example.factors().size() - 1, example.last().degree()) : null;
  }

  /** Monomials [L, C(r + degree - 1, degree), tokens] of one factor, without their weights. */
  private String monomials(FunctionBody b, String features, Variants<Formation> variants, int factor, int degree) {
    Function<Formation, Monomials> of = each -> each.factors().get(factor);
    String monomials = !variants.any(each -> of.apply(each).rank() != each.width()) ? features
        : b.slice("factor_rows", features, variants.number("factor_start", each -> of.apply(each).first()),
            variants.number("factor_end", each -> of.apply(each).first() + of.apply(each).rank()), f.vector(1));
    for (int d = 2; d <= degree; d++) {
      int next = d;
      monomials = extended(b, "next_monomials", monomials, features, variants.map(each -> of.apply(each).ofDegree(next)));
    }
    return monomials;
  }

  /** Monomials of the degree below, each with the columns that extend it. */
  private static String extended(FunctionBody b, String name, String shorter, String features, Variants<Monomials> variants) {
    return b.op(name, "Mul", b.gather("shorter", shorter, variants.numbers("parents", Monomials::parents), 1),
        b.gather("extension", features, variants.numbers("columns", each -> each.columns(each.degree() - 1)), 1));
  }

  private static String pairs(FunctionBody b, String left, String right) {
    return b.op("all_pairs", "Mul", b.unsqueeze("left_as_rows", left, 2), b.unsqueeze("right_as_columns", right, 1));
  }

  /** Makes something of the operands of the last multiplication, [.., few, tokens] each, for some variants of one way. */
  @FunctionalInterface
  private interface OfOperands {
    String build(FunctionBody body, String left, String right, Variants<Formation> variants);
  }

  /**
   * What becomes of the operands.
   *
   * @param byTable where products are those of rows that a table names
   * @param ofAll where they are those of all pairs of rows
   */
  private String ofOperands(FunctionBody b, String name, Sides sides, OfOperands byTable, OfOperands ofAll) {
    return formed.choose(b, List.of(name), FLOAT, Formation::way, (e, variants) -> List.of(switch (variants.example().way()) {
      case SQUARE -> byTable.build(e, sides.divided ? sides.left : sides.features, sides.features, variants);
      case TABLE -> byTable.build(e, sides.left, sides.features, variants);
      default -> ofAll.build(e, sides.left, sides.right, variants);
    })).get(0);
  }

  /**
   * The products.
   *
   * @param shape [L, D, tokens], at most one of them -1
   */
  String multiply(FunctionBody b, Sides sides, String shape) {
    String products = ofOperands(b, "products", sides,
        (t, left, right, variants) -> extended(t, "by_table", left, right, variants.map(Formation::last)), (s, left, right, variants) -> pairs(s, left, right));
    // Not inside: what leaves an If through a Reshape is copied.
    return b.op("products_in_rows", "Reshape", products, shape);
  }

  /** Their sums over the tokens, [L, D, 1]: a small product of the operands, so that they are not all read again. */
  String sums(FunctionBody b, Sides sides) {
    String sums = ofOperands(b, "product_sums", sides,
        (t, left, right, variants) -> t.gather("sums_by_table", pairSums(t, left, right), variants.numbers("table_places", ProductNodes::places), 1),
        (s, left, right, variants) -> pairSums(s, left, right));
    return b.unsqueeze("sums_in_column", sums, 2);
  }

  private String pairSums(FunctionBody b, String left, String right) {
    return b.op("pair_sums", "Reshape", b.op("pair_sums_as_matrix", "MatMul", left, b.transpose("right_in_rows", right, 0, 2, 1)), f.vector(0, -1));
  }

  /** Place of each product of a table in the matrix of shorter monomials and features, row by row. */
  private static long[] places(Formation each) {
    long[] places = each.last().parents();
    long[] columns = each.last().columns(each.last().degree() - 1);
    for (int i = 0; i < places.length; i++) {
      places[i] = places[i] * each.width() + columns[i];
    }
    return places;
  }

  /** For each place in that matrix its product; D where the table has none. */
  private static long[] productsAtPlaces(Formation each) {
    long[] products = new long[each.last().ofDegree(each.last().degree() - 1).count() * each.width()];
    Arrays.fill(products, each.count());
    long[] places = places(each);
    for (int i = 0; i < places.length; i++) {
      products[(int) places[i]] = i;
    }
    return products;
  }

  /**
   * Sums over the products, each times its number in a state; the products are not formed for it.
   *
   * @param column of the state, [L or 1, D, 1]
   * @return [L, 1, tokens]
   */
  String totals(FunctionBody b, Sides sides, String column) {
    return ofOperands(b, "totals", sides,
        (t, left, right, variants) -> {
          // One 0 more, for places without a product.
          String numbers = t.op("column_and_zero", "Pad", column, f.vector(0, 0, 0, 0, 1, 0));
          String matrix = t.gather("state_at_places", numbers, variants.numbers("places_of_table", ProductNodes::productsAtPlaces), 1);
          return totals(t, left, right, t.op("state_matrix", "Reshape", matrix, variants.numbers("state_matrix_shape", each -> new long[] {0, -1, each.width()})));
        },
        (s, left, right, variants) -> totals(s, left, right, s.op("state_matrix_of_all", "Reshape", column,
            variants.numbers("matrix_of_all_shape", each -> new long[] {0, -1, each.last().count()}))));
  }

  private static String totals(FunctionBody b, String left, String right, String matrix) {
    return b.reduceSum("total", b.op("weighed", "Mul", left, b.op("weighed_right", "MatMul", matrix, right)), 1);
  }
}
