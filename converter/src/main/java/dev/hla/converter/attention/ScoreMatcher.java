package dev.hla.converter.attention;

import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Operand;

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
   * The product of query and key.
   *
   * @param product the MatMul or Einsum
   * @param query before scales
   * @param key before scales
   * @param scale of all scales together
   * @param scalesOnOperands how many sit on query and key rather than on the scores
   * @param mask the node that masks, or null
   * @param maskInput which of its inputs is the mask
   * @param maskFactor of the scales that apply to the masked scores, and so to the mask as well
   * @param axes the scores' axes: BHNM, or XNM
   */
  record Scores(Node product, Operand query, Operand key, double scale, int scalesOnOperands, Node mask, int maskInput,
      double maskFactor, String axes) {
    Scores masked(Node by, int input) throws NoMatch {
      if (mask != null) {
        throw new NoMatch(by + " and " + mask + " both mask the scores; expected one mask");
      }
      return new Scores(product, query, key, scale, scalesOnOperands, by, input, by.is("Sub") ? -1 : 1, axes);
    }

    Scores scaled(double by) {
      return new Scores(product, query, key, scale * by, scalesOnOperands, mask, maskInput, maskFactor * by, axes);
    }
  }

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
      return match(n.input(scaled), steps - 1).scaled(operands.factor(n, scaled));
    }
    return switch (n.op()) {
      case "Cast", "Identity" -> match(n.input(0), steps - 1);
      case "Reshape" -> reshaped(n, steps);
      case "Add" -> added(n, steps);
      case "Sub" -> match(n.input(0), steps - 1).masked(n, 1);
      case "Where" -> chosen(n, steps);
      case "MatMul", "com.microsoft.FusedMatMul", "com.microsoft.TransposeMatMul" -> product(n);
      case "Einsum" -> einsum(n);
      default -> throw new NoMatch(n + " feeds the softmax; expected a mask, a scale or the product of query and key");
    };
  }

  /** Scores that change between [B, H, N, M] and [B*H, N, M] on the way, to meet a mask. */
  private Scores reshaped(Node n, int steps) throws NoMatch {
    if (!context.keepsLastTwo(n)) {
      throw new NoMatch(n + " reshapes the scores' last two axes; expected queries and keys to stay as they are");
    }
    return match(n.input(0), steps - 1);
  }

  private Scores added(Node n, int steps) throws NoMatch {
    NoMatch first;
    try {
      return match(n.input(0), steps - 1).masked(n, 1);
    } catch (NoMatch e) {
      first = e;
    }
    try {
      return match(n.input(1), steps - 1).masked(n, 0);
    } catch (NoMatch e) {
      throw first;
    }
  }

  /** Where(keep, scores, low) or Where(drop, low, scores), low being one number. */
  private Scores chosen(Node n, int steps) throws NoMatch {
    boolean lowLast = context.shapes.scalar(n.input(2)) < -1000;
    boolean lowFirst = context.shapes.scalar(n.input(1)) < -1000;
    if (lowLast == lowFirst) {
      throw new NoMatch(n + " chooses between two tensors; expected the scores and one large negative number");
    }
    return match(n.input(lowLast ? 1 : 2), steps - 1).masked(n, 0);
  }

  private Scores product(Node n) throws NoMatch {
    requireActivations(n);
    int rank = Math.max(context.shapes.rank(n.input(0)), context.shapes.rank(n.input(1)));
    if (rank != 4 && rank != 3) {
      throw new NoMatch(n + (rank < 0 ? " multiplies tensors of unknown rank" : " multiplies tensors of rank " + rank)
          + "; expected [B, H, N, d] or [B*H, N, d]");
    }
    String lead = rank == 4 ? "BH" : "X";
    boolean queryFlipped = n.integer("transA", 0) != 0;
    boolean keyFlipped = n.integer("transB", 0) != 0;
    return scores(n, lead + (queryFlipped ? "DN" : "ND"), lead + (keyFlipped ? "ND" : "DN"), lead + "NM", n.real("alpha", 1));
  }

  private void requireActivations(Node n) throws NoMatch {
    for (int i = 0; i < 2; i++) {
      if (context.isConstant(graph, n.input(i))) {
        throw new NoMatch(n + " multiplies with the constant " + n.input(i) + "; expected the product of query and key");
      }
    }
  }

  private Scores einsum(Node n) throws NoMatch {
    Equation e = Equation.of(n);
    requireActivations(n);
    char key = e.output().charAt(e.output().length() - 1);
    if (e.left().indexOf(key) >= 0) {
      throw new NoMatch(n + " has the keys' axis '" + key + "' in its first operand; expected query, key");
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
    String letters = lead.toString() + query + contracted;
    String meaning = (four ? "BH" : "X") + "ND";
    return scores(n, Equation.translate(e.left(), letters, meaning),
        Equation.translate(e.right(), lead.toString() + key + contracted, meaning), (four ? "BH" : "X") + "NM", 1);
  }

  private Scores scores(Node n, String queryAxes, String keyAxes, String axes, double alpha) {
    OperandTracer.Traced q = operands.trace(n.input(0), queryAxes, true);
    OperandTracer.Traced k = operands.trace(n.input(1), keyAxes, true);
    return new Scores(n, q.operand(), k.operand(), alpha * q.scale() * k.scale(), q.scales() + k.scales(), null, 0, 1, axes);
  }
}
