package dev.hla.cuda;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A model of one core operator, and its run on a case. */
final class OneNode {
  private static final List<String> INPUTS = List.of("query_features", "key_features", "value");

  private OneNode() {}

  static byte[] model(OperatorCase c, Precision type) {
    DataType elements = switch (type) {
      case FLOAT32 -> DataType.FLOAT;
      case FLOAT16 -> DataType.FLOAT16;
      case BFLOAT16 -> DataType.BFLOAT16;
    };
    NodeProto.Builder node = NodeProto.newBuilder().setDomain("ai.hla").setOpType("HadamardLinearAttention").setName("attention")
        .addAllInput(INPUTS).addOutput("output")
        .addAttribute(ints("ranks", c.ranks())).addAttribute(ints("powers", c.powers()))
        .addAttribute(AttributeProto.newBuilder().setName("epsilon").setType(AttributeType.FLOAT).setF(c.epsilon()));
    GraphProto.Builder graph = GraphProto.newBuilder().setName("one node").addNode(node).addOutput(value("output", elements));
    INPUTS.forEach(name -> graph.addInput(value(name, elements)));
    return ModelProto.newBuilder().setIrVersion(8)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(17))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("ai.hla").setVersion(1))
        .setGraph(graph).build().toByteArray();
  }

  static double[] run(OrtSession session, OperatorCase c, Precision type) throws OrtException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    Map<String, OnnxTensor> inputs = new HashMap<>();
    try {
      inputs.put(INPUTS.get(0), tensor(environment, type, c.queryShape(), c.queryFeatures()));
      inputs.put(INPUTS.get(1), tensor(environment, type, c.keyShape(), c.keyFeatures()));
      inputs.put(INPUTS.get(2), tensor(environment, type, c.valueShape(), c.value()));
      try (OrtSession.Result result = session.run(inputs)) {
        return values(type, (OnnxTensor) result.get(0));
      }
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
  }

  private static AttributeProto ints(String name, int[] values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    for (int value : values) {
      attribute.addInts(value);
    }
    return attribute.build();
  }

  private static ValueInfoProto value(String name, DataType type) {
    return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder()
        .setTensorType(TypeProto.Tensor.newBuilder().setElemType(type.getNumber()))).build();
  }

  private static OnnxTensor tensor(OrtEnvironment environment, Precision type, long[] shape, float[] values) throws OrtException {
    ByteBuffer bytes = ByteBuffer.allocateDirect(Math.max(1, values.length) * 4).order(ByteOrder.nativeOrder());
    if (type == Precision.FLOAT32) {
      return OnnxTensor.createTensor(environment, bytes.asFloatBuffer().put(values).flip(), shape);
    }
    ShortBuffer shorts = bytes.asShortBuffer().put(type.bits(values)).flip();
    OnnxJavaType javaType = type == Precision.FLOAT16 ? OnnxJavaType.FLOAT16 : OnnxJavaType.BFLOAT16;
    return OnnxTensor.createTensor(environment, shorts, shape, javaType);
  }

  private static double[] values(Precision type, OnnxTensor tensor) {
    if (type == Precision.FLOAT32) {
      FloatBuffer floats = tensor.getFloatBuffer();
      double[] values = new double[floats.remaining()];
      for (int i = 0; i < values.length; i++) {
        values[i] = floats.get(i);
      }
      return values;
    }
    ShortBuffer buffer = tensor.getByteBuffer().order(ByteOrder.nativeOrder()).asShortBuffer();
    short[] bits = new short[buffer.remaining()];
    buffer.get(bits);
    return type.values(bits);
  }
}
