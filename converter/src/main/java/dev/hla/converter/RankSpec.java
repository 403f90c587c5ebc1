package dev.hla.converter;

import java.io.Serializable;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The ranks and powers of the factors of one attention, and how a user writes them: {@code 16,16} is two factors of rank
 * 16, {@code 8^2,3^2,1} a square of rank 8, one of rank 3 and a gate.
 *
 * @param ranks rank of each factor
 * @param powers power of each factor
 */
public record RankSpec(int[] ranks, int[] powers) implements Serializable {
  /** Most factors that the operator takes. */
  public static final int MAX_FACTORS = 8;
  /** Highest power of one factor. */
  public static final int MAX_POWER = 4;
  /** Highest sum of the powers of the factors of rank above 1. */
  public static final int MAX_DEGREE = 6;

  /** Checks the limits of the operator and keeps copies. */
  public RankSpec {
    ranks = ranks.clone();
    powers = powers.clone();
    if (ranks.length != powers.length) {
      throw new HlaException(ranks.length + " ranks but " + powers.length + " powers; each factor has one of each");
    }
    if (ranks.length == 0 || ranks.length > MAX_FACTORS) {
      throw new HlaException(ranks.length + " factors; 1 to " + MAX_FACTORS + " are possible");
    }
    long degree = 0;
    for (int f = 0; f < ranks.length; f++) {
      if (ranks[f] < 1) {
        throw new HlaException("rank " + ranks[f] + " of factor " + (f + 1) + "; a rank is 1 or more");
      }
      if (powers[f] < 1 || powers[f] > MAX_POWER) {
        throw new HlaException("power " + powers[f] + " of factor " + (f + 1) + "; a power is 1 to " + MAX_POWER);
      }
      degree += ranks[f] > 1 ? powers[f] : 0;
    }
    if (degree > MAX_DEGREE) {
      throw new HlaException(
          "powers of the factors of rank above 1 add up to " + degree + "; at most " + MAX_DEGREE + " are possible");
    }
    if (Arrays.stream(ranks).asLongStream().sum() > Integer.MAX_VALUE) {
      throw new HlaException("ranks add up to more than " + Integer.MAX_VALUE);
    }
  }

  /**
   * Reads a specification such as {@code 16,16}, {@code 16^2} or {@code 8^2,3^2,1}; blanks around numbers do not count.
   *
   * @throws HlaException if it is not one, or breaks a limit of the operator
   */
  public static RankSpec parse(String text) {
    String[] parts = text.split(",", -1);
    int[] ranks = new int[parts.length];
    int[] powers = new int[parts.length];
    for (int f = 0; f < parts.length; f++) {
      String[] numbers = parts[f].split("\\^", -1);
      if (numbers.length > 2) {
        throw unreadable(text, parts[f]);
      }
      ranks[f] = number(text, parts[f], numbers[0]);
      powers[f] = numbers.length == 2 ? number(text, parts[f], numbers[1]) : 1;
    }
    try {
      return new RankSpec(ranks, powers);
    } catch (HlaException e) {
      throw new HlaException("ranks \"" + SafeTensors.printable(text) + "\": " + e.getMessage(), e);
    }
  }

  private static int number(String text, String part, String digits) {
    String trimmed = digits.strip();
    // Nine digits fit an int; parseInt alone would take a sign and digits of other scripts.
    if (!trimmed.matches("[0-9]{1,9}")) {
      throw unreadable(text, part);
    }
    return Integer.parseInt(trimmed);
  }

  private static HlaException unreadable(String text, String part) {
    return new HlaException("ranks \"" + SafeTensors.printable(text) + "\": \"" + SafeTensors.printable(part.strip())
        + "\" is not a rank or rank^power; write for example 16,16 or 8^2,3^2,1");
  }

  /** R, the number of features. */
  public int width() {
    return Arrays.stream(ranks).sum();
  }

  /**
   * D, the number of products in the state: C(r + p - 1, p) monomials of a factor of rank r and power p, multiplied over
   * the factors. Infinite in effect where it does not fit: {@link Long#MAX_VALUE}.
   */
  public long products() {
    double estimate = 1;
    long products = 1;
    for (int f = 0; f < ranks.length; f++) {
      long monomials = 1;
      for (int i = 1; i <= powers[f]; i++) {
        estimate *= (ranks[f] + i - 1.0) / i;
        if (estimate > 1e15) {
          return Long.MAX_VALUE;
        }
        monomials = monomials * (ranks[f] + i - 1) / i;
      }
      products *= monomials;
    }
    return products;
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return IntStream.range(0, ranks.length)
        .mapToObj(f -> powers[f] == 1 ? "" + ranks[f] : ranks[f] + "^" + powers[f])
        .collect(Collectors.joining(","));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof RankSpec spec && Arrays.equals(ranks, spec.ranks) && Arrays.equals(powers, spec.powers);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(ranks) + Arrays.hashCode(powers);
  }
}
