package dev.hla.converter.graph;

import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto;
import java.util.ArrayList;
import java.util.List;

/** A node at its place in a {@link Graph}; equal only to itself. */
public final class Node {
  public static final String MICROSOFT = "com.microsoft";

  private final Graph graph;
  private final int index;
  private final NodeProto proto;

  Node(Graph graph, int index, NodeProto proto) {
    this.graph = graph;
    this.index = index;
    this.proto = proto;
  }

  public Graph graph() {
    return graph;
  }

  /** The position among the nodes of its graph, as the file has them. */
  public int index() {
    return index;
  }

  public NodeProto proto() {
    return proto;
  }

  /** The operator; one of a domain other than ai.onnx carries it, as in com.microsoft.FusedMatMul. */
  public String op() {
    String domain = proto.getDomain();
    return domain.isEmpty() || domain.equals("ai.onnx") ? proto.getOpType() : domain + "." + proto.getOpType();
  }

  public boolean is(String... ops) {
    String op = op();
    for (String one : ops) {
      if (op.equals(one)) {
        return true;
      }
    }
    return false;
  }

  /** The name, or the operator and first output of a node that has none. */
  public String label() {
    return proto.getName().isEmpty() ? proto.getOpType() + " of " + output(0) : proto.getName();
  }

  public int inputs() {
    return proto.getInputCount();
  }

  /** Input i, or "" where it is left out. */
  public String input(int i) {
    return i < proto.getInputCount() ? proto.getInput(i) : "";
  }

  public boolean has(int i) {
    return !input(i).isEmpty();
  }

  public int outputs() {
    return proto.getOutputCount();
  }

  public String output(int i) {
    return i < proto.getOutputCount() ? proto.getOutput(i) : "";
  }

  public AttributeProto attribute(String name) {
    for (AttributeProto a : proto.getAttributeList()) {
      if (a.getName().equals(name)) {
        return a;
      }
    }
    return null;
  }

  public long integer(String name, long otherwise) {
    AttributeProto a = attribute(name);
    return a == null || !a.hasI() ? otherwise : a.getI();
  }

  public double real(String name, double otherwise) {
    AttributeProto a = attribute(name);
    return a == null || !a.hasF() ? otherwise : a.getF();
  }

  public String string(String name, String otherwise) {
    AttributeProto a = attribute(name);
    return a == null || !a.hasS() ? otherwise : a.getS().toStringUtf8();
  }

  /** A list of integers, or null where the node has no such attribute. */
  public long[] integers(String name) {
    AttributeProto a = attribute(name);
    return a == null ? null : a.getIntsList().stream().mapToLong(Long::longValue).toArray();
  }

  public TensorProto tensor(String name) {
    AttributeProto a = attribute(name);
    return a == null || !a.hasT() ? null : a.getT();
  }

  /** The bodies of an If, Loop or Scan. */
  static List<GraphProto> bodies(NodeProto proto) {
    List<GraphProto> bodies = new ArrayList<>();
    for (AttributeProto a : proto.getAttributeList()) {
      if (a.hasG()) {
        bodies.add(a.getG());
      }
      bodies.addAll(a.getGraphsList());
    }
    return bodies;
  }

  @Override
  public String toString() {
    return op() + " " + label();
  }
}
