package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Operand;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Reads downwards from a softmax: casts and guards against NaN, then the product with the values. */
final class ProbabilityMatcher {
  private static final int MOST_OF_SHAPE = 100;

  private final Context context;
  private final Graph graph;
  private final OperandTracer operands;

  ProbabilityMatcher(Context context, Graph graph) {
    this.context = context;
    this.graph = graph;
    this.operands = new OperandTracer(context, graph);
  }

  /**
   * The product of probabilities and values.
   *
   * @param value what is summed
   * @param output what the rest of the graph reads
   * @param kept why the site does not convert, or ""
   */
  record Product(Node node, OperandTracer.Traced value, Operand output, String kept) {
    private Product keptFor(String reason) {
      return new Product(node, value, output, reason);
    }
  }

  Product match(String probabilities, ScoreMatcher.Scores scores) throws NoMatch {
    String value = probabilities;
    String axes = scores.axes();
    String kept = "";
    while (true) {
      if (graph.isOutput(value)) {
        throw new NoMatch("its probabilities are the graph output '" + value + "'; expected the product with the values to be their only reader");
      }
      List<Node> readers = graph.consumers(value);
      Node reader = readers.size() == 2 ? guard(readers, value) : readers.size() == 1 ? readers.get(0) : null;
      if (reader == null) {
        throw new NoMatch("its probabilities are read by " + readers.size() + " nodes" + (readers.isEmpty() ? "" : ", among them " + other(readers))
            + "; expected the product with the values alone");
      }
      switch (reader.op()) {
        case "Cast", "Identity" -> value = reader.output(0);
        case "Dropout" -> {
          // Before opset 12 a Dropout does nothing outside of training.
          if (reader.has(2) && context.shapes.scalar(reader.input(2)) != 0) {
            kept = reader + " drops probabilities where its training_mode says so; expected a model for inference";
          }
          value = reader.output(0);
        }
        case "Where" -> {
          if (readers.size() == 1 && !new ProbabilityGuard(context, graph, scores, probabilities).keepsAll(reader, value)) {
            kept = reader + " changes probabilities after the softmax; expected the product with the values alone";
          }
          value = reader.output(0);
        }
        case "Reshape" -> {
          if (!context.keepsLastTwo(reader)) {
            throw new NoMatch(reader + " reshapes the probabilities' last two axes; expected queries and keys to stay as they are");
          }
          axes = ScoreMatcher.axes(context.shapes.rank(reader.output(0)));
          value = reader.output(0);
        }
        case "MatMul", "com.microsoft.FusedMatMul", "com.microsoft.TransposeMatMul" -> {
          return product(reader, value, axes, scores).keptFor(kept);
        }
        case "Einsum" -> {
          return einsum(reader, value, axes, scores).keptFor(kept);
        }
        default -> throw new NoMatch(reader + " reads the probabilities; expected the product with the values");
      }
    }
  }

  private static Node other(List<Node> readers) {
    return readers.stream().filter(r -> !r.is("MatMul", "Einsum", "com.microsoft.FusedMatMul")).findFirst().orElse(readers.get(0));
  }

  /** Where(IsNaN(p), 0, p): rows without any key give zeros. An optimiser may put a Cast before IsNaN. */
  private Node guard(List<Node> readers, String value) {
    Node where = readers.stream().filter(r -> r.is("Where") && r.input(2).equals(value)).findFirst().orElse(null);
    Node isNan = where == null ? null : graph.producer(where.input(0));
    if (isNan == null || !isNan.is("IsNaN") || context.shapes.scalar(where.input(1)) != 0 || graph.consumers(isNan.output(0)).size() != 1) {
      return null;
    }
    Node first = isNan;
    while (!first.input(0).equals(value)) {
      Node above = graph.producer(first.input(0));
      if (above == null || !above.is("Cast", "Identity") || graph.consumers(first.input(0)).size() != 1 || graph.isOutput(first.input(0))) {
        return null;
      }
      first = above;
    }
    return readers.contains(first) ? where : null;
  }

