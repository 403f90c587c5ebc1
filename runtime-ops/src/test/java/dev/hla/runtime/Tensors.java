package dev.hla.runtime;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.Precision;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/** Tensors of the three element types, to and from arrays. */
final class Tensors {
  private Tensors() {}

  static OnnxTensor of(Precision precision, float[] values, long... shape) throws OrtException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    return switch (precision) {
      case FLOAT32 -> OnnxTensor.createTensor(environment, FloatBuffer.wrap(values), shape);
      case FLOAT16 ->
          OnnxTensor.createTensor(environment, ShortBuffer.wrap(precision.bits(values)), shape, OnnxJavaType.FLOAT16);
      case BFLOAT16 ->
          OnnxTensor.createTensor(environment, ShortBuffer.wrap(precision.bits(values)), shape, OnnxJavaType.BFLOAT16);
    };
  }

  static double[] values(Precision precision, OnnxTensor tensor) {
    if (precision == Precision.FLOAT32) {
      FloatBuffer buffer = tensor.getFloatBuffer();
      double[] result = new double[buffer.remaining()];
      for (int i = 0; i < result.length; i++) {
        result[i] = buffer.get(i);
      }
      return result;
    }
    ShortBuffer buffer = tensor.getByteBuffer().asShortBuffer();
    short[] bits = new short[buffer.remaining()];
    buffer.get(bits);
    return precision.values(bits);
  }

  static DataType type(Precision precision) {
    return switch (precision) {
      case FLOAT32 -> DataType.FLOAT;
      case FLOAT16 -> DataType.FLOAT16;
      case BFLOAT16 -> DataType.BFLOAT16;
    };
  }
}
