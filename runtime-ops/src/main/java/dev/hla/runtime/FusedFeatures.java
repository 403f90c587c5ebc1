package dev.hla.runtime;

import dev.hla.converter.HadamardFunction;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The features that a fused node forms and never shows: a copy of the model gets nodes that compute them, so that its
 * denominators can be looked at like those of the core operator.
 */
final class FusedFeatures {
  private static final long SPLIT_SIZES_ARE_AN_INPUT = 13;

  private final GraphProto.Builder graph;
  private final long opset;

  private FusedFeatures(GraphProto.Builder graph, long opset) {
    this.graph = graph;
    this.opset = opset;
  }

  /** The tensor [B, H, tokens, R] that {@link #expose} adds for one side of a fused node. */
  static String name(NodeProto fused, String side) {
    return "hla.features/" + fused.getOutput(0) + "/" + side;
  }

  /** The model, with the features of its fused nodes at the top level. */
  static ModelProto expose(ModelProto model) {
    List<NodeProto> fused = model.getGraph().getNodeList().stream()
        .filter(n -> n.getDomain().equals(HadamardFunction.DOMAIN) && n.getOpType().equals(HadamardFunction.FUSED)).toList();
    if (fused.isEmpty()) {
      return model;
    }
    long opset = model.getOpsetImportList().stream().filter(id -> id.getDomain().isEmpty() || id.getDomain().equals("ai.onnx"))
        .mapToLong(OperatorSetIdProto::getVersion).findFirst().orElse(0);
    GraphProto.Builder graph = model.getGraph().toBuilder();
    FusedFeatures features = new FusedFeatures(graph, opset);
    for (NodeProto node : fused) {
      features.side(node, "query", node.getInput(0), node.getInput(3), node.getInput(4), "");
      features.side(node, "key", node.getInput(1), node.getInput(5), node.getInput(6), HadamardFunction.keyMask(node));
    }
    return model.toBuilder().setGraph(graph).build();
  }

  private void side(NodeProto node, String side, String x, String weight, String bias, String mask) {
    String name = name(node, side);
    String heads = x;
    if (attribute(node, "layout").getS().toStringUtf8().equals("BNHD")) {
      // Right for [B, N, H, d] and for [B, N, H*d].
      String parted = add("Reshape", name + ".parted", List.of(x, integers(name + ".parts", 0, 0, attribute(node, "num_heads").getI(), -1)));
      heads = add("Transpose", name + ".heads", List.of(parted), list("perm", 0, 2, 1, 3));
    }
    String row = add("Reshape", name + ".bias", List.of(bias, integers(name + ".row", 0, 1, -1)));
    String z = add("Add", name + ".map", List.of(add("MatMul", name + ".product", List.of(heads, weight)), row));
    String[] activations = attribute(node, "activations").getS().toStringUtf8().split(",");
    long[] ranks = attribute(node, "ranks").getIntsList().stream().mapToLong(Long::longValue).toArray();
    List<String> slices = new ArrayList<>();
    List<String> features = new ArrayList<>();
    for (int f = 0; f < ranks.length; f++) {
      slices.add(name + ".slice" + f);
      features.add(activations[f].equals("identity") ? slices.get(f) : name + ".feature" + f);
    }
    split(z, slices, ranks, name);
    for (int f = 0; f < ranks.length; f++) {
      if (!activations[f].equals("identity")) {
        String op = activations[f].substring(0, 1).toUpperCase(java.util.Locale.ROOT) + activations[f].substring(1);
        add(op, features.get(f), List.of(slices.get(f)));
      }
    }
    String all = add("Concat", mask.isEmpty() ? name : name + ".unmasked", features, AttributeProto.newBuilder().setName("axis").setType(AttributeType.INT).setI(3).build());
    if (!mask.isEmpty()) {
      // In float, whatever the type of the features: the mask's factors are.
      String wide = add("Cast", name + ".float", List.of(all),
          AttributeProto.newBuilder().setName("to").setType(AttributeType.INT).setI(DataType.FLOAT_VALUE).build());
      add("Mul", name, List.of(wide, factors(node, name, mask)));
    }
  }

  /** What the features of keys are multiplied with, [B or 1, 1, M, 1]. */
  private String factors(NodeProto node, String name, String mask) {
    long degree = attribute(node, "powers").getIntsList().stream().mapToLong(Long::longValue).sum();
    graph.addInitializer(TensorProto.newBuilder().setName(name + ".degree").setDataType(DataType.FLOAT_VALUE).addFloatData(degree));
    String factor = add("Exp", name + ".factor", List.of(add("Div", name + ".share", List.of(mask, name + ".degree"))));
    return add("Reshape", name + ".column", List.of(factor, integers(name + ".column_shape", 0, 1, -1, 1)));
  }

  private void split(String z, List<String> slices, long[] ranks, String name) {
    NodeProto.Builder split = NodeProto.newBuilder().setOpType("Split").setName(name + ".Split").addInput(z).addAllOutput(slices)
        .addAttribute(AttributeProto.newBuilder().setName("axis").setType(AttributeType.INT).setI(3));
    if (opset < SPLIT_SIZES_ARE_AN_INPUT) {
      split.addAttribute(list("split", ranks));
    } else {
      split.addInput(integers(name + ".ranks", ranks));
    }
    graph.addNode(split);
  }

  private static AttributeProto attribute(NodeProto node, String name) {
    return node.getAttributeList().stream().filter(a -> a.getName().equals(name)).findFirst().orElse(AttributeProto.getDefaultInstance());
  }

  private String add(String op, String output, List<String> inputs, AttributeProto... attributes) {
    graph.addNode(NodeProto.newBuilder().setOpType(op).setName(output + "." + op).addAllInput(inputs).addOutput(output)
        .addAllAttribute(Arrays.asList(attributes)));
    return output;
  }

  private String integers(String name, long... values) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(DataType.INT64_VALUE).addDims(values.length);
    Arrays.stream(values).forEach(t::addInt64Data);
    graph.addInitializer(t);
    return name;
  }

  private static AttributeProto list(String name, long... values) {
    AttributeProto.Builder a = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    Arrays.stream(values).forEach(a::addInts);
    return a.build();
  }
}
