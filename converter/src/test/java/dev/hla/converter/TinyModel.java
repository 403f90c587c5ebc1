package dev.hla.converter;

import com.google.protobuf.ByteString;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** Builds small models for tests of the converter, valid or not. */
public final class TinyModel {
  private final GraphProto.Builder graph = GraphProto.newBuilder().setName("tiny");
  private final ModelProto.Builder model = ModelProto.newBuilder().setIrVersion(8).setProducerName("test")
      .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17));

  public TinyModel input(String name, Object... dims) {
    graph.addInput(info(name, dims));
    return this;
  }

  /** An input of integers. */
  public TinyModel indices(String name, Object... dims) {
    ValueInfoProto.Builder info = info(name, dims).toBuilder();
    info.getTypeBuilder().getTensorTypeBuilder().setElemType(DataType.INT64_VALUE);
    graph.addInput(info);
    return this;
  }

  public TinyModel output(String name, Object... dims) {
    graph.addOutput(info(name, dims));
    return this;
  }

  /** Float; a dimension is a number or a symbol. */
  private static ValueInfoProto info(String name, Object... dims) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (Object d : dims) {
      shape.addDim(d instanceof String s ? TensorShapeProto.Dimension.newBuilder().setDimParam(s)
          : TensorShapeProto.Dimension.newBuilder().setDimValue(((Number) d).longValue()));
    }
    return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(
        TypeProto.Tensor.newBuilder().setElemType(DataType.FLOAT_VALUE).setShape(shape))).build();
  }

  public TinyModel node(String op, List<String> inputs, List<String> outputs, AttributeProto... attributes) {
    graph.addNode(protoNode(op, inputs, outputs, attributes));
    return this;
  }

  /** @param op with its domain before it, as in com.microsoft.FusedMatMul, where that is not ai.onnx */
  public static NodeProto protoNode(String op, List<String> inputs, List<String> outputs, AttributeProto... attributes) {
    int dot = op.lastIndexOf('.');
    return NodeProto.newBuilder().setOpType(op.substring(dot + 1)).setDomain(op.substring(0, Math.max(0, dot)))
        .setName("/" + outputs.get(0) + "/" + op.substring(dot + 1)).addAllInput(inputs).addAllOutput(outputs)
        .addAllAttribute(Arrays.asList(attributes)).build();
  }

  public TinyModel weight(String name, long... dims) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(DataType.FLOAT_VALUE);
    long n = 1;
    for (long d : dims) {
      t.addDims(d);
      n *= d;
    }
    for (int i = 0; i < n; i++) {
      t.addFloatData((float) Math.sin(i + 1.0));
    }
    graph.addInitializer(t);
    return this;
  }

  /** One number, of no dimensions. */
  public TinyModel number(String name, float value) {
    graph.addInitializer(TensorProto.newBuilder().setName(name).setDataType(DataType.FLOAT_VALUE).addFloatData(value));
    return this;
  }

  /** A list of integers. */
  public TinyModel integers(String name, long... values) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(DataType.INT64_VALUE).addDims(values.length);
    Arrays.stream(values).forEach(t::addInt64Data);
    graph.addInitializer(t);
    return this;
  }

  public TinyModel externalWeight(String name, int type, String location, long offset, long length, long... dims) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(type).setDataLocation(TensorProto.DataLocation.EXTERNAL)
        .addExternalData(entry("location", location)).addExternalData(entry("offset", "" + offset)).addExternalData(entry("length", "" + length));
    for (long d : dims) {
      t.addDims(d);
    }
    graph.addInitializer(t);
    return this;
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  public TinyModel function(String name, NodeProto... body) {
    model.addFunctions(FunctionProto.newBuilder().setDomain("local").setName(name).addInput("x").addOutput("y").addAllNode(Arrays.asList(body))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17)).addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("local").setVersion(1)));
    return this;
  }

  public static AttributeProto ints(String name, long... values) {
    AttributeProto.Builder a = AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.INTS);
    for (long v : values) {
      a.addInts(v);
    }
    return a.build();
  }

  public static AttributeProto integer(String name, long value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.INT).setI(value).build();
  }

  public static AttributeProto string(String name, String value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.STRING).setS(ByteString.copyFromUtf8(value)).build();
  }

  /** Single attention over x [1, 4, N, 8] as q, k, v after projections of the channels; outputs y. */
  public static TinyModel attention() {
    return new TinyModel().input("x", 1, 4, "tokens", 8).weight("wq", 8, 8).weight("wk", 8, 8).weight("wv", 8, 8)
        .node("MatMul", List.of("x", "wq"), List.of("q")).node("MatMul", List.of("x", "wk"), List.of("k"))
        .node("MatMul", List.of("x", "wv"), List.of("v"))
        .node("Transpose", List.of("k"), List.of("kt"), ints("perm", 0, 1, 3, 2))
        .node("MatMul", List.of("q", "kt"), List.of("scores"))
        .node("Softmax", List.of("scores"), List.of("p"), integer("axis", -1))
        .node("MatMul", List.of("p", "v"), List.of("y")).output("y", 1, 4, "tokens", 8);
  }

  public ModelProto proto() {
    return model.setGraph(graph).build();
  }

  public OnnxModel model() {
    return new OnnxModel(Path.of("tiny.onnx"), proto());
  }

  public Path save(Path file) throws IOException {
    Files.write(file, proto().toByteArray());
    return file;
  }
}
