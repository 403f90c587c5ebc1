package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.shape.Shapes;
import dev.hla.onnx.FunctionProto;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the callers of model-local functions hand them. A function's inputs have no types of their own; what all its
 * callers agree on holds inside it, too: element types, sizes, and whether an input is a weight.
 */
final class CallSites {
  private final Map<String, Graph> functions = new HashMap<>();
  private final Map<Graph, List<Node>> callers = new IdentityHashMap<>();
  private final Map<Graph, Shapes> shapes = new IdentityHashMap<>();
  private final Map<Graph, Set<String>> constants = new IdentityHashMap<>();

  private CallSites() {}

  static CallSites of(Graph main, List<Graph> functions) {
    CallSites calls = new CallSites();
    functions.forEach(f -> calls.functions.put(key(f.function()), f));
    List<Graph> roots = new ArrayList<>(functions);
    roots.add(main);
    roots.forEach(calls::collect);
    calls.infer(main, functions);
    return calls;
  }

  /** Everything that is known under the main graph or a function's body. */
  Shapes shapes(Graph root) {
    return shapes.get(root);
  }

  /** The inputs of a function that every caller hands a weight. */
  Set<String> constants(Graph function) {
    return constants.getOrDefault(function, Set.of());
  }

  private static String key(FunctionProto f) {
    return f.getDomain().isEmpty() || f.getDomain().equals("ai.onnx") ? f.getName() : f.getDomain() + "." + f.getName();
  }

  private void collect(Graph graph) {
    for (Node n : graph.nodes()) {
      Graph called = functions.get(n.op());
      if (called != null) {
        callers.computeIfAbsent(called, k -> new ArrayList<>()).add(n);
      }
      graph.bodies(n).forEach(this::collect);
    }
  }

  /** Callers before what they call; functions that call each other in a circle come last, with nothing known. */
  private void infer(Graph main, List<Graph> all) {
    Map<Graph, Set<Graph>> called = new IdentityHashMap<>();
    Map<Graph, Integer> waiting = new IdentityHashMap<>();
    callers.forEach((f, nodes) -> nodes.forEach(n -> {
      if (called.computeIfAbsent(n.graph().root(), k -> new HashSet<>()).add(f)) {
        waiting.merge(f, 1, Integer::sum);
      }
    }));
    ArrayDeque<Graph> ready = new ArrayDeque<>(List.of(main));
    all.stream().filter(f -> !waiting.containsKey(f)).forEach(ready::add);
    while (!ready.isEmpty()) {
      Graph g = ready.poll();
      infer(g);
      for (Graph f : called.getOrDefault(g, Set.of())) {
        if (waiting.merge(f, -1, Integer::sum) == 0) {
          ready.add(f);
        }
      }
    }
    all.stream().filter(f -> !shapes.containsKey(f)).forEach(f -> shapes.put(f, Shapes.infer(f)));
  }

  private void infer(Graph root) {
    Map<String, List<Dim>> dims = new HashMap<>();
    Map<String, Integer> types = new HashMap<>();
    Set<String> weights = new HashSet<>();
    List<Node> from = callers.getOrDefault(root, List.of());
    int i = 0;
    for (String input : root.function() == null || from.isEmpty() ? Set.<String>of() : root.inputs().keySet()) {
      List<Dim> agreed = null;
      int type = -1;
      boolean weight = true;
      boolean first = true;
      for (Node n : from) {
        String handed = n.input(i);
        Shapes known = shapes.get(n.graph().root());
        agreed = first ? known.of(handed) : agreed(agreed, known.of(handed), input);
        type = first || type == known.type(handed) ? known.type(handed) : 0;
        weight &= n.graph().initializer(handed) != null || constants(n.graph().root()).contains(handed);
        first = false;
      }
      if (agreed != null) {
        dims.put(input, agreed);
      }
      types.put(input, Math.max(0, type));
      if (weight) {
        weights.add(input);
      }
      i++;
    }
    constants.put(root, weights);
    shapes.put(root, Shapes.infer(root, dims, types));
  }

  private static List<Dim> agreed(List<Dim> a, List<Dim> b, String input) {
    if (a == null || b == null || a.size() != b.size()) {
      return null;
    }
    List<Dim> out = new ArrayList<>();
    for (int d = 0; d < a.size(); d++) {
      out.add(a.get(d).equals(b.get(d)) ? a.get(d) : Dim.unnamed(input + "." + d));
    }
    return out;
  }
}
