package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.shape.Shapes;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Follows a stream of tokens upwards along its residual trunk to where its tokens come from: a patch embedding, a token
 * embedding or a graph input. Where two streams are joined along the tokens, both are followed.
 *
 * <p>Only data counts: what merely lends its shape (Shape, Size) is no source.
 */
final class StreamTracer {
  private static final int MOST_INPUTS = 63;

  private final Graph root;
  private final Context context;
  private final Map<String, Long> dependencies = new HashMap<>();
  private final Map<String, Set<String>> roots = new HashMap<>();
  private final Map<Node, Integer> order = new HashMap<>();
  private long primary;

  StreamTracer(Graph root, Context context) {
    this.root = root;
    this.context = context;
    List<String> streams = streams();
    for (String s : streams) {
      dependencies.put(s, 1L << dependencies.size());
    }
    primary = primary(streams);
    visit(root);
  }

  /** Real numbers along two axes are the samples of a sound; beside inputs of more axes they are a condition, and no tokens. */
  private List<String> streams() {
    List<ValueInfoProto> given = root.inputs().values().stream().filter(in -> root.initializer(in.getName()) == null).toList();
    boolean sound = given.stream().noneMatch(this::isWide);
    return given.stream().filter(in -> isWide(in) || (context.shapes.rank(in.getName()) == 2 && (sound || isIndex(in)))).map(ValueInfoProto::getName)
        .limit(MOST_INPUTS).toList();
  }

  private boolean isWide(ValueInfoProto in) {
    int rank = context.shapes.rank(in.getName());
    return rank >= 3 || rank < 0;
  }

  private static boolean isIndex(ValueInfoProto in) {
    int type = in.getType().getTensorType().getElemType();
    return type == 6 || type == 7;
  }

  /** The input that the first output looks like: the latents of a diffusion model. */
  private long primary(List<String> streams) {
    if (root.outputs().isEmpty()) {
      return 0;
    }
    Shapes shapes = context.shapes;
    List<Dim> output = shapes.of(root.outputs().get(0));
    long best = 0;
    int most = -1;
    for (String s : streams) {
      List<Dim> dims = shapes.of(s);
      if (output == null || dims == null || dims.size() != output.size()) {
        continue;
      }
      int same = 0;
      for (int i = 0; i < dims.size(); i++) {
        same += dims.get(i).equals(output.get(i)) ? 1 : 0;
      }
      if (same > most) {
        most = same;
        best = dependencies.get(s);
      }
    }
    return best;
  }

  private void visit(Graph graph) {
    for (Node n : graph.order()) {
      order.put(n, order.size());
      long mask = 0;
      if (!n.is("Shape", "Size", "ConstantOfShape", "Range")) {
        for (int i : dataInputs(n)) {
          mask |= dependency(n.input(i));
        }
        for (Graph body : graph.bodies(n)) {
          long outer = mask;
          body.inputs().keySet().forEach(in -> dependencies.put(in, outer));
          visit(body);
          for (String out : body.outputs()) {
            mask |= dependency(out);
          }
        }
      }
      if (mask != 0) {
        for (int i = 0; i < n.outputs(); i++) {
          dependencies.put(n.output(i), mask);
        }
      }
    }
  }

  long dependency(String value) {
    return dependencies.getOrDefault(value, 0L);
  }

  /** The inputs that bring data, not sizes, indices or axes. */
  static int[] dataInputs(Node n) {
    return switch (n.op()) {
      case "Reshape", "Expand", "Tile", "Slice", "GatherElements", "GatherND", "Squeeze", "Unsqueeze", "Split", "Pad", "Cast",
          "Transpose", "Identity", "Flatten", "ReduceMean", "ReduceSum", "Clip", "LayerNormalization", "SimplifiedLayerNormalization",
          "RMSNormalization", "RotaryEmbedding", "com.microsoft.RotaryEmbedding", "Dropout" -> new int[] {0};
      case "ScatterND", "ScatterElements" -> new int[] {0, 2};
      // Of a table of embeddings the indices are the tokens.
      case "Gather" -> new int[] {0, 1};
      case "Where" -> new int[] {1, 2};
      default -> {
        int[] all = new int[n.inputs()];
        for (int i = 0; i < all.length; i++) {
          all[i] = i;
        }
        yield all;
      }
    };
  }