  private Product product(Node n, String probabilities, String axes, ScoreMatcher.Scores scores) throws NoMatch {
    if (!n.input(0).equals(probabilities) || n.input(1).equals(probabilities) || n.integer("transA", 0) != 0 || n.integer("transBatchA", 0) != 0) {
      throw new NoMatch(n + " has the probabilities as its second operand or transposed; expected probabilities times values");
    }
    String lead = lead(n, axes);
    if (n.real("alpha", 1) != 1) {
      throw new NoMatch(n + " scales the attention output; expected alpha 1");
    }
    OperandTracer.Traced v = operands.trace(n.input(1), Context.axes(n, 1, lead, "ND"), false);
    return new Product(n, v, output(n.output(0), lead + "ND", v, scores), "");
  }

  /** What leads queries and keys: BH or X. */
  private static String lead(Node n, String axes) throws NoMatch {
    if (axes.startsWith("?") || axes.length() < 3) {
      throw new NoMatch(n + " multiplies probabilities of " + axes.length() + " axes; expected [B, H, N, M] or [B*H, N, M]");
    }
    return axes.substring(0, axes.length() - 2);
  }

  private Product einsum(Node n, String probabilities, String axes, ScoreMatcher.Scores scores) throws NoMatch {
    Equation e = Equation.of(n);
    boolean first = n.input(0).equals(probabilities);
    String p = first ? e.left() : e.right();
    String v = first ? e.right() : e.left();
    if (p.length() != axes.length()) {
      throw new NoMatch(n + " takes " + p.length() + " axes of probabilities; expected " + axes.length());
    }
    String lead = lead(n, axes);
    char query = p.charAt(p.length() - 2);
    char key = p.charAt(p.length() - 1);
    char channel = 0;
    for (char c : v.toCharArray()) {
      channel = p.indexOf(c) < 0 ? c : channel;
    }
    if (channel == 0 || v.indexOf(key) < 0 || v.indexOf(query) >= 0 || e.output().indexOf(key) >= 0) {
      throw new NoMatch(n + " computes " + e + "; expected probabilities times values over the keys");
    }
    String leading = p.substring(0, lead.length());
    String valueAxes = Equation.translate(v, leading + key + channel, lead + "ND");
    String outputAxes = Equation.translate(e.output(), leading + query + channel, lead + "ND");
    OperandTracer.Traced value = operands.trace(n.input(first ? 1 : 0), valueAxes, false);
    return new Product(n, value, output(n.output(0), outputAxes, value, scores), "");
  }

  /** With batch and heads in one axis, the reshape that parts them again belongs to the site, and what computes its sizes. */
  private Operand output(String value, String axes, OperandTracer.Traced v, ScoreMatcher.Scores scores) {
    String apart = v.parted().isEmpty() ? "BH" : v.parted();
    List<Node> readers = graph.consumers(value);
    Node reshape = readers.stream().filter(r -> r.is("Reshape") && r.input(0).equals(value)).findFirst().orElse(null);
    if (axes.equals("XND") && !graph.isOutput(value) && reshape != null && context.shapes.rank(reshape.output(0)) == 4 && context.keepsLastTwo(reshape)
        && givesHeads(reshape, apart, List.of(v, scores.query(), scores.key())) && readers.stream().allMatch(r -> r == reshape || (r.is("Shape") && serves(r, reshape)))) {
      String parted = reshape.output(0);
      return new Operand(parted, apart + "ND", context.shapes.type(parted));
    }
    return new Operand(value, axes, context.shapes.type(value));
  }

  /** Whether a reshape parts batch and heads as the operands have them: it could as well give all of them one axis beside one of size 1. */
  private boolean givesHeads(Node reshape, String apart, List<OperandTracer.Traced> traced) {
    Dim heads = context.shapes.dim(reshape.output(0), apart.indexOf('H'));
    return heads != null && heads.isStatic() && traced.stream().map(operands::headsOf).filter(h -> h != null && h.isStatic()).findFirst().map(heads::equals).orElse(true);
  }

  /** Whether all that comes of a node is the shape that a reshape takes. */
  private boolean serves(Node n, Node reshape) {
    Set<Node> seen = new HashSet<>();
    ArrayDeque<Node> open = new ArrayDeque<>(List.of(n));
    while (!open.isEmpty()) {
      Node next = open.pop();
      if (next == reshape || !seen.add(next)) {
        continue;
      }
      for (String out : next.proto().getOutputList()) {
        if (graph.isOutput(out) || seen.size() > MOST_OF_SHAPE) {
          return false;
        }
        open.addAll(graph.consumers(out));
      }
    }
    return true;
  }
}
