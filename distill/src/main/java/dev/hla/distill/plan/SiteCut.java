package dev.hla.distill.plan;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Wiring;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One attention cut out of a model, before and after it was converted: what lies between its queries, keys and values as
 * the projections leave them and its output as the next projection takes it. Layout changes lie inside, for one operator
 * needs them and another does not. What else it reads is fed as the original computes it.
 */
final class SiteCut {
  private final Graph original;
  private final Set<String> computedInside = new HashSet<>();
  private final String output;

  SiteCut(OnnxModel model, AttentionSite site) {
    original = Graph.of(model.proto().getGraph(), model.path().toString());
    Wiring wiring = Wiring.of(site);
    Set<String> stops = Set.of(above(wiring.query().value()), above(wiring.key().value()), above(wiring.value().value()));
    output = below(wiring.output().value());
    for (Node node : original.order()) {
      if (node.proto().getInputList().stream().anyMatch(v -> stops.contains(v) || computedInside.contains(v))) {
        node.proto().getOutputList().stream().filter(v -> !stops.contains(v)).forEach(computedInside::add);
      }
    }
  }

  private String above(String value) {
    Node producer = original.producer(value);
    return producer != null && producer.is("Transpose") ? above(producer.input(0)) : value;
  }

  private String below(String value) {
    List<Node> readers = original.consumers(value);
    boolean moves = readers.size() == 1 && !original.isOutput(value) && readers.get(0).is("Transpose");
    return moves ? below(readers.get(0).output(0)) : value;
  }

  /** Values of the original that the cut reads, in either model. */
  Set<String> reads(OnnxModel model) {
    Set<String> reads = new LinkedHashSet<>();
    Graph graph = Graph.of(model.proto().getGraph(), model.path().toString());
    nodes(graph).forEach(node -> node.proto().getInputList().stream().filter(v -> isRead(graph, v)).forEach(reads::add));
    return reads;
  }

  private boolean isRead(Graph graph, String value) {
    return !value.isEmpty() && graph.initializer(value) == null && !inside(value);
  }

  /** New values of a converted model lie inside; so do those that depend on queries, keys and values. */
  private boolean inside(String value) {
    boolean known = original.producer(value) != null || original.inputs().containsKey(value);
    return !known || computedInside.contains(value);
  }

  private List<Node> nodes(Graph graph) {
    Set<Node> found = new HashSet<>();
    Deque<String> open = new ArrayDeque<>(List.of(output));
    while (!open.isEmpty()) {
      String value = open.pop();
      Node producer = graph.producer(value);
      if (producer != null && (inside(value) || value.equals(output)) && found.add(producer)) {
        producer.proto().getInputList().stream().filter(v -> !v.isEmpty()).forEach(open::push);
      }
    }
    return graph.order().stream().filter(found::contains).toList();
  }

  /**
   * The cut as a model of its own.
   *
   * @param model the original, or with the site converted
   * @param values of what it reads, which fix its shapes
   */
  byte[] model(OnnxModel model, Map<String, Tensor> values) {
    Graph graph = Graph.of(model.proto().getGraph(), model.path().toString());
    GraphProto.Builder cut = GraphProto.newBuilder().setName("site");
    Set<String> weights = new HashSet<>();
    for (Node node : nodes(graph)) {
      cut.addNode(node.proto());
      weights.addAll(node.proto().getInputList());
    }
    for (TensorProto initializer : model.proto().getGraph().getInitializerList()) {
      if (weights.contains(initializer.getName())) {
        cut.addInitializer(initializer);
      }
    }
    for (String read : reads(model)) {
      TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
      for (long size : values.get(read).shape()) {
        shape.addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(size));
      }
      int type = onnx(values.get(read).type()).getNumber();
      cut.addInput(ValueInfoProto.newBuilder().setName(read)
          .setType(TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(type).setShape(shape))));
    }
    ModelProto.Builder whole = model.proto().toBuilder().clearGraph();
    return whole.setGraph(cut.addOutput(ValueInfoProto.newBuilder().setName(output))).build().toByteArray();
  }

  private static TensorProto.DataType onnx(ElementType type) {
    return switch (type) {
      case FLOAT32 -> TensorProto.DataType.FLOAT;
      case FLOAT64 -> TensorProto.DataType.DOUBLE;
      default -> TensorProto.DataType.valueOf(type.name());
    };
  }
}