  /** Whether the stream begins at another input than the one that the model's output is a new version of. */
  boolean isSide(Set<String> of) {
    long mask = 0;
    for (String r : of) {
      mask |= dependency(r);
    }
    return primary != 0 && mask != 0 && (mask & primary) == 0;
  }

  /** Where the tokens of a value come from; two or more if streams were joined along the tokens. */
  Set<String> roots(Graph graph, String value) {
    Set<String> known = roots.get(value);
    if (known != null) {
      return known;
    }
    Set<String> found = new LinkedHashSet<>();
    Set<String> seen = new HashSet<>();
    ArrayDeque<String> open = new ArrayDeque<>(List.of(value));
    while (!open.isEmpty()) {
      String next = open.pop();
      if (seen.add(next)) {
        follow(graph, next, found, open);
      }
    }
    roots.put(value, found);
    return found;
  }

  /** Adds the value's root to those found, or where streams are joined, puts each of them among the open ones. */
  private void follow(Graph graph, String from, Set<String> found, ArrayDeque<String> open) {
    String value = from;
    while (true) {
      Set<String> known = roots.get(value);
      if (known != null) {
        found.addAll(known);
        return;
      }
      Node n = graph.producer(value);
      List<String> data = n == null ? List.of() : data(n);
      if (data.isEmpty() || n.is("Conv") || (n.is("Gather") && context.isConstant(graph, n.input(0)))) {
        if (dependency(value) != 0) {
          found.add(value);
        }
        return;
      }
      if (n.is("Concat") && joinsTokens(n)) {
        data.forEach(open::push);
        return;
      }
      value = data.size() == 1 || n.is("MatMul", "Gemm", "Einsum", "com.microsoft.FusedMatMul") ? data.get(0) : trunk(n, data);
    }
  }

  private List<String> data(Node n) {
    List<String> data = new ArrayList<>();
    for (int i : dataInputs(n)) {
      if (dependency(n.input(i)) != 0) {
        data.add(n.input(i));
      }
    }
    return data;
  }

  /** Joining along the last axis puts channels side by side: the tokens stay the same. */
  private boolean joinsTokens(Node concat) {
    int rank = context.shapes.rank(concat.output(0));
    long axis = concat.integer("axis", 0);
    return axis != -1 && (rank < 0 || axis != rank - 1);
  }

  /** Of several operands, the residual stream: the one that the others were computed from. */
  private String trunk(Node n, List<String> data) {
    String best = data.get(0);
    for (String other : data.subList(1, data.size())) {
      boolean later = isAncestor(n.graph(), other, best);
      boolean moves = !later && !isAncestor(n.graph(), best, other) && (dependency(best) & primary) == 0 && (dependency(other) & primary) != 0;
      best = later || moves ? other : best;
    }
    return best;
  }

  private boolean isAncestor(Graph graph, String ancestor, String of) {
    Node target = graph.producer(ancestor);
    int floor = target == null ? -1 : order.get(target);
    ArrayDeque<String> open = new ArrayDeque<>(List.of(of));
    Set<String> seen = new HashSet<>();
    while (!open.isEmpty()) {
      String value = open.pop();
      if (value.equals(ancestor)) {
        return true;
      }
      Node n = graph.producer(value);
      if (n == null || order.get(n) <= floor || !seen.add(value)) {
        continue;
      }
      for (int i : dataInputs(n)) {
        if (dependency(n.input(i)) != 0) {
          open.push(n.input(i));
        }
      }
    }
    return false;
  }
}
