package dev.hla.converter;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A dimension of a tensor, or an integer computed from dimensions: a polynomial with integer coefficients in named
 * symbols, each of which stands for an unknown size of at least 1. What is no polynomial (a division that leaves a
 * rest) becomes a symbol of its own that spells the expression out, so that equal expressions stay equal.
 */
public final class Dim {
  /** Symbols that begin with this stand for sizes that nothing in the file names. */
  private static final String UNNAMED = "?";

  /** No exporter writes sizes this long; a hostile file could double an expression at every node. */
  private static final int LONGEST = 256;
  private static final int MOST_TERMS = 32;

  /** Coefficient by monomial; a monomial is its symbols in order, joined by '*', and "" is the constant. */
  private final TreeMap<String, Long> terms;

  private Dim(TreeMap<String, Long> terms) {
    terms.values().removeIf(c -> c == 0);
    this.terms = terms;
  }

  /** A size that is known. */
  public static Dim of(long value) {
    TreeMap<String, Long> t = new TreeMap<>();
    t.put("", value);
    return new Dim(t);
  }

  /** A size that the file names. */
  public static Dim symbol(String name) {
    TreeMap<String, Long> t = new TreeMap<>();
    t.put(name.length() > LONGEST ? UNNAMED + Integer.toHexString(name.hashCode()) : name.replace('*', '×'), 1L);
    return new Dim(t);
  }

  /** A sum of terms, or an unnamed size where it is too long to be one. */
  private static Dim sum(TreeMap<String, Long> terms) {
    boolean endless = terms.size() > MOST_TERMS || terms.keySet().stream().anyMatch(m -> m.length() > LONGEST);
    return endless ? unnamed(Integer.toHexString(terms.hashCode())) : new Dim(terms);
  }

  /** A size that nothing names; place makes it distinct. */
  public static Dim unnamed(String place) {
    return symbol(UNNAMED + place);
  }

  /** Whether it is a plain number. */
  public boolean isStatic() {
    return terms.isEmpty() || (terms.size() == 1 && terms.firstKey().isEmpty());
  }

  /**
   * The value of a static dimension.
   *
   * @throws IllegalStateException if it is symbolic
   */
  public long value() {
    if (!isStatic()) {
      throw new IllegalStateException(this + " is symbolic");
    }
    return terms.isEmpty() ? 0 : terms.get("");
  }

  /** Whether it is this number. */
  public boolean is(long value) {
    return isStatic() && value() == value;
  }

  /** The sum. */
  public Dim plus(Dim other) {
    TreeMap<String, Long> t = new TreeMap<>(terms);
    other.terms.forEach((m, c) -> t.merge(m, c, Long::sum));
    return sum(t);
  }

  /** The difference. */
  public Dim minus(Dim other) {
    return plus(other.times(of(-1)));
  }

  /** The product. */
  public Dim times(Dim other) {
    TreeMap<String, Long> t = new TreeMap<>();
    terms.forEach((m1, c1) -> other.terms.forEach((m2, c2) -> t.merge(product(m1, m2), c1 * c2, Long::sum)));
    return sum(t);
  }

  private static String product(String a, String b) {
    if (a.isEmpty() || b.isEmpty()) {
      return a + b;
    }
    List<String> symbols = new ArrayList<>(List.of(a.split("\\*")));
    Collections.addAll(symbols, b.split("\\*"));
    Collections.sort(symbols);
    return String.join("*", symbols);
  }

  /** Floor division; division by a static zero gives a symbol, never an exception. */
  public Dim over(Dim divisor) {
    if (isStatic() && divisor.isStatic() && divisor.value() != 0) {
      return of(Math.floorDiv(value(), divisor.value()));
    }
    Dim exact = exactly(divisor);
    return exact != null ? exact : symbol("floor(" + this + "/" + divisor.inBrackets() + ")");
  }

  /** The quotient if every term divides; else null. */
  private Dim exactly(Dim divisor) {
    if (equals(divisor) && !terms.isEmpty()) {
      return of(1);
    }
    if (divisor.terms.size() != 1) {
      return null;
    }
    Map.Entry<String, Long> by = divisor.terms.firstEntry();
    TreeMap<String, Long> t = new TreeMap<>();
    for (Map.Entry<String, Long> e : terms.entrySet()) {
      String rest = quotient(e.getKey(), by.getKey());
      if (rest == null || e.getValue() % by.getValue() != 0) {
        return null;
      }
      t.put(rest, e.getValue() / by.getValue());
    }
    return new Dim(t);
  }

  private static String quotient(String monomial, String divisor) {
    if (divisor.isEmpty()) {
      return monomial;
    }
    List<String> symbols = new ArrayList<>(List.of(monomial.split("\\*")));
    for (String s : divisor.split("\\*")) {
      if (!symbols.remove(s)) {
        return null;
      }
    }
    return String.join("*", symbols);
  }

  /** The rest of the floor division; a symbol where it cannot be told. */
  public Dim modulo(Dim divisor) {
    if (isStatic() && divisor.isStatic() && divisor.value() != 0) {
      return of(Math.floorMod(value(), divisor.value()));
    }
    return exactly(divisor) != null ? of(0) : symbol("mod(" + this + "," + divisor + ")");
  }

  /** Whether the value is certainly at least 1: no term is negative and the sum is not empty. */
  public boolean isPositive() {
    return !terms.isEmpty() && terms.values().stream().allMatch(c -> c > 0);
  }

  /** Whether every symbol has a name that the file gives. */
  public boolean isNamed() {
    return terms.keySet().stream().noneMatch(m -> m.contains(UNNAMED));
  }

  private String inBrackets() {
    return terms.size() > 1 ? "(" + this + ")" : toString();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Dim d && terms.equals(d.terms);
  }

  @Override
  public int hashCode() {
    return terms.hashCode();
  }

  /** As in 12*frames*height + 1. */
  @Override
  public String toString() {
    if (isStatic()) {
      return Long.toString(value());
    }
    StringBuilder s = new StringBuilder();
    for (Map.Entry<String, Long> e : terms.descendingMap().entrySet()) {
      long c = e.getValue();
      s.append(s.isEmpty() ? (c < 0 ? "-" : "") : c < 0 ? " - " : " + ");
      String m = e.getKey();
      long size = Math.abs(c);
      s.append(m.isEmpty() ? Long.toString(size) : size == 1 ? m : size + "*" + m);
    }
    return s.toString();
  }
}
