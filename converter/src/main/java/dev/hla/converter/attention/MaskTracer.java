package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.MaskOperand;
import java.util.List;

/** Tells whether a mask is none at all, acts on keys alone, or depends on the query. */
final class MaskTracer {
  private static final int LONGEST = 8;
  /** Below this a score has no weight beside common ones. */
  private static final double HIGHEST_LOW = -50;
  private static final String DEPENDS =
      "the mask depends on the query, so the weights are no plain product over keys; expected one that is the same for every query";

  private final Context context;
  private final Graph graph;
  private final OperandTracer operands;

  MaskTracer(Context context, Graph graph) {
    this.context = context;
    this.graph = graph;
    this.operands = new OperandTracer(context, graph);
  }

  /**
   * A mask's kind.
   *
   * @param operand the tensor to read it from if it is a key mask, else null
   * @param kept why a site with it does not convert, or ""
   */
  record Traced(MaskKind kind, MaskOperand operand, String kept) {
    static final Traced NONE = new Traced(MaskKind.NONE, null, "");
    static final Traced FULL = full(DEPENDS);

    static Traced key(MaskOperand operand) {
      return new Traced(MaskKind.KEY, operand, operand.form() != MaskOperand.Form.ADDED || Double.isFinite(operand.factor()) ? ""
          : "the scores are scaled after their mask by a number that the file does not hold, so what the mask adds is unknown; expected a constant scale");
    }

    /** What two masks are together. One that keeps the site comes first, as no other undoes it. */
    private Traced and(Traced other) {
      return kind == MaskKind.NONE || other.kind == MaskKind.FULL ? other : other.kind == MaskKind.NONE || kind == MaskKind.FULL ? this
          : new Traced(MaskKind.KEY, operand, "two masks of keys, " + operand.value() + " and " + other.operand.value() + ", meet its scores; expected one");
    }

    private static Traced full(String kept) {
      return new Traced(MaskKind.FULL, null, kept);
    }
  }

  /** What the masks that Add, Sub or Where put on the scores are together. */
  Traced of(ScoreMatcher.Scores scores) {
    return scores.masks().stream().map(this::of).reduce(Traced.NONE, Traced::and);
  }

  private Traced of(ScoreMatcher.Mask mask) {
    Node n = mask.node();
    MaskOperand.Form form = switch (n.op()) {
      case "Where" -> context.isLow(n.input(2)) ? MaskOperand.Form.KEEP : MaskOperand.Form.DROP;
      default -> MaskOperand.Form.ADDED;
    };
    Traced traced = of(n.input(mask.input()), form, mask.factor(), mask.axes().equals("BHNM"));
    boolean leaves = n.is("Where") && Double.isFinite(mask.factor())
        && !(context.shapes.scalar(n.input(form == MaskOperand.Form.KEEP ? 2 : 1)) * mask.factor() < HIGHEST_LOW);
    return leaves && traced.kind() == MaskKind.KEY ? new Traced(MaskKind.KEY, traced.operand(), "the scores are multiplied by " + mask.factor() + " after " + n
        + ", so that keys which it leaves out count again; expected a scale that keeps them low") : traced;
  }

