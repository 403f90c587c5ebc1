package dev.hla.runtime;

import com.google.protobuf.ByteString;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TensorShapeProto.Dimension;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A model of one node of domain ai.hla, its inputs and outputs of any shape unless told, with model-local functions. */
final class OneNodeModel {
  private final NodeProto.Builder node = NodeProto.newBuilder().setDomain("ai.hla").setName("attention");
  private final List<FunctionProto> functions = new ArrayList<>();
  private TensorProto.DataType type = TensorProto.DataType.FLOAT;
  private int opset = 17;
  private int irVersion = 8;
  private List<String> floats = List.of();
  private final Map<String, TensorShapeProto> shapes = new HashMap<>();

  OneNodeModel(String operator, List<String> inputs) {
    node.setOpType(operator).addAllInput(inputs).addOutput("output");
  }

  OneNodeModel type(TensorProto.DataType type) {
    this.type = type;
    return this;
  }

  /** Names an output after the first; "" for one that is left out. */
  OneNodeModel output(String name) {
    node.addOutput(name);
    return this;
  }

  /** Inputs and outputs that are float whatever the others are. */
  OneNodeModel floats(String... names) {
    floats = List.of(names);
    return this;
  }

  /** Tells the runtime of a tensor's shape: sizes as numbers, open ones by a name, {@code 1 H tokens 8}. */
  OneNodeModel shape(String tensor, String shape) {
    TensorShapeProto.Builder dims = TensorShapeProto.newBuilder();
    for (String dim : shape.split(" ")) {
      dims.addDim(dim.matches("\\d+") ? Dimension.newBuilder().setDimValue(Long.parseLong(dim)) : Dimension.newBuilder().setDimParam(dim));
    }
    shapes.put(tensor, dims.build());
    return this;
  }

  OneNodeModel function(FunctionProto function) {
    functions.add(function);
    return this;
  }

  OneNodeModel irVersion(int irVersion) {
    this.irVersion = irVersion;
    return this;
  }

  OneNodeModel opset(int opset) {
    this.opset = opset;
    return this;
  }

  OneNodeModel attribute(String name, int... values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    for (int value : values) {
      attribute.addInts(value);
    }
    node.addAttribute(attribute);
    return this;
  }

  OneNodeModel attribute(String name, float value) {
    node.addAttribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.FLOAT).setF(value));
    return this;
  }

  OneNodeModel integer(String name, long value) {
    node.addAttribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.INT).setI(value));
    return this;
  }

  OneNodeModel attribute(String name, String value) {
    node.addAttribute(AttributeProto.newBuilder().setName(name).setType(AttributeType.STRING)
        .setS(ByteString.copyFromUtf8(value)));
    return this;
  }

  OneNodeModel attribute(String name, String[] values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeType.STRINGS);
    for (String value : values) {
      attribute.addStrings(ByteString.copyFromUtf8(value));
    }
    node.addAttribute(attribute);
    return this;
  }

  byte[] bytes() {
    GraphProto.Builder graph = GraphProto.newBuilder().setName("one node").addNode(node);
    node.getOutputList().stream().filter(name -> !name.isEmpty()).forEach(output -> graph.addOutput(value(output)));
    node.getInputList().stream().filter(name -> !name.isEmpty()).forEach(input -> graph.addInput(value(input)));
    return ModelProto.newBuilder()
        .setIrVersion(irVersion)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(opset))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("ai.hla").setVersion(1))
        .setGraph(graph)
        .addAllFunctions(functions)
        .build()
        .toByteArray();
  }

  /** Where no shape was given, neither the rank nor any size is told to the runtime. */
  private ValueInfoProto value(String name) {
    TensorProto.DataType type = floats.contains(name) ? TensorProto.DataType.FLOAT : this.type;
    TypeProto.Tensor.Builder tensor = TypeProto.Tensor.newBuilder().setElemType(type.getNumber());
    if (shapes.containsKey(name)) {
      tensor.setShape(shapes.get(name));
    }
    return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(tensor)).build();
  }
}
