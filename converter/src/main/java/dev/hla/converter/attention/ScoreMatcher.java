package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import java.util.ArrayList;
import java.util.List;

/** Reads upwards from a softmax: masks, scales and casts, then the product of query and key. */
final class ScoreMatcher {
  private static final int LONGEST = 12;

  private final Context context;
  private final Graph graph;
  private final OperandTracer operands;

  ScoreMatcher(Context context, Graph graph) {
    this.context = context;
    this.graph = graph;
    this.operands = new OperandTracer(context, graph);
  }

  /**
   * The product of query and key, and what becomes of it.
   *
   * @param product the MatMul or Einsum
   * @param query before scales
   * @param key before scales
   * @param scale of all scales together; NaN where one is no number in the file
   * @param masks in the order in which the scores meet them
   * @param value the scores themselves
   * @param axes of value: BHNM, XNM, or ? for what leads other numbers of axes
   */
  record Scores(Node product, OperandTracer.Traced query, OperandTracer.Traced key, double scale, List<Mask> masks, String value, String axes) {
    /** @param axes of the scores after by */
    private Scores after(Node by, double factor, String axes) {
      List<Mask> scaled = masks.stream().map(mask -> new Mask(mask.node(), mask.input(), mask.factor() * factor, mask.axes())).toList();
      return new Scores(product, query, key, scale * factor, scaled, by.output(0), axes);
    }

    private Scores masked(Node by, int input) {
      List<Mask> all = new ArrayList<>(masks);
      all.add(new Mask(by, input, by.is("Sub") ? -1 : 1, axes));
      return new Scores(product, query, key, scale, all, by.output(0), axes);
    }

    /** How many scales sit on query and key rather than on the scores. */
    int scalesOnOperands() {
      return query.scales() + key.scales();
    }
  }

  /**
   * What masks the scores.
   *
   * @param node the Add, Sub or Where
   * @param input which of its inputs is the mask
   * @param factor of the scales that apply to the masked scores, and so to the mask as well
   * @param axes of the scores there
   */
  record Mask(Node node, int input, double factor, String axes) {}

  Scores match(String scores) throws NoMatch {
    return match(scores, LONGEST);
  }

  private Scores match(String value, int steps) throws NoMatch {
    Node n = graph.producer(value);
    if (n == null || steps == 0) {
      throw new NoMatch("above the softmax stands " + Context.describe(graph, value) + "; expected the product of query and key");
    }
    int scaled = operands.scaledInput(n);
    if (scaled >= 0) {
      Scores below = match(n.input(scaled), steps - 1);
      return below.after(n, operands.factor(n, scaled), below.axes());
    }
    return switch (n.op()) {
      case "Cast", "Identity" -> {
        Scores below = match(n.input(0), steps - 1);
        yield below.after(n, 1, below.axes());
      }
      case "Reshape" -> reshaped(n, steps);
      case "Add" -> added(n, steps);
      case "Sub" -> masked(match(n.input(0), steps - 1), n, 1);
      case "Where" -> chosen(n, steps);
      case "MatMul", "com.microsoft.FusedMatMul", "com.microsoft.TransposeMatMul" -> product(n);
      case "Einsum" -> einsum(n);
      case "Mul", "Div" -> throw new NoMatch(n + (n.is("Mul") ? " multiplies" : " divides") + " what the softmax reads by a tensor, as by a scale of each head;"
          + " expected one number, a mask or the product of query and key");
      default -> throw new NoMatch(n + " feeds the softmax; expected a mask, a scale or the product of query and key");
    };
  }

  /** Scores that change between [B, H, N, M] and [B*H, N, M] on the way, to meet a mask. */
  private Scores reshaped(Node n, int steps) throws NoMatch {
    if (!context.keepsLastTwo(n)) {
      throw new NoMatch(n + " reshapes the scores' last two axes; expected queries and keys to stay as they are");
    }
    return match(n.input(0), steps - 1).after(n, 1, axes(context.shapes.rank(n.output(0))));
  }

  /** The axes of scores or probabilities that a reshape gives so many of; what leads more than four has no letter. */
  static String axes(int rank) {
    return rank == 3 ? "XNM" : rank == 4 ? "BHNM" : "?".repeat(Math.max(0, rank - 2)) + "NM";
  }

