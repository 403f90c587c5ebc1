package dev.hla.converter.attention;

import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Tells self from cross, joint and text attention by what the projections of query, key and value read. */
final class KindTracer {
  private static final int MOST_NODES = 4000;

  private final Context context;
  private final StreamTracer streams;

  KindTracer(Context context, StreamTracer streams) {
    this.context = context;
    this.streams = streams;
  }

  Kind of(Graph graph, String query, String key, String value) {
    Set<String> q = sources(graph, query);
    Set<String> k = sources(graph, key);
    Set<String> v = sources(graph, value);
    if (q.equals(k) && isPlaced(graph, q, v)) {
      return ofStream(graph, v.iterator().next());
    }
    if (v.isEmpty() || !q.containsAll(v) || !k.containsAll(v)) {
      return Kind.CROSS;
    }
    return v.size() > 1 ? Kind.JOINT : ofStream(graph, v.iterator().next());
  }

  /** Whether query and key read the sum of what the value reads and of something else: its tokens with their positions, as in DETR. */
  private static boolean isPlaced(Graph graph, Set<String> places, Set<String> tokens) {
    Node sum = places.size() == 1 && tokens.size() == 1 ? graph.producer(places.iterator().next()) : null;
    String read = tokens.isEmpty() ? "" : tokens.iterator().next();
    return sum != null && sum.is("Add") && (plain(graph, sum.input(0)).equals(read) || plain(graph, sum.input(1)).equals(read));
  }

  /** The kind of an attention whose query, key and value are all projected from one tensor. */
  Kind ofStream(Graph graph, String tokens) {
    Set<String> roots = streams.roots(graph, tokens);
    return roots.size() > 1 ? Kind.JOINT : streams.isSide(roots) ? Kind.TEXT : Kind.SELF;
  }

  /**
   * The tensors that the projections of an operand read. A projection is a product with constant weights; rotary
   * embeddings, norms and head splits between it and the operand are looked through. Without any projection, the
   * inputs that the operand comes from.
   */
  private Set<String> sources(Graph graph, String operand) {
    Set<String> projected = new LinkedHashSet<>();
    Set<String> bare = new LinkedHashSet<>();
    Set<String> seen = new HashSet<>();
    ArrayDeque<String> open = new ArrayDeque<>(List.of(operand));
    while (!open.isEmpty() && seen.size() < MOST_NODES) {
      String value = open.pop();
      if (!seen.add(value)) {
        continue;
      }
      Node n = graph.producer(value);
      if (n == null || !n.graph().bodies(n).isEmpty()) {
        if (streams.dependency(value) != 0) {
          bare.add(value);
        }
        continue;
      }
      String read = projects(graph, n);
      if (read != null) {
        // An adapter of low rank projects twice in a row: both belong to one projection.
        String source = plain(graph, read);
        for (String deeper = projection(graph, source); deeper != null; deeper = projection(graph, source)) {
          source = plain(graph, deeper);
        }
        if (streams.dependency(source) != 0) {
          projected.add(source);
        }
      } else if (n.is("MatMul", "Einsum", "Softmax")) {
        if (streams.dependency(value) != 0) {
          bare.add(value);
        }
      } else {
        for (int i : StreamTracer.dataInputs(n)) {
          if (n.has(i)) {
            open.push(n.input(i));
          }
        }
      }
    }
    return projected.isEmpty() ? bare : projected;
  }

  private String projection(Graph graph, String value) {
    Node n = graph.producer(value);
    return n == null ? null : projects(graph, n);
  }

  /** The activation that a projection reads, or null if the node is none. */
  private String projects(Graph graph, Node n) {
    if (!n.is("MatMul", "Einsum", "Gemm", "Conv", "com.microsoft.FusedMatMul", "MatMulInteger", "com.microsoft.MatMulNBits")) {
      return null;
    }
    if (context.isConstant(graph, n.input(1))) {
      return n.input(0);
    }
    return context.isConstant(graph, n.input(0)) ? n.input(1) : null;
  }

  /** One tensor under several names: reshapes and casts that each projection may have of its own. */
  private static String plain(Graph graph, String value) {
    Node n = graph.producer(value);
    while (n != null && n.is("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten", "Dropout")) {
      value = n.input(0);
      n = graph.producer(value);
    }
    return value;
  }
}
