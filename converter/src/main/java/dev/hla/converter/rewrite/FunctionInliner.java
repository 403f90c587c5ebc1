package dev.hla.converter.rewrite;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;

/** Puts the body of each model-local function where it is called, under names that begin with the call's. */
final class FunctionInliner {
  private final OnnxModel model;
  private final Map<String, FunctionProto> functions = new HashMap<>();
  private final Set<String> prefixes = new HashSet<>();

  FunctionInliner(OnnxModel model) {
    this.model = model;
    model.proto().getFunctionsList().forEach(f -> functions.put(key(f.getDomain(), f.getName(), f.getOverload()), f));
  }

  private static String key(String domain, String name, String overload) {
    return domain + "\n" + name + "\n" + overload;
  }

  /** The model without functions. */
  ModelProto inline() {
    if (functions.isEmpty()) {
      return model.proto();
    }
    return model.proto().toBuilder().clearFunctions().setGraph(inlined(model.proto().getGraph())).build();
  }

  private GraphProto inlined(GraphProto graph) {
    List<NodeProto> nodes = inlined(graph.getNodeList());
    return graph.toBuilder().clearNode().addAllNode(nodes).build();
  }

  private List<NodeProto> inlined(List<NodeProto> nodes) {
    List<NodeProto> out = new ArrayList<>();
    for (NodeProto n : nodes) {
      FunctionProto f = functions.get(key(n.getDomain(), n.getOpType(), n.getOverload()));
      if (f != null) {
        out.addAll(inlined(body(n, f)));
        continue;
      }
      NodeProto.Builder kept = n.toBuilder();
      for (AttributeProto.Builder a : kept.getAttributeBuilderList()) {
        if (a.hasG()) {
          a.setG(inlined(a.getG()));
        }
        for (int i = 0; i < a.getGraphsCount(); i++) {
          a.setGraphs(i, inlined(a.getGraphs(i)));
        }
      }
      out.add(kept.build());
    }
    return out;
  }

  private List<NodeProto> body(NodeProto call, FunctionProto f) {
    requireOpset(f);
    String prefix = call.getName().isEmpty() ? f.getName() : call.getName();
    for (int i = 2; !prefixes.add(prefix); i++) {
      prefix = (call.getName().isEmpty() ? f.getName() : call.getName()) + "_" + i;
    }
    Map<String, String> outer = new HashMap<>();
    List<NodeProto> nodes = new ArrayList<>();
    for (int i = 0; i < f.getOutputCount(); i++) {
      if (i < call.getOutputCount() && !call.getOutput(i).isEmpty()) {
        outer.put(f.getOutput(i), call.getOutput(i));
      }
    }
    for (int i = 0; i < f.getInputCount(); i++) {
      String given = i < call.getInputCount() ? call.getInput(i) : "";
      String handedThrough = outer.put(f.getInput(i), given);
      if (handedThrough != null) {
        nodes.add(NodeProto.newBuilder().setOpType("Identity").setName(prefix + "/" + f.getInput(i) + ".Identity").addInput(given)
            .addOutput(handedThrough).build());
      }
    }
    Map<String, AttributeProto> attributes = new HashMap<>();
    f.getAttributeProtoList().forEach(a -> attributes.put(a.getName(), a));
    call.getAttributeList().forEach(a -> attributes.put(a.getName(), a));
    String scope = prefix + "/";
    UnaryOperator<String> rename = value -> value.isEmpty() ? "" : outer.getOrDefault(value, scope + value);
    f.getNodeList().forEach(n -> nodes.add(placed(n, scope, rename, attributes)));
    return nodes;
  }

  private void requireOpset(FunctionProto f) {
    for (OperatorSetIdProto id : f.getOpsetImportList()) {
      if (id.getDomain().isEmpty() && id.getVersion() != model.opset("")) {
        throw new HlaException(model.path() + ": its function " + f.getDomain() + "." + f.getName() + " is of opset " + id.getVersion() + ", the model of "
            + model.opset("") + "; a portable file has one: export the model without functions");
      }
    }
  }

  private static NodeProto placed(NodeProto n, String scope, UnaryOperator<String> rename, Map<String, AttributeProto> attributes) {
    NodeProto.Builder out = n.toBuilder().setName(scope + n.getName()).clearInput().clearOutput().clearAttribute();
    n.getInputList().forEach(v -> out.addInput(rename.apply(v)));
    n.getOutputList().forEach(v -> out.addOutput(rename.apply(v)));
    for (AttributeProto a : n.getAttributeList()) {
      AttributeProto value = a.getRefAttrName().isEmpty() ? a : attributes.get(a.getRefAttrName());
      // An attribute that the call leaves out has the operator's own default.
      if (value != null) {
        AttributeProto.Builder b = value.toBuilder().setName(a.getName());
        if (b.hasG()) {
          b.setG(placed(b.getG(), scope, rename, attributes));
        }
        for (int i = 0; i < b.getGraphsCount(); i++) {
          b.setGraphs(i, placed(b.getGraphs(i), scope, rename, attributes));
        }
        out.addAttribute(b);
      }
    }
    return out.build();
  }

  private static GraphProto placed(GraphProto g, String scope, UnaryOperator<String> rename, Map<String, AttributeProto> attributes) {
    GraphProto.Builder out = g.toBuilder().clearNode().clearValueInfo();
    g.getNodeList().forEach(n -> out.addNode(placed(n, scope, rename, attributes)));
    out.getInputBuilderList().forEach(v -> named(v, rename));
    out.getOutputBuilderList().forEach(v -> named(v, rename));
    out.getInitializerBuilderList().forEach(t -> t.setName(rename.apply(t.getName())));
    return out.build();
  }

  private static void named(ValueInfoProto.Builder value, UnaryOperator<String> rename) {
    value.setName(rename.apply(value.getName()));
  }
}
