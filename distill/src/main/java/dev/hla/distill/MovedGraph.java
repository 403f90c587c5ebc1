package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.rewrite.SiteProbe;
import dev.hla.converter.wiring.Wiring;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The part of a model that changes when its attention sites get other maps: what lies between the sites' outputs and the
 * model's output. Only this part has to be computed where gradients flow; what it reads from the rest comes from ONNX
 * Runtime, from the same run of the original that gives the output to learn from.
 *
 * @param model the original with what is read from it as further outputs
 * @param output the model's output
 * @param nodes the nodes that change, in order
 * @param sites the sites by the value that each one makes
 * @param read values read from the original, by the name of the output that shows them
 * @param constants those among them that no input changes
 */
record MovedGraph(OnnxModel model, String output, List<Node> nodes, Map<String, SiteProbe.Names> sites, Map<String, String> read,
    Set<String> constants) {

  /**
   * Follows the sites to the output.
   *
   * @param given names of the inputs that are given, those with a value in the file among them
   * @throws HlaException where the output depends on none of the sites
   */
  static MovedGraph of(OnnxModel original, List<AttentionSite> sites, Set<String> given) {
    return new Builder(original, sites, given).build();
  }

  private static final class Builder {
    private final SiteProbe probe;
    private final Graph graph;
    private final Map<String, SiteProbe.Names> sites = new LinkedHashMap<>();
    private final Set<String> needed = new HashSet<>();
    private final Set<String> moved = new HashSet<>();
    private final Set<String> varying = new HashSet<>();

    Builder(OnnxModel original, List<AttentionSite> chosen, Set<String> given) {
      probe = SiteProbe.of(original, chosen);
      graph = Graph.of(probe.model().proto().getGraph(), original.path().toString());
      graph.inputs().keySet().stream().filter(v -> graph.initializer(v) == null || given.contains(v)).forEach(varying::add);
      probe.sites().forEach(names -> sites.put(Wiring.of(names.site()).output().value(), names));
    }

    MovedGraph build() {
      String output = graph.outputs().get(0);
      need(output);
      follow();
      if (!moved.contains(output)) {
        throw new HlaException(graph.path() + ": its output " + output + " depends on none of the sites; there is nothing to refine");
      }
      List<Node> nodes = ordered(output);
      Set<String> read = new LinkedHashSet<>();
      read.add(output);
      nodes.forEach(node -> node.proto().getInputList().stream().filter(v -> !v.isEmpty() && !moved.contains(v)).forEach(read::add));
      for (SiteProbe.Names names : sites.values()) {
        inputs(names).stream().filter(v -> !moved.contains(v)).forEach(read::add);
      }
      return shown(output, nodes, read);
    }

    /** Goes back from the output; a site needs what it attends with, not the softmax that made its output. */
    private void need(String output) {
      Deque<String> open = new ArrayDeque<>(List.of(output));
      while (!open.isEmpty()) {
        String value = open.pop();
        if (value.isEmpty() || !needed.add(value)) {
          continue;
        }
        if (sites.containsKey(value)) {
          inputs(sites.get(value)).forEach(open::push);
        } else if (graph.producer(value) != null) {
          graph.producer(value).proto().getInputList().forEach(open::push);
        }
      }
    }

    /** Goes forward from the sites' outputs and what varies. The shape of a value does not change with the maps. */
    private void follow() {
      for (Node node : graph.order()) {
        List<String> inputs = node.proto().getInputList();
        boolean changed = !node.is("Shape") && inputs.stream().anyMatch(moved::contains);
        boolean varies = inputs.stream().anyMatch(varying::contains);
        for (String value : node.proto().getOutputList()) {
          if (varies) {
            varying.add(value);
          }
          if (needed.contains(value) && (changed || sites.containsKey(value))) {
            moved.add(value);
          }
        }
      }
    }

    /** The nodes that change, each after what it reads; a site's output comes after what the site reads. */
    private List<Node> ordered(String output) {
      Set<Node> ordered = new LinkedHashSet<>();
      Set<String> entered = new HashSet<>();
      Deque<String> open = new ArrayDeque<>(List.of(output));
      while (!open.isEmpty()) {
        String value = open.peek();
        List<String> before = sites.containsKey(value) ? inputs(sites.get(value)) : graph.producer(value).proto().getInputList();
        if (entered.add(value)) {
          before.stream().filter(v -> moved.contains(v) && !entered.contains(v)).forEach(open::push);
        } else {
          open.pop();
          if (!sites.containsKey(value)) {
            ordered.add(graph.producer(value));
          }
        }
      }
      return List.copyOf(ordered);
    }

    private static List<String> inputs(SiteProbe.Names names) {
      return names.keyWeight().isEmpty() ? List.of(names.query(), names.key(), names.value())
          : List.of(names.query(), names.key(), names.value(), names.keyWeight());
    }

    /** Makes what is read an output; initializers by way of a node, as not every runtime shows them. */
    private MovedGraph shown(String output, List<Node> nodes, Set<String> read) {
      GraphProto.Builder proto = probe.model().proto().getGraph().toBuilder().clearOutput();
      Map<String, String> shown = new LinkedHashMap<>();
      for (String value : read) {
        String name = value;
        if (graph.producer(value) == null) {
          name = "hla.read/" + value;
          proto.addNode(NodeProto.newBuilder().setOpType("Identity").setName(name).addInput(value).addOutput(name));
        }
        proto.addOutput(ValueInfoProto.newBuilder().setName(name));
        shown.put(value, name);
      }
      Set<String> constants = new HashSet<>();
      read.stream().filter(v -> !varying.contains(v)).forEach(constants::add);
      OnnxModel model = new OnnxModel(probe.model().path(), probe.model().proto().toBuilder().setGraph(proto).build());
      return new MovedGraph(model, output, List.copyOf(nodes), new HashMap<>(sites), shown, constants);
    }
  }
}
