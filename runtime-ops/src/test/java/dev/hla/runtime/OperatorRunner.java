package dev.hla.runtime;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import com.google.protobuf.ByteString;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.testdata.Precision;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs a model of one node of domain ai.hla through ONNX Runtime with the operator library registered. */
final class OperatorRunner {
  private static final OrtEnvironment ENVIRONMENT = OrtEnvironment.getEnvironment();

  private OperatorRunner() {}

  /**
   * Numbers of a tensor.
   *
   * @param isFloat whether it is float whatever the type of the run is; else they are converted to that
   */
  record Input(String name, long[] shape, float[] values, boolean isFloat) {
    Input(String name, long[] shape, float[] values) {
      this(name, shape, values, false);
    }
  }

  record Output(long[] shape, double[] values) {}

  static Output run(String op, Precision type, List<AttributeProto> attributes, List<Input> inputs) throws OrtException {
    return run(op, type, attributes, inputs, 2);
  }

  static Output run(String op, Precision type, List<AttributeProto> attributes, List<Input> inputs, int threads)
      throws OrtException {
    int[] ranks = inputs.stream().mapToInt(i -> i.shape().length).toArray();
    return run(model(op, type, attributes, inputs, ranks), type, inputs, threads);
  }

  static Output run(ModelProto model, Precision type, List<Input> inputs, int threads) throws OrtException {
    try (SessionOptions options = new SessionOptions()) {
      options.setIntraOpNumThreads(threads);
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      HlaOperators.register(options);
      try (OrtSession session = ENVIRONMENT.createSession(model.toByteArray(), options)) {
        return run(session, type, inputs);
      }
    }
  }

  static Output run(OrtSession session, Precision type, List<Input> inputs) throws OrtException {
    Map<String, OnnxTensor> tensors = new LinkedHashMap<>();
    try {
      for (Input input : inputs) {
        tensors.put(input.name(), tensor(input.isFloat() ? Precision.FLOAT32 : type, input));
      }
      try (OrtSession.Result result = session.run(tensors)) {
        OnnxTensor output = (OnnxTensor) result.get(0);
        return new Output(output.getInfo().getShape(), values(type, output));
      }
    } finally {
      tensors.values().forEach(OnnxTensor::close);
    }
  }

  /** A model whose inputs have the given numbers of dimensions, all of them open. */
  static ModelProto model(String op, Precision type, List<AttributeProto> attributes, List<Input> inputs, int[] ranks) {
    int elementType = switch (type) {
      case FLOAT32 -> TensorProto.DataType.FLOAT_VALUE;
      case FLOAT16 -> TensorProto.DataType.FLOAT16_VALUE;
      case BFLOAT16 -> TensorProto.DataType.BFLOAT16_VALUE;
    };
    GraphProto.Builder graph = GraphProto.newBuilder().setName("one_node");
    NodeProto.Builder node = NodeProto.newBuilder()
        .setDomain(HlaOperators.DOMAIN).setOpType(op).setName("block.0/attention").addOutput("output")
        .addAllAttribute(attributes);
    for (int i = 0; i < inputs.size(); i++) {
      String name = inputs.get(i).name();
      graph.addInput(value(name, inputs.get(i).isFloat() ? TensorProto.DataType.FLOAT_VALUE : elementType, ranks[i]));
      node.addInput(name);
    }
    graph.addNode(node).addOutput(value("output", elementType, ranks[0]));
    return ModelProto.newBuilder()
        .setIrVersion(8)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(17))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(HlaOperators.DOMAIN).setVersion(1))
        .setGraph(graph)
        .build();
  }

  private static ValueInfoProto value(String name, int elementType, int rank) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (int i = 0; i < rank; i++) {
      shape.addDim(TensorShapeProto.Dimension.newBuilder().setDimParam(name + "_" + i));
    }
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(elementType).setShape(shape)))
        .build();
  }

  static AttributeProto ints(String name, int... values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.INTS);
    for (int value : values) {
      attribute.addInts(value);
    }
    return attribute.build();
  }

  static AttributeProto integer(String name, long value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.INT).setI(value).build();
  }

  static AttributeProto real(String name, float value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.FLOAT).setF(value).build();
  }

  static AttributeProto text(String name, String value) {
    return AttributeProto.newBuilder()
        .setName(name).setType(AttributeProto.AttributeType.STRING).setS(ByteString.copyFromUtf8(value)).build();
  }

  private static OnnxTensor tensor(Precision type, Input input) throws OrtException {
    ByteBuffer bytes = ByteBuffer.allocateDirect(Math.max(1, input.values().length) * 4).order(ByteOrder.nativeOrder());
    if (type == Precision.FLOAT32) {
      FloatBuffer floats = bytes.asFloatBuffer().put(input.values()).flip();
      return OnnxTensor.createTensor(ENVIRONMENT, floats, input.shape());
    }
    ShortBuffer shorts = bytes.asShortBuffer().put(type.bits(input.values())).flip();
    OnnxJavaType javaType = type == Precision.FLOAT16 ? OnnxJavaType.FLOAT16 : OnnxJavaType.BFLOAT16;
    return OnnxTensor.createTensor(ENVIRONMENT, shorts, input.shape(), javaType);
  }

  private static double[] values(Precision type, OnnxTensor output) {
    if (type == Precision.FLOAT32) {
      FloatBuffer floats = output.getFloatBuffer();
      double[] values = new double[floats.remaining()];
      for (int i = 0; i < values.length; i++) {
        values[i] = floats.get(i);
      }
      return values;
    }
    ShortBuffer buffer = output.getByteBuffer().order(ByteOrder.nativeOrder()).asShortBuffer();
    short[] bits = new short[buffer.remaining()];
    buffer.get(bits);
    return type.values(bits);
  }
}
