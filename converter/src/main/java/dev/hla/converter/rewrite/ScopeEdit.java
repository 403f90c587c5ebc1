package dev.hla.converter.rewrite;

import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.onnx.NodeProto;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What changes in one scope: nodes that go, and nodes that come in the place of one that goes. Taking a node out also
 * takes out what only it needed; nodes that nothing read before stay, since they were so in the original.
 */
final class ScopeEdit {
  private final Graph graph;
  private final Map<Integer, List<NodeProto>> inserted = new HashMap<>();
  private final Set<Integer> removed = new HashSet<>();
  private final Set<String> removedValues = new HashSet<>();
  private final Map<String, Integer> uses = new HashMap<>();

  ScopeEdit(Graph graph) {
    this.graph = graph;
  }

  Graph graph() {
    return graph;
  }

  /** Puts nodes where the given one stands; they may read what it read. */
  void insertBefore(Node place, List<NodeProto> nodes) {
    inserted.computeIfAbsent(place.index(), k -> new ArrayList<>()).addAll(nodes);
    nodes.forEach(n -> n.getInputList().forEach(in -> uses.put(in, uses(in) + 1)));
  }


  private int uses(String value) {
    return uses.computeIfAbsent(value, v -> graph.consumers(v).size() + (graph.isOutput(v) ? 1 : 0));
  }

  /** Removes a node whose outputs are now given by others, and whatever only it read. */
  void remove(Node node) {
    if (!removed.add(node.index())) {
      return;
    }
    Set<String> read = new HashSet<>(node.proto().getInputList());
    for (String in : read) {
      if (in.isEmpty()) {
        continue;
      }
      uses.put(in, uses(in) - 1);
      if (uses(in) > 0) {
        continue;
      }
      Node producer = graph.producer(in);
      if (producer == null) {
        removedValues.add(in);
      } else if (producer.graph() == graph && unused(producer)) {
        remove(producer);
      }
    }
    removedValues.addAll(node.proto().getOutputList());
  }

  private boolean unused(Node node) {
    for (String out : node.proto().getOutputList()) {
      if (!out.isEmpty() && uses(out) > 0) {
        return false;
      }
    }
    return graph.bodies(node).isEmpty();
  }

  boolean removes(Node node) {
    return removed.contains(node.index());
  }

  List<NodeProto> before(Node node) {
    return inserted.getOrDefault(node.index(), List.of());
  }

  /** Values that are gone, and initializers that nothing reads any more. */
  Set<String> removedValues() {
    Set<String> gone = new HashSet<>(removedValues);
    inserted.values().forEach(list -> list.forEach(n -> gone.removeAll(n.getOutputList())));
    gone.remove("");
    return gone;
  }

}
