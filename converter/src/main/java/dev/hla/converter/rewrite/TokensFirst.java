package dev.hla.converter.rewrite;

import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Operand;
import dev.hla.converter.wiring.Wiring;
import java.util.Arrays;
import java.util.List;

/**
 * A site's operands with tokens before heads, as projections leave them: [B, N, H, d], packed [B, N, H*d], or several in one
 * tensor [B, N, H, 2 or 3, d]. Where the
 * graph has heads first, the Transposes that made it so are looked through; they go if nothing else reads them.
 */
record TokensFirst(Operand query, Operand key, Operand value, Operand output) {
  private static final long[] SWAP = {0, 2, 1, 3};

  /** Null if not all four can be had in this layout. */
  static TokensFirst of(Wiring w) {
    Graph graph = w.graph();
    Operand q = above(graph, w.query());
    Operand k = above(graph, w.key());
    Operand v = above(graph, w.value());
    Operand o = below(graph, w.output());
    // The output has the axes of the query, which are the rewriter's choice where it has to be taken out of a tensor.
    if (q == null || k == null || v == null || o == null || !(q.isShared() || q.axes().equals(o.axes()))) {
      return null;
    }
    return new TokensFirst(q, k, v, o);
  }

  private static Operand above(Graph graph, Operand x) {
    if (!x.axes().equals(Operand.BHND)) {
      return tokensFirst(x);
    }
    Node n = graph.producer(x.value());
    return n != null && n.graph() == graph && swaps(n) ? new Operand(n.input(0), Operand.BNHD, x.type()) : null;
  }

  private static Operand below(Graph graph, Operand x) {
    if (!x.axes().equals(Operand.BHND)) {
      return tokensFirst(x);
    }
    List<Node> readers = graph.consumers(x.value());
    return readers.size() == 1 && !graph.isOutput(x.value()) && swaps(readers.get(0)) ? new Operand(readers.get(0).output(0), Operand.BNHD, x.type()) : null;
  }

  private static Operand tokensFirst(Operand x) {
    return x.axes().equals(Operand.BNHD) || x.axes().equals(Operand.PACKED) || x.isShared() ? x : null;
  }

  private static boolean swaps(Node n) {
    return n.is("Transpose") && Arrays.equals(n.integers("perm"), SWAP);
  }
}
