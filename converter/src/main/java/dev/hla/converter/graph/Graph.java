package dev.hla.converter.graph;

import dev.hla.converter.HlaException;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.SparseTensorProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An index over one scope of a model: the main graph, the body of an If, Loop or Scan, or the body of a model-local
 * function. It knows who produces and who reads each value. A body sees the values of the graphs around it; a value
 * that a body captures counts as read by the node that holds the body.
 *
 * <p>Building it takes time and memory in proportion to the nodes, and rejects a graph that no runtime could run: a
 * value produced twice, a value that nothing produces, a cycle.
 */
public final class Graph {
  private final Graph parent;
  private final String path;
  private final List<Node> nodes = new ArrayList<>();
  private final List<Node> order = new ArrayList<>();
  private final Map<String, Node> producers = new HashMap<>();
  private final Map<String, List<Node>> consumers = new HashMap<>();
  private final Map<String, TensorProto> initializers = new LinkedHashMap<>();
  private final Map<String, ValueInfoProto> inputs = new LinkedHashMap<>();
  private final Map<String, ValueInfoProto> valueInfo = new HashMap<>();
  private final Set<String> sparse = new HashSet<>();
  private final Set<String> outputs;
  private final List<String> outputNames;
  private final Map<Node, List<Graph>> bodies = new LinkedHashMap<>();
  private final FunctionProto function;

  /** @param file named in errors */
  public static Graph of(GraphProto proto, String file) {
    return new Graph(proto, null, file);
  }

  public static Graph of(FunctionProto function, String file) {
    return new Graph(function, file);
  }

  private Graph(GraphProto proto, Graph parent, String path) {
    this.parent = parent;
    this.path = path;
    this.function = parent == null ? null : parent.function;
    for (TensorProto t : proto.getInitializerList()) {
      initializers.put(t.getName(), t);
    }
    for (SparseTensorProto t : proto.getSparseInitializerList()) {
      sparse.add(t.getValues().getName());
    }
    for (ValueInfoProto v : proto.getInputList()) {
      inputs.put(v.getName(), v);
    }
    for (ValueInfoProto v : proto.getValueInfoList()) {
      valueInfo.put(v.getName(), v);
    }
    outputNames = new ArrayList<>();
    for (ValueInfoProto v : proto.getOutputList()) {
      outputNames.add(v.getName());
      valueInfo.putIfAbsent(v.getName(), v);
    }
    outputs = new HashSet<>(outputNames);
    index(proto.getNodeList());
  }

  private Graph(FunctionProto proto, String file) {
    this.parent = null;
    this.path = file + ", function " + proto.getName();
    this.function = proto;
    for (String input : proto.getInputList()) {
      inputs.put(input, ValueInfoProto.newBuilder().setName(input).build());
    }
    for (ValueInfoProto v : proto.getValueInfoList()) {
      valueInfo.put(v.getName(), v);
    }
    outputNames = proto.getOutputList();
    outputs = new HashSet<>(outputNames);
    index(proto.getNodeList());
  }

  private void index(List<NodeProto> protos) {
    for (NodeProto p : protos) {
      Node node = new Node(this, nodes.size(), p);
      nodes.add(node);
      for (String out : p.getOutputList()) {
        if (!out.isEmpty() && (producers.put(out, node) != null || inputs.containsKey(out))) {
          throw new HlaException(path + ": two producers of the value '" + out + "' (one is " + node.label()
              + "); a valid ONNX graph has one: check the exporter");
        }
      }
    }
    for (Node node : nodes) {
      for (String in : node.proto().getInputList()) {
        read(in, node);
      }
      List<GraphProto> inner = Node.bodies(node.proto());
      if (!inner.isEmpty()) {
        List<Graph> indexed = new ArrayList<>();
        for (GraphProto body : inner) {
          Graph g = new Graph(body, this, path + ", body of " + node.label());
          indexed.add(g);
          g.captured().forEach(name -> read(name, node));
        }
        bodies.put(node, indexed);
      }
    }
    sort();
  }

  private void read(String value, Node by) {
    if (value.isEmpty()) {
      return;
    }
    List<Node> readers = consumers.computeIfAbsent(value, k -> new ArrayList<>(2));
    if (readers.isEmpty() || readers.get(readers.size() - 1) != by) {
      readers.add(by);
    }
  }

