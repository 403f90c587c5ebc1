package dev.hla.converter;

import java.util.ArrayList;
import java.util.List;

/**
 * The monomials of one degree in the features of one factor, as the columns they multiply: each choice of columns once,
 * columns ascending, choices in lexicographic order.
 *
 * @param first first column of the factor
 * @param rank how many it has
 * @param choices columns of each monomial
 */
public record Monomials(int first, int rank, List<int[]> choices) {
  /**
   * The C(rank + degree - 1, degree) monomials in the columns {@code first .. first + rank}.
   *
   * @param degree 1 or more
   */
  public static Monomials of(int first, int rank, int degree) {
    List<int[]> choices = new ArrayList<>();
    extend(first, first + rank, new int[degree], 0, choices);
    return new Monomials(first, rank, choices);
  }

  private static void extend(int from, int to, int[] chosen, int filled, List<int[]> into) {
    if (filled == chosen.length) {
      into.add(chosen.clone());
      return;
    }
    for (int column = from; column < to; column++) {
      chosen[filled] = column;
      extend(column, to, chosen, filled + 1, into);
    }
  }

  /** Those of another degree of the same factor. */
  Monomials ofDegree(int degree) {
    return of(first, rank, degree);
  }

  /** How many there are. */
  public int count() {
    return choices.size();
  }

  /** Degree of all of them. */
  public int degree() {
    return choices.get(0).length;
  }

  /** The column that each multiplies at one place of 0 .. degree. */
  public long[] columns(int place) {
    return choices.stream().mapToLong(choice -> choice[place]).toArray();
  }

  /** For each the number of that of the degree below which all its columns but the last make. */
  long[] parents() {
    long[] parents = new long[count()];
    for (int i = 1; i < parents.length; i++) {
      int[] before = choices.get(i - 1);
      int[] choice = choices.get(i);
      int same = 0;
      while (same < choice.length - 1 && choice[same] == before[same]) {
        same++;
      }
      parents[i] = parents[i - 1] + (same < choice.length - 1 ? 1 : 0);
    }
    return parents;
  }

  /** In how many orders the columns of one can be chosen: p! over the factorials of their multiplicities. */
  float orders(int monomial) {
    int[] choice = choices.get(monomial);
    float orders = 1;
    int run = 0;
    for (int i = 0; i < choice.length; i++) {
      run = i > 0 && choice[i] == choice[i - 1] ? run + 1 : 1;
      orders = orders * (i + 1) / run;
    }
    return orders;
  }
}
