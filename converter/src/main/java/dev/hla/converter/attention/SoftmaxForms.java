package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.WiredSite;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * Attention written out around a softmax. All exporters' variants are one form with alternatives:
 *
 * <ul>
 *   <li>sdpa: the square root of the scale on both operands (TorchScript, torch.export)
 *   <li>manual: the scale on the scores or on one operand, or folded into a projection
 *   <li>einsum: products as Einsum, with or without transposes
 *   <li>merged: batch and heads in one axis (bmm, baddbmm)
 *   <li>optimised: com.microsoft.FusedMatMul, as ONNX Runtime's optimiser leaves it
 *   <li>decomposed: ReduceMax, Sub, Exp, ReduceSum, Div in place of Softmax
 * </ul>
 */
final class SoftmaxForms {
  private final Context context;
  private final SiteBuilder builder;

  SoftmaxForms(Context context, SiteBuilder builder) {
    this.context = context;
    this.builder = builder;
  }

  WiredSite softmax(Node softmax) throws NoMatch {
    Graph graph = softmax.graph();
    ScoreMatcher.Scores scores = new ScoreMatcher(context, graph).match(softmax.input(0));
    int known = context.shapes.rank(softmax.input(0));
    int rank = known < 0 ? scores.axes().length() : known;
    if (rank != scores.axes().length()) {
      throw new NoMatch("a mask gives its scores " + rank + " axes; expected " + scores.axes().length() + ", as they have without it");
    }
    // Before opset 13 a softmax runs over all axes from its axis on, and its axis defaults to 1.
    long axis = softmax.integer("axis", context.opset >= 13 ? -1 : 1);
    if (axis != -1 && axis != rank - 1) {
      throw new NoMatch("its axis is " + axis + " of " + rank + "; expected the last, the keys");
    }
    return build(softmax, softmax.output(0), scores, "");
  }

  /** The Div of a softmax written out: e / sum(e), with e = exp(s) or exp(s - max(s)). */
  static boolean isDecomposedSoftmax(Node div) {
    Graph graph = div.graph();
    Node exp = div.is("Div") ? graph.producer(div.input(0)) : null;
    Node sum = exp == null ? null : graph.producer(div.input(1));
    return exp != null && exp.is("Exp") && sum != null && sum.is("ReduceSum") && sum.input(0).equals(exp.output(0));
  }

  WiredSite decomposed(Node div) throws NoMatch {
    Graph graph = div.graph();
    Node exp = graph.producer(div.input(0));
    Node sum = graph.producer(div.input(1));
    Node shift = graph.producer(exp.input(0));
    Node max = shift != null && shift.is("Sub") ? graph.producer(shift.input(1)) : null;
    boolean shifted = max != null && max.is("ReduceMax") && max.input(0).equals(shift.input(0));
    ScoreMatcher.Scores scores = new ScoreMatcher(context, graph).match(shifted ? shift.input(0) : exp.input(0));
    int rank = scores.axes().length();
    for (Node reduction : shifted ? new Node[] {sum, max} : new Node[] {sum}) {
      if (!reducesKeysAlone(reduction, rank)) {
        throw new NoMatch(reduction + " does not reduce the last axis alone; expected the keys' axis with keepdims");
      }
    }
    if (graph.consumers(exp.output(0)).size() != 2) {
      throw new NoMatch(exp + " is read elsewhere, too; expected its sum and the division alone");
    }
    return build(div, div.output(0), scores, "decomposed");
  }

  /** Why a site does not convert whose operands join other numbers of heads with the batch, or heads before it, or "". */
  private static String headsFirst(ScoreMatcher.Scores scores, ProbabilityMatcher.Product product, MaskTracer.Traced mask) {
    List<String> orders = List.of(scores.query().parted(), scores.key().parted(), product.value().parted());
    boolean joined = Stream.of(scores.query(), scores.key(), product.value()).anyMatch(o -> o.operand().axes().contains("X"));
    long[] heads = Stream.of(scores.query(), scores.key(), product.value()).mapToLong(OperandTracer.Traced::heads).filter(h -> h > 0).distinct().toArray();
    return heads.length > 1 ? "query, key and value split their channels into " + heads[0] + " and " + heads[1] + " heads; expected as many"
        : joined || !orders.contains("HB") ? ""
        : !orders.stream().allMatch("HB"::equals) ? "query, key and value join batch and heads in one axis in different orders; expected one order"
        : mask.operand() != null && mask.operand().axes().length() > 2
            ? "heads come before the batch where " + scores.query().operand().value() + " joins them, which leaves the axes of its mask open; expected one of keys alone"
        : product.output().axes().contains("X")
            ? "heads come before the batch in one axis of its output " + product.output().value() + ", which nothing parts; expected a Reshape to four axes"
        : "";
  }

  private boolean reducesKeysAlone(Node reduction, int rank) {
    Dim kept = context.shapes.dim(reduction.output(0), -1);
    List<Dim> axes = reduction.has(1) ? context.shapes.integers(reduction.input(1))
        : reduction.integers("axes") == null ? null : Arrays.stream(reduction.integers("axes")).mapToObj(Dim::of).toList();
    return kept != null && kept.is(1) && context.shapes.rank(reduction.output(0)) == rank && axes != null && axes.size() == 1 && axes.get(0) != null
        && (axes.get(0).is(-1) || axes.get(0).is(rank - 1));
  }

  private WiredSite build(Node anchor, String probabilities, ScoreMatcher.Scores scores, String form) throws NoMatch {
    Graph graph = anchor.graph();
    ProbabilityMatcher.Product product = new ProbabilityMatcher(context, graph).match(probabilities, scores);
    MaskTracer.Traced mask = new MaskTracer(context, graph).of(scores);
    double total = scores.scale() * new OperandTracer(context, graph).absorbedScale(scores.query().operand());
    String named = !form.isEmpty() ? form
        : scores.product().is("Einsum") || product.node().is("Einsum") ? "einsum"
        : context.shapes.rank(scores.product().output(0)) == 3 ? "merged"
        : !scores.product().is("MatMul") ? "optimised"
        : scores.scalesOnOperands() >= 2 ? "sdpa" : "manual";
    long heads = Math.max(product.value().heads(), Math.max(scores.query().heads(), scores.key().heads()));
    return builder.build(anchor, named, scores.query().operand(), scores.key().operand(), product.value().operand(), product.output(), mask, scores.scale(), total, heads, 0, null,
        null, product.kept().isEmpty() ? headsFirst(scores, product, mask) : product.kept());
  }
}
