package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.MaskOperand;

/** Tells whether a mask is none at all, acts on keys alone, or depends on the query. */
final class MaskTracer {
  private static final int LONGEST = 8;

  private final Context context;
  private final Graph graph;
  private final OperandTracer operands;

  MaskTracer(Context context, Graph graph) {
    this.context = context;
    this.graph = graph;
    this.operands = new OperandTracer(context, graph);
  }

  /** A mask's kind, and the tensor to read it from if it is a key mask. */
  record Traced(MaskKind kind, MaskOperand operand) {
    static final Traced NONE = new Traced(MaskKind.NONE, null);
    static final Traced FULL = new Traced(MaskKind.FULL, null);
  }

  /** The mask that an Add, Sub or Where puts on the scores. */
  Traced of(ScoreMatcher.Scores scores) {
    ScoreMatcher.Mask mask = scores.mask();
    if (mask == null) {
      return Traced.NONE;
    }
    Node n = mask.node();
    MaskOperand.Form form = switch (n.op()) {
      case "Where" -> context.isLow(n.input(2)) ? MaskOperand.Form.KEEP : MaskOperand.Form.DROP;
      default -> MaskOperand.Form.ADDED;
    };
    return of(n.input(mask.input()), form, mask.factor(), true, mask.axes().equals("BHNM"));
  }

  /**
   * @param expanded whether to look through an Expand or Tile that only repeats a key mask for every query
   * @param apart whether the scores have batch and heads in axes of their own, so that a mask with more axes than two has, too
   */
  Traced of(String mask, MaskOperand.Form form, double factor, boolean expanded, boolean apart) {
    boolean added = form == MaskOperand.Form.ADDED;
    if (added && context.isZero(graph, mask)) {
      return Traced.NONE;
    }
    String value = mask;
    for (int steps = 0; steps < LONGEST; steps++) {
      int rank = context.shapes.rank(value);
      Dim queries = rank < 2 ? Dim.of(1) : context.shapes.dim(value, -2);
      if (rank >= 0 && rank <= 4 && queries.is(1) && (apart || rank <= 2)) {
        return new Traced(MaskKind.KEY, new MaskOperand(value, form, factor, "BHQM".substring(4 - rank), rank >= 3 && !context.shapes.dim(value, -3).is(1)));
      }
      Node n = graph.producer(value);
      if (n == null || !expanded) {
        break;
      }
      int scaled = added ? operands.scaledInput(n) : -1;
      if (scaled >= 0) {
        factor *= operands.factor(n, scaled);
        value = n.input(scaled);
      } else if (n.is("Expand", "Tile", "Identity") || (n.is("Cast") && added) || (n.is("Reshape") && context.keepsLastTwo(n))) {
        value = n.input(0);
      } else {
        break;
      }
    }
    return Traced.FULL;
  }
}
