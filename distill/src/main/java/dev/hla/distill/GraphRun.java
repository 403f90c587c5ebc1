package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import dev.hla.converter.HlaException;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.graph.Node;
import dev.hla.converter.rewrite.SiteProbe;
import dev.hla.converter.wiring.Operand;
import dev.hla.converter.wiring.Wiring;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One evaluation of the moving part of a model, with Hadamard attention at its sites. Everything is computed in float32. */
final class GraphRun {
  private final NDManager manager;
  private final MovedGraph graph;
  private final long opset;
  private final Map<String, FeatureMap> maps;
  private final Map<String, Tensor> read;
  private final Map<String, NDArray> arrays = new HashMap<>();

  /**
   * @param manager holds all arrays of the run
   * @param maps by site name
   * @param read what the original gave, by value
   */
  GraphRun(NDManager manager, MovedGraph graph, Map<String, FeatureMap> maps, Map<String, Tensor> read) {
    this.manager = manager;
    this.graph = graph;
    this.opset = graph.model().opset("");
    this.maps = maps;
    this.read = read;
  }

  /** The model's output. */
  NDArray output() {
    for (Node node : graph.nodes()) {
      List<NDArray> results = GraphOperators.of(node).apply(node, this);
      for (int i = 0; i < results.size(); i++) {
        if (!node.output(i).isEmpty()) {
          arrays.put(node.output(i), results.get(i));
        }
      }
    }
    return arrays.containsKey(graph.output()) ? arrays.get(graph.output()) : attention(graph.output());
  }

  long opset() {
    return opset;
  }

  NDManager manager() {
    return manager;
  }

  /** Input i of a node as an array. */
  NDArray array(Node node, int i) {
    return array(node.input(i));
  }

  private NDArray array(String value) {
    NDArray array = arrays.get(value);
    if (array == null) {
      array = graph.sites().containsKey(value) ? attention(value) : constant(value);
      arrays.put(value, array);
    }
    return array;
  }

  private NDArray constant(String value) {
    Tensor tensor = read.get(value);
    if (tensor == null) {
      throw new HlaException(graph.model().path() + ": the value " + value + " is not known; its operator came out of order");
    }
    NDArray floats = Torch.array(manager, tensor.floats(), tensor.shape());
    return tensor.type() == ElementType.BOOL ? floats.toType(DataType.BOOLEAN, false)
        : tensor.type().isFloat() ? floats : floats.toType(DataType.INT64, false);
  }

  /** Input i of a node as whole numbers: a shape, axes or indices, which never depend on the maps. */
  long[] integers(Node node, int i) {
    Tensor tensor = read.get(node.input(i));
    if (tensor == null) {
      throw new HlaException(graph.model().path() + ": " + node + " reads " + node.input(i)
          + ", which depends on the maps, as whole numbers; such a model cannot be refined end to end");
    }
    long[] values = new long[tensor.size()];
    for (int k = 0; k < values.length; k++) {
      values[k] = (long) tensor.get(k);
    }
    return values;
  }

  /** The shape of an input that was read from the original. */
  long[] shape(Node node, int i) {
    return read.containsKey(node.input(i)) ? read.get(node.input(i)).shape() : array(node, i).getShape().getShape();
  }

  private NDArray attention(String value) {
    SiteProbe.Names names = graph.sites().get(value);
    FeatureMap map = maps.get(names.site().name());
    NDArray key = array(names.key());
    NDArray keyWeight = names.keyWeight().isEmpty() ? null : array(names.keyWeight());
    NDArray sums = map.sums(map.features("query", array(names.query())), map.features("key", key), array(names.value()), keyWeight);
    NDArray output = FeatureMap.attend(sums, SiteMaps.DEFAULT_EPSILON);
    String axes = Wiring.of(names.site()).output().axes();
    return switch (axes) {
      case Operand.BHND -> output;
      case Operand.BNHD -> output.transpose(0, 2, 1, 3);
      case Operand.PACKED -> {
        Shape shape = output.getShape();
        yield output.transpose(0, 2, 1, 3).reshape(shape.get(0), shape.get(2), shape.get(1) * shape.get(3));
      }
      default -> throw new HlaException(graph.model().path() + ": " + names.site().name() + " gives its output as " + axes
          + ", which cannot be refined end to end; leave the site out, or do without refinement");
    };
  }
}
