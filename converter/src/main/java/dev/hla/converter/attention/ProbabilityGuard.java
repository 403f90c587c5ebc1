package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import java.util.HashSet;
import java.util.Set;

/** Tells whether a Where on the probabilities takes away only what is zero or undefined already. */
final class ProbabilityGuard {
  private static final int LONGEST = 12;
  private static final int MOST_VALUES = 200;

  private final Context context;
  private final Graph graph;
  private final ScoreMatcher.Scores scores;
  private final String probabilities;

  /** @param probabilities as the softmax gives them */
  ProbabilityGuard(Context context, Graph graph, ScoreMatcher.Scores scores, String probabilities) {
    this.context = context;
    this.graph = graph;
    this.scores = scores;
    this.probabilities = probabilities;
  }

  /** @param value the probabilities as where reads them */
  boolean keepsAll(Node where, String value) {
    int kept = where.input(1).equals(value) ? 1 : 2;
    return context.isZero(graph, where.input(3 - kept)) && context.shapes.rank(where.output(0)) == context.shapes.rank(value)
        && (repeatsMask(Condition.of(graph, where, kept)) || isUndefined(where.input(0), false, LONGEST));
  }

  /** What keeps an element, through casts and negations: value where holds, else its contrary. */
  private record Condition(String value, boolean holds) {
    static Condition of(Graph graph, Node where, int kept) {
      String value = where.input(0);
      boolean holds = kept == 1;
      for (Node n = graph.producer(value); n != null && n.is("Not", "Cast", "Identity"); n = graph.producer(value)) {
        holds ^= n.is("Not");
        value = n.input(0);
      }
      return new Condition(value, holds);
    }
  }

  /** Whether the scores are masked by the same condition, chosen by it or added as Where(condition, 0, low). */
  private boolean repeatsMask(Condition condition) {
    return scores.masks().stream().anyMatch(mask -> repeats(mask, condition));
  }

  private boolean repeats(ScoreMatcher.Mask met, Condition condition) {
    Node mask = met.node();
    if (mask.is("Where")) {
      return condition.equals(Condition.of(graph, mask, context.isLow(mask.input(2)) ? 1 : 2));
    }
    Node chosen = mask.is("Add") ? graph.producer(mask.input(met.input())) : null;
    if (chosen == null || !chosen.is("Where") || context.isLow(chosen.input(1)) == context.isLow(chosen.input(2))) {
      return false;
    }
    return condition.equals(Condition.of(graph, chosen, context.isLow(chosen.input(2)) ? 1 : 2));
  }

  /** Whether a condition asks of whole rows if they have any key: of NaN among the probabilities, or of the scores or their mask along the keys. */
  private boolean isUndefined(String condition, boolean low, int steps) {
    Node n = graph.producer(condition);
    if (n == null || steps == 0) {
      return false;
    }
    return switch (n.op()) {
      case "Not", "Cast", "Identity", "Unsqueeze", "Squeeze" -> isUndefined(n.input(0), low, steps - 1);
      case "IsNaN" -> isProbabilities(n.input(0)) || isUndefined(n.input(0), true, steps - 1);
      case "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual" -> {
        int bound = context.isConstant(graph, n.input(0)) ? 0 : 1;
        yield isUndefined(n.input(1 - bound), low || context.isLow(n.input(bound)), steps - 1);
      }
      case "ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd" -> overKeysOfScores(n, condition) && (low || !weighs(n.input(0), new HashSet<>()));
      default -> false;
    };
  }

  /** Whether a value depends on how high the scores are, and not just on which of them are low. */
  private boolean weighs(String value, Set<String> seen) {
    Node n = graph.producer(value);
    if (value.equals(scores.product().output(0))) {
      return true;
    }
    if (n == null || !seen.add(value) || seen.size() > MOST_VALUES || n.is("IsInf", "IsNaN")
        || (n.is("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual") && (context.isLow(n.input(0)) || context.isLow(n.input(1))))) {
      return seen.size() > MOST_VALUES;
    }
    for (int i = 0; i < n.inputs(); i++) {
      if (weighs(n.input(i), seen)) {
        return true;
      }
    }
    return false;
  }

  private boolean isProbabilities(String value) {
    String from = value;
    for (Node n = graph.producer(from); n != null && n.is("Cast", "Identity") && !from.equals(probabilities); n = graph.producer(from)) {
      from = n.input(0);
    }
    return from.equals(probabilities);
  }

  private boolean overKeysOfScores(Node reduction, String condition) {
    Dim keys = context.shapes.dim(probabilities, -1);
    Dim kept = context.shapes.dim(condition, -1);
    if (kept == null || !kept.is(1) || keys == null || !keys.equals(context.shapes.dim(reduction.input(0), -1))) {
      return false;
    }
    Set<String> masked = new HashSet<>();
    collect(scores.value(), masked, LONGEST);
    Set<String> asked = new HashSet<>();
    collect(reduction.input(0), asked, LONGEST);
    asked.retainAll(masked);
    return !asked.isEmpty();
  }

  /** The values that one is computed from element by element, itself among them; constants prove nothing. */
  private void collect(String value, Set<String> into, int steps) {
    if (value.isEmpty() || context.isConstant(graph, value) || !into.add(value) || steps == 0) {
      return;
    }
    Node n = graph.producer(value);
    if (n != null && n.is("Add", "Sub", "Mul", "Div", "Neg", "Where", "Cast", "Identity", "Not", "And", "Or", "Equal", "Greater", "GreaterOrEqual", "Less",
        "LessOrEqual", "IsInf", "Unsqueeze", "Squeeze", "Reshape", "Expand")) {
      for (int i = 0; i < (n.is("Unsqueeze", "Squeeze", "Reshape", "Expand") ? 1 : n.inputs()); i++) {
        collect(n.input(i), into, steps - 1);
      }
    }
  }
}