  /** Refuses a mask that has more entries than the scores along an axis of one: it gives queries, heads or a batch that no operand has. */
  private Scores masked(Scores below, Node by, int input) throws NoMatch {
    for (int i = -1; i >= -below.axes().length(); i--) {
      Dim before = context.shapes.dim(below.value(), i);
      Dim after = context.shapes.dim(by.output(0), i);
      if (before != null && before.is(1) && after != null && after.isNamed() && !after.is(1)) {
        throw new NoMatch("a mask repeats its scores " + after + " times along an axis of one entry, at " + by + "; expected one of their sizes");
      }
    }
    return below.masked(by, input);
  }

  private Scores added(Node n, int steps) throws NoMatch {
    NoMatch first;
    try {
      return masked(match(n.input(0), steps - 1), n, 1);
    } catch (NoMatch e) {
      first = e;
    }
    try {
      return masked(match(n.input(1), steps - 1), n, 0);
    } catch (NoMatch e) {
      throw first;
    }
  }

  /** Where(keep, scores, low) or Where(drop, low, scores), low being one number. */
  private Scores chosen(Node n, int steps) throws NoMatch {
    boolean lowLast = context.isLow(n.input(2));
    boolean lowFirst = context.isLow(n.input(1));
    if (lowLast == lowFirst) {
      throw new NoMatch(n + " chooses between two tensors; expected the scores and one large negative number");
    }
    return masked(match(n.input(lowLast ? 1 : 2), steps - 1), n, 0);
  }

  private Scores product(Node n) throws NoMatch {
    requireActivations(n);
    int rank = Math.max(context.shapes.rank(n.input(0)), context.shapes.rank(n.input(1)));
    if (rank != 4 && rank != 3) {
      throw new NoMatch(n + (rank < 0 ? " multiplies tensors of unknown rank" : " multiplies tensors of rank " + rank)
          + "; expected [B, H, N, d] or [B*H, N, d]");
    }
    String lead = rank == 4 ? "BH" : "X";
    return scores(n, 0, Context.axes(n, 0, lead, "ND"), Context.axes(n, 1, lead, "DN"), lead + "NM", n.real("alpha", 1));
  }

  private void requireActivations(Node n) throws NoMatch {
    for (int i = 0; i < 2; i++) {
      if (context.isConstant(graph, n.input(i))) {
        throw new NoMatch(n + " multiplies with the constant " + n.input(i) + "; expected the product of query and key");
      }
    }
  }

  private Scores einsum(Node n) throws NoMatch {
    requireActivations(n);
    Equation written = Equation.of(n);
    char key = written.output().charAt(written.output().length() - 1);
    boolean keyFirst = written.left().indexOf(key) >= 0;
    Equation e = keyFirst ? written.swapped() : written;
    if (e.left().indexOf(key) >= 0) {
      throw new NoMatch(n + " has the keys' axis '" + key + "' in both operands; expected it in one");
    }
    char query = 0;
    StringBuilder lead = new StringBuilder();
    for (char c : e.output().toCharArray()) {
      if (c != key && e.right().indexOf(c) < 0) {
        query = c;
      } else if (c != key) {
        lead.append(c);
      }
    }
    char contracted = 0;
    for (char c : e.left().toCharArray()) {
      contracted = e.output().indexOf(c) < 0 ? c : contracted;
    }
    boolean four = lead.length() == 2 && e.left().length() == 4 && e.right().length() == 4;
    boolean three = lead.length() == 1 && e.left().length() == 3 && e.right().length() == 3;
    if (query == 0 || contracted == 0 || !(four || three) || e.output().indexOf(query) != e.output().length() - 2) {
      throw new NoMatch(n + " computes " + e + "; expected query times key over the channels, such as bhid,bhjd->bhij");
    }
    if (four && e.left().indexOf(lead.charAt(0)) > e.left().indexOf(lead.charAt(1))) {
      throw new NoMatch(n + " computes " + e + ", which swaps batch and heads; expected them in the scores' order in the query");
    }
    String letters = lead.toString() + query + contracted;
    String meaning = (four ? "BH" : "X") + "ND";
    return scores(n, keyFirst ? 1 : 0, Equation.translate(e.left(), letters, meaning),
        Equation.translate(e.right(), lead.toString() + key + contracted, meaning), (four ? "BH" : "X") + "NM", 1);
  }

  /** @param query which input of the product it is */
  private Scores scores(Node n, int query, String queryAxes, String keyAxes, String axes, double alpha) {
    OperandTracer.Traced q = operands.trace(n.input(query), queryAxes, true);
    OperandTracer.Traced k = operands.trace(n.input(1 - query), keyAxes, true);
    return new Scores(n, q, k, alpha * q.scale() * k.scale(), List.of(), n.output(0), axes);
  }
}
