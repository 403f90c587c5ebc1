package dev.hla.converter;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How products are formed of the features of given ranks and powers. Factors of rank above 1 enter the products; those of
 * rank 1 are gates, which multiply them. Where all are of rank 1 the first one enters, so that there is always one to begin
 * with.
 *
 * @param width R, the number of features
 * @param factors monomials of each factor that enters, their degree its power
 * @param gates column of each gate, as often as its power says
 */
public record Formation(int width, List<Monomials> factors, List<Integer> gates) {
  /** Most products that are written down one by one. */
  private static final long MAX_PRODUCTS = 1 << 20;

  /** What the last multiplication, which is over the most numbers by far, multiplies. */
  enum Way {
    /** Nothing: one factor of power 1 and no gate, whose features are the products. */
    FEATURES,
    /** Pairs of features: one factor of power 2 and no gate. */
    SQUARE,
    /** Shorter monomials with features, by a table: one factor of a power above 1. */
    TABLE,
    /** Each product of the factors before, or the gates alone, with each monomial of the last factor. */
    PAIRS
  }

  /** What the nodes that form products depend on: formations that agree in it differ only in numbers. */
  record Structure(Way way, List<Integer> powers, boolean gated, boolean severalGates) {}

  /**
   * How the products of a spec are formed.
   *
   * @throws HlaException if they are more than plain nodes can list
   */
  public static Formation of(RankSpec spec) {
    if (spec.products() > MAX_PRODUCTS) {
      throw new HlaException("ranks " + spec + " make " + spec.products() + " products; plain nodes, and the function that every converted file has, take "
          + MAX_PRODUCTS + " at most: use smaller ranks or powers");
    }
    List<Monomials> factors = new ArrayList<>();
    List<Integer> gates = new ArrayList<>();
    int[] ranks = spec.ranks();
    int first = 0;
    for (int f = 0; f < ranks.length; f++) {
      if (ranks[f] > 1) {
        factors.add(Monomials.of(first, ranks[f], spec.powers()[f]));
      } else {
        for (int i = 0; i < spec.powers()[f]; i++) {
          gates.add(first);
        }
      }
      first += ranks[f];
    }
    if (factors.isEmpty()) {
      factors.add(Monomials.of(gates.remove(0), 1, 1));
    }
    return new Formation(spec.width(), factors, gates);
  }

  /** D, the number of products. */
  public int count() {
    return factors.stream().mapToInt(Monomials::count).reduce(1, (a, b) -> a * b);
  }

  /** The columns that each of the D products multiplies, gates first. */
  public List<int[]> products() {
    List<int[]> products = List.of(gates.stream().mapToInt(Integer::intValue).toArray());
    for (Monomials factor : factors) {
      products = products.stream().flatMap(before -> factor.choices().stream().map(choice ->
          IntStream.concat(Arrays.stream(before), Arrays.stream(choice)).toArray())).toList();
    }
    return products;
  }

  /** Multinomial weight of each of the D products. */
  public float[] weights() {
    float[] weights = {1};
    for (Monomials factor : factors) {
      float[] next = new float[weights.length * factor.count()];
      for (int i = 0; i < next.length; i++) {
        next[i] = weights[i / factor.count()] * factor.orders(i % factor.count());
      }
      weights = next;
    }
    return weights;
  }

  /** Whether all weights are 1. */
  boolean unweighted() {
    return factors.stream().allMatch(factor -> factor.degree() == 1);
  }

  Way way() {
    int power = last().degree();
    if (factors.size() > 1 || power == 1) {
      return factors.size() == 1 && gates.isEmpty() ? Way.FEATURES : Way.PAIRS;
    }
    return power == 2 && gates.isEmpty() ? Way.SQUARE : Way.TABLE;
  }

  Structure structure() {
    return new Structure(way(), factors.stream().map(Monomials::degree).toList(), !gates.isEmpty(), gates.size() > 1);
  }

  Monomials last() {
    return factors.get(factors.size() - 1);
  }
}
