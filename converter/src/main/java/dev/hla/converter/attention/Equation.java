package dev.hla.converter.attention;

import dev.hla.converter.graph.Node;

/** The equation of an Einsum over two operands; the letters are the exporter's. */
record Equation(String left, String right, String output) {
  static Equation of(Node einsum) throws NoMatch {
    String text = einsum.string("equation", "").replace(" ", "");
    int comma = text.indexOf(',');
    int arrow = text.indexOf("->");
    if (comma < 0 || arrow < comma || text.indexOf(',', comma + 1) >= 0 || text.contains(".") || arrow + 3 > text.length()) {
      throw new NoMatch(einsum + " has the equation '" + text + "'; expected two operands and a named output");
    }
    return new Equation(text.substring(0, comma), text.substring(comma + 1, arrow), text.substring(arrow + 2));
  }

  /** Renames the letters of a term; a letter that is not in the list, or twice in the term, or missing, is no match. */
  static String translate(String term, String letters, String meaning) throws NoMatch {
    StringBuilder out = new StringBuilder();
    for (char c : term.toCharArray()) {
      int at = letters.indexOf(c);
      if (at < 0 || out.indexOf(meaning.substring(at, at + 1)) >= 0) {
        throw new NoMatch("the Einsum term '" + term + "' has an unexpected axis '" + c + "'");
      }
      out.append(meaning.charAt(at));
    }
    if (out.length() < meaning.length()) {
      throw new NoMatch("the Einsum term '" + term + "' has " + term.length() + " axes; expected " + meaning.length() + ", named " + letters);
    }
    return out.toString();
  }

  /** The same equation of the operands in the other order. */
  Equation swapped() {
    return new Equation(right, left, output);
  }

  @Override
  public String toString() {
    return left + "," + right + "->" + output;
  }
}
