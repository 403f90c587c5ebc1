package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/** What a conversion must leave as it was: all that is outside the site. */
record Untouched(ModelProto before, ModelProto after) {
  /**
   * @param site prefix of the names of new nodes
   * @param moreTransposes how many Transposes may come on top
   */
  void check(String site, int moreTransposes) {
    nodes(site);
    Map<String, NodeProto> kept = byName(after);
    for (NodeProto n : byName(before).values()) {
      assertTrue(kept.containsKey(n.getName()) || belongsToSite(n), () -> n.getName() + " is gone, though it is outside the site");
    }
    long added = transposes(after) - transposes(before);
    assertTrue(added <= moreTransposes, () -> added + " more Transposes");
    initializers();
    assertEquals(before.getMetadataPropsList(),
        after.getMetadataPropsList().stream().filter(p -> !p.getKey().equals(Rewriter.SOURCE_PRODUCER)).toList());
    assertTrue(after.getMetadataPropsList().stream().anyMatch(
        p -> p.getKey().equals(Rewriter.SOURCE_PRODUCER) && p.getValue().startsWith(before.getProducerName())));
    assertEquals(before.getGraph().getName(), after.getGraph().getName());
    assertEquals(before.getGraph().getInputList(), after.getGraph().getInputList());
    assertEquals(before.getGraph().getOutputList(), after.getGraph().getOutputList());
    assertTrue(after.getOpsetImportList().containsAll(before.getOpsetImportList()));
  }

  /** Nodes that stay are equal, and in the same order; the others carry the site's name. */
  void nodes(String site) {
    Map<String, NodeProto> old = byName(before);
    List<String> stayed = new ArrayList<>();
    for (NodeProto n : byName(after).values()) {
      NodeProto was = old.get(n.getName());
      if (was == null) {
        assertTrue(n.getName().startsWith(site + "/"), () -> n.getName() + " is new, but not named after the site");
      } else {
        stayed.add(n.getName());
        assertEquals(withoutBodies(was), withoutBodies(n));
      }
    }
    Set<String> names = Set.copyOf(stayed);
    assertEquals(old.keySet().stream().filter(names::contains).toList(), stayed, "the order of nodes");
  }

  /** Those that stay are equal and in order; those that are gone are read by nobody. */
  void initializers() {
    Map<String, TensorProto> old = before.getGraph().getInitializerList().stream().collect(Collectors.toMap(TensorProto::getName, Function.identity()));
    List<String> stayed = new ArrayList<>();
    for (TensorProto t : after.getGraph().getInitializerList()) {
      if (old.containsKey(t.getName())) {
        assertEquals(old.get(t.getName()), t);
        stayed.add(t.getName());
      }
    }
    assertEquals(before.getGraph().getInitializerList().stream().map(TensorProto::getName).filter(stayed::contains).toList(), stayed);
    for (String name : old.keySet()) {
      assertTrue(stayed.contains(name) || !name.startsWith("weights.") || !isWeightOfTheRest(name), () -> "the initializer " + name + " is gone");
    }
  }

  /** com.microsoft.Attention holds its own projection; all other weights are outside the site. */
  private boolean isWeightOfTheRest(String name) {
    return before.getGraph().getNodeList().stream().anyMatch(n -> n.getInputList().contains(name) && !belongsToSite(n));
  }

  private static boolean belongsToSite(NodeProto n) {
    return n.getName().startsWith("/block/attn/") || n.getName().startsWith("/block/heads/") || n.getName().startsWith("/block/mask/");
  }

  private static long transposes(ModelProto model) {
    return byName(model).values().stream().filter(n -> n.getOpType().equals("Transpose")).count();
  }

  private static NodeProto withoutBodies(NodeProto n) {
    NodeProto.Builder b = n.toBuilder();
    b.getAttributeBuilderList().forEach(AttributeProto.Builder::clearG);
    return b.build();
  }

  /** All nodes, those of bodies and of the model's own functions, too. */
  private static Map<String, NodeProto> byName(ModelProto model) {
    Map<String, NodeProto> nodes = new LinkedHashMap<>();
    collect(model.getGraph(), nodes);
    model.getFunctionsList().stream().filter(f -> f.getDomain().equals("local"))
        .forEach(f -> f.getNodeList().stream().filter(n -> !n.getOpType().equals("Constant")).forEach(n -> nodes.put(n.getName(), n)));
    return nodes;
  }

  private static void collect(GraphProto graph, Map<String, NodeProto> nodes) {
    for (NodeProto n : graph.getNodeList()) {
      nodes.put(n.getName(), n);
      n.getAttributeList().stream().filter(AttributeProto::hasG).forEach(a -> collect(a.getG(), nodes));
    }
  }
}