  /**
   * A mask by its tensor, followed upwards as far as it says the same of the keys.
   *
   * @param form what its entries mean
   * @param factor what numbers of the form ADDED are multiplied with before they meet the scores
   * @param apart whether the scores have batch and heads in axes of their own, as then a mask of more than two axes has, too
   */
  Traced of(String mask, MaskOperand.Form form, double factor, boolean apart) {
    boolean added = form == MaskOperand.Form.ADDED;
    if (added && context.isZero(graph, mask)) {
      return Traced.NONE;
    }
    String value = mask;
    for (int steps = 0; steps < LONGEST; steps++) {
      int rank = context.shapes.rank(value);
      if (added && (rank == 0 || (rank > 0 && context.shapes.dim(value, -1).is(1)))) {
        // One number for all keys of a row leaves their softmax as it is.
        return Traced.NONE;
      }
      if (isForKeys(value) && (apart || leadsWithOnes(value))) {
        return key(value, form, factor, false);
      }
      Node n = graph.producer(value);
      if (n == null) {
        break;
      }
      int scaled = added ? operands.scaledInput(n) : -1;
      if (scaled >= 0 && Double.isFinite(operands.factor(n, scaled))) {
        factor *= operands.factor(n, scaled);
        value = n.input(scaled);
      } else if (n.is("Reshape") && context.keepsLastTwo(n)) {
        apart = isApartAbove(n, apart);
        value = n.input(0);
      } else if (repeats(n) || n.is("Identity") || (n.is("Cast") && added)) {
        value = n.input(0);
      } else {
        break;
      }
    }
    int rank = context.shapes.rank(value);
    boolean repeated = rank >= 2 && rank <= 4 && (apart || leadsWithOnes(value)) && new QueryIndependence(context, graph).holds(value);
    return repeated ? key(value, form, factor, true) : Traced.full(reason(value));
  }

  private Traced key(String value, MaskOperand.Form form, double factor, boolean repeated) {
    int rank = context.shapes.rank(value);
    return Traced.key(new MaskOperand(value, form, factor, "BHQM".substring(4 - rank), rank >= 3 && !context.shapes.dim(value, -3).is(1), repeated));
  }

  /** Whether a mask above a reshape has batch and heads in axes of their own: one that leaves or joined them, or moved an axis of one entry. */
  private boolean isApartAbove(Node reshape, boolean apart) {
    int from = context.shapes.rank(reshape.input(0));
    int to = context.shapes.rank(reshape.output(0));
    boolean joins = from == 4 && to == 3;
    return from == to ? apart && keepsLeading(reshape, from) : !apart ? joins
        : (joins && context.shapes.dim(reshape.input(0), 0).is(1)) || (from == 3 && to == 4 && context.shapes.dim(reshape.output(0), 0).is(1));
  }

  /** Where all but one axis stay, that one does, too. */
  private boolean keepsLeading(Node reshape, int rank) {
    int open = 0;
    for (int i = 0; i < rank - 2; i++) {
      open += context.shapes.dim(reshape.input(0), i).equals(context.shapes.dim(reshape.output(0), i)) ? 0 : 1;
    }
    return open <= 1;
  }

  private boolean leadsWithOnes(String value) {
    List<Dim> dims = context.shapes.of(value);
    return dims.size() <= 2 || dims.subList(0, dims.size() - 2).stream().allMatch(d -> d.is(1));
  }

  private boolean isForKeys(String value) {
    int rank = context.shapes.rank(value);
    return rank >= 0 && rank <= 4 && (rank < 2 || context.shapes.dim(value, -2).is(1));
  }

  /** Whether a node repeats what it reads along axes that held one entry. A Tile of more entries would give keys the mask of others. */
  private boolean repeats(Node n) {
    int rank = n.is("Tile") ? context.shapes.rank(n.input(0)) : 0;
    for (int i = -1; i >= -rank; i--) {
      Dim from = context.shapes.dim(n.input(0), i);
      if (!from.is(1) && !from.equals(context.shapes.dim(n.output(0), i))) {
        return false;
      }
    }
    return rank >= 0 && n.is("Tile", "Expand");
  }

  /** Why the way to a key mask ended here. */
  private String reason(String value) {
    int rank = context.shapes.rank(value);
    if (rank < 0 || rank > 4) {
      return (rank < 0 ? "the number of axes of its mask " + value + " cannot be told from the file" : "its mask " + value + " has " + rank + " axes")
          + "; expected [B, H, 1, M] or fewer axes";
    }
    if (isForKeys(value)) {
      return "it cannot be told which of batch and heads lead the axes of its mask " + value + "; expected [B, H, 1, M] there or above";
    }
    return DEPENDS;
  }
}
