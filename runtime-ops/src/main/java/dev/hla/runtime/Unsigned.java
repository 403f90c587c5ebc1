package dev.hla.runtime;

import ai.onnxruntime.TensorInfo;

/** Unsigned whole numbers of more than 8 bits, which ONNX Runtime's Java interface shows as signed ones with the same bits. */
final class Unsigned {
  private Unsigned() {}

  static boolean is(TensorInfo tensor) {
    return switch (tensor.onnxType) {
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 -> true;
      default -> false;
    };
  }

  /** The numbers in the next wider signed type; those of 64 bits as float64, which rounds those above 2^53. */
  static Tensor widened(Tensor bits) {
    ElementType type = switch (bits.type()) {
      case INT16 -> ElementType.INT32;
      case INT32 -> ElementType.INT64;
      default -> ElementType.FLOAT64;
    };
    double range = Math.pow(2, 8 * bits.type().bytes());
    Tensor numbers = Tensor.zeros(type, bits.shape());
    for (int i = 0; i < bits.size(); i++) {
      double signed = bits.get(i);
      numbers.set(i, signed < 0 ? signed + range : signed);
    }
    return numbers;
  }
}
