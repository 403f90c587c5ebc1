package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.MaskOperand;
import dev.hla.converter.wiring.Operand;
import dev.hla.converter.wiring.WiredSite;
import dev.hla.converter.wiring.Wiring;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Puts an {@link AttentionSite} together from operands, whichever form they were found in. */
final class SiteBuilder {
  private final Context context;
  private final KindTracer kinds;

  SiteBuilder(Context context, KindTracer kinds) {
    this.context = context;
    this.kinds = kinds;
  }

  /**
   * @param heads a number that the operator states, or 0
   * @param kvHeads likewise of key and value; 0 for as many as the query's
   * @param blocked a reason not to convert that the form itself knows, or ""
   */
  WiredSite build(Node anchor, String form, Operand q, Operand k, Operand v, Operand output, MaskTracer.Traced mask, double applied,
      double total, long heads, long kvHeads, String bias, String weight, String blocked) {
    Graph graph = anchor.graph();
    long h = heads > 0 ? heads : known(dim(q, 'H'), dim(k, 'H'), dim(v, 'H'));
    long kvh = kvHeads > 0 ? kvHeads : Math.max(known(dim(k, 'H')), known(dim(v, 'H')));
    kvh = kvh > 0 ? kvh : h;
    long d = q.axes().contains("C") ? over(dim(q, 'C'), h) : known(dim(q, 'D'), dim(k, 'D'));
    String reason = blocked;
    if (reason.isEmpty()) {
      reason = mask.kept();
    }
    if (reason.isEmpty()) {
      reason = joined(List.of(q, k, v));
    }
    if (reason.isEmpty() && (h <= 0 || d <= 0)) {
      reason = "the " + (h <= 0 ? "number of heads" : "width of a head") + " of " + q.value() + " cannot be told from the file; expected a static size";
    }
    if (reason.isEmpty()) {
      reason = broadcast(List.of(q, k, v), List.of(h, kvh, kvh));
    }
    if (reason.isEmpty() && mask.operand() != null) {
      reason = misfit(mask.operand(), dim(q, 'B'), Dim.of(h));
    }
    if (reason.isEmpty() && context.opset < HadamardFunction.MIN_OPSET) {
      reason = "the model's opset is " + context.opset + ", too old to express the operator as a function; export it with opset "
          + HadamardFunction.MIN_OPSET + " or newer";
    }
    if (reason.isEmpty() && !realType(q.type(), k.type(), v.type())) {
      reason = "its tensors have element types " + q.type() + ", " + k.type() + ", " + v.type() + " (TensorProto numbers); expected float, float16 or bfloat16";
    }
    Wiring wiring = new Wiring(graph, anchor, q, k, v, output, mask.operand(), applied, kvh, bias, weight);
    Kind kind = weight == null ? kinds.of(graph, q.value(), k.value(), v.value()) : kinds.ofStream(graph, q.value());
    return new WiredSite("", anchor.label(), form, kind, Math.max(0, h), Math.max(0, d), dim(q, 'N'), dim(k, 'N'), dim(q, 'B'), mask.kind(),
        total, v.type(), reason, wiring);
  }

  /** Why the heads of an operand cannot be told: they share an axis with the batch and are nowhere apart; "" where they can. */
  private static String joined(List<Operand> operands) {
    for (Operand o : operands) {
      if (o.axes().contains("X")) {
        return "batch and heads are joined in one axis at " + o.value() + " and never apart above it; expected [B, H, N, d] somewhere";
      }
    }
    return "";
  }

  /** Why products of the operands are not those of the same batch and heads in each; "" where they are, as far as sizes are known. */
  private String broadcast(List<Operand> operands, List<Long> heads) {
    if (heads.get(0) % heads.get(1) != 0) {
      return "its query has " + heads.get(0) + " heads, its key or value " + heads.get(1) + "; expected a divisor of them";
    }
    Set<Long> batches = new TreeSet<>();
    for (int i = 0; i < operands.size(); i++) {
      Operand o = operands.get(i);
      int rank = context.shapes.rank(o.value());
      if (rank >= 0 && rank != o.axes().length()) {
        return o.value() + " has " + rank + " axes, to be repeated for those it lacks; expected " + o.axes().length();
      }
      long own = known(dim(o, 'H'));
      if (own > 0 && own != heads.get(i)) {
        return o.value() + " has " + own + " heads, where " + heads.get(i) + " are needed; expected no repeating of single ones";
      }
      long batch = known(dim(o, 'B'));
      if (batch > 0) {
        batches.add(batch);
      }
    }
    return batches.size() < 2 ? "" : "query, key and value have batches of " + batches + ", of which the smaller is repeated; expected the same in each";
  }

  /** Why a mask cannot lie over batch and heads as its axes say; "" where it can, as far as sizes are known. */
  private String misfit(MaskOperand mask, Dim batch, Dim heads) {
    for (char axis : new char[] {'B', 'H'}) {
      int at = mask.axes().indexOf(axis);
      Dim own = at < 0 ? null : context.shapes.dim(mask.value(), at);
      Dim needed = axis == 'B' ? batch : heads;
      if (own != null && needed != null && !own.is(1) && (own.minus(needed).isPositive() || needed.minus(own).isPositive())) {
        return "its mask " + mask.value() + " has " + own + (axis == 'B' ? " for the batch" : " heads") + ", where " + needed + " are needed; expected as many, or one for all";
      }
    }
    return "";
  }

  private static boolean realType(int... types) {
    for (int t : types) {
      if (t != 1 && t != 10 && t != 16) {
        return false;
      }
    }
    return true;
  }

  private static long over(Dim width, long heads) {
    return width == null || !width.isStatic() || heads <= 0 || width.value() % heads != 0 ? 0 : width.value() / heads;
  }

  private static long known(Dim... dims) {
    for (Dim d : dims) {
      if (d != null && d.isStatic()) {
        return d.value();
      }
    }
    return 0;
  }

  private Dim dim(Operand o, char axis) {
    int at = o.axes().indexOf(axis);
    return at < 0 ? null : context.shapes.dim(o.value(), at);
  }
}