  /** The values that this body takes from around it. */
  private Set<String> captured() {
    Set<String> names = new HashSet<>();
    for (String read : consumers.keySet()) {
      if (!owns(read)) {
        names.add(read);
      }
    }
    for (String output : outputs) {
      if (!output.isEmpty() && !owns(output)) {
        names.add(output);
      }
    }
    return names;
  }

  private boolean owns(String value) {
    return producers.containsKey(value) || inputs.containsKey(value) || initializers.containsKey(value)
        || sparse.contains(value);
  }

  /** Orders the nodes so that each comes after what it reads; files usually are in such an order already. */
  private void sort() {
    int[] waiting = new int[nodes.size()];
    ArrayDeque<Node> ready = new ArrayDeque<>();
    for (Map.Entry<String, List<Node>> e : consumers.entrySet()) {
      if (producers.containsKey(e.getKey())) {
        e.getValue().forEach(n -> waiting[n.index()]++);
      } else if (parent == null && !owns(e.getKey())) {
        throw new HlaException(path + ": " + e.getValue().get(0).label() + " reads '" + e.getKey()
            + "', which no node, input or initializer produces");
      }
    }
    boolean inOrder = true;
    Set<String> seen = new HashSet<>();
    for (Node n : nodes) {
      for (String in : n.proto().getInputList()) {
        inOrder &= !producers.containsKey(in) || seen.contains(in);
      }
      seen.addAll(n.proto().getOutputList());
    }
    if (inOrder) {
      order.addAll(nodes);
      return;
    }
    nodes.stream().filter(n -> waiting[n.index()] == 0).forEach(ready::add);
    while (!ready.isEmpty()) {
      Node n = ready.poll();
      order.add(n);
      for (String out : n.proto().getOutputList()) {
        for (Node reader : out.isEmpty() ? List.<Node>of() : consumers.getOrDefault(out, List.of())) {
          if (--waiting[reader.index()] == 0) {
            ready.add(reader);
          }
        }
      }
    }
    if (order.size() < nodes.size()) {
      Node stuck = nodes.stream().filter(n -> waiting[n.index()] > 0).findFirst().orElseThrow();
      throw new HlaException(path + ": the graph has a cycle through " + stuck.label() + "; a valid ONNX graph has none");
    }
  }

  /** In the file's order. */
  public List<Node> nodes() {
    return Collections.unmodifiableList(nodes);
  }

  /** Each node after those whose values it reads. */
  public List<Node> order() {
    return Collections.unmodifiableList(order);
  }

  public Graph parent() {
    return parent;
  }

  /** The function whose body this is or lies in, or null. */
  public FunctionProto function() {
    return function;
  }

  /** For errors: the file, and the way from it to this scope. */
  public String path() {
    return path;
  }

  /** The graph around this one that has no parent: values of all graphs under one root share one name space. */
  public Graph root() {
    return parent == null ? this : parent.root();
  }

  /** The node that produces a value here or in a graph around this one; null for inputs, initializers and "". */
  public Node producer(String value) {
    for (Graph g = this; g != null; g = g.parent) {
      Node n = g.producers.get(value);
      if (n != null || g.owns(value)) {
        return n;
      }
    }
    return null;
  }

  /** Who reads a value of this graph. */
  public List<Node> consumers(String value) {
    return consumers.getOrDefault(value, List.of());
  }

  public boolean isOutput(String value) {
    return outputs.contains(value);
  }

  public List<String> outputs() {
    return outputNames;
  }

  public Map<String, ValueInfoProto> inputs() {
    return Collections.unmodifiableMap(inputs);
  }

  /** An initializer of this graph or one around it, or null. */
  public TensorProto initializer(String value) {
    for (Graph g = this; g != null; g = g.parent) {
      TensorProto t = g.initializers.get(value);
      if (t != null || g.owns(value)) {
        return t;
      }
    }
    return null;
  }

  public ValueInfoProto valueInfo(String value) {
    for (Graph g = this; g != null; g = g.parent) {
      ValueInfoProto v = g.valueInfo.getOrDefault(value, g.inputs.get(value));
      if (v != null) {
        return v;
      }
    }
    return null;
  }

  public List<Graph> bodies(Node node) {
    return bodies.getOrDefault(node, List.of());
  }

  public Map<String, TensorProto> initializers() {
    return Collections.unmodifiableMap(initializers);
  }
}
