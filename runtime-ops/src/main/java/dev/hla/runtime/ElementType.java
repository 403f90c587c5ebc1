package dev.hla.runtime;

import ai.onnxruntime.OnnxJavaType;
import java.util.Locale;

/** The element types that tensors of a model and .npy files share. */
public enum ElementType {
  /** IEEE 754 binary32. */
  FLOAT32(4, "f4", OnnxJavaType.FLOAT),
  /** IEEE 754 binary64. */
  FLOAT64(8, "f8", OnnxJavaType.DOUBLE),
  /** IEEE 754 binary16. */
  FLOAT16(2, "f2", OnnxJavaType.FLOAT16),
  /** .npy has no name for it; the ml_dtypes package writes two raw bytes, V2, and so does this one. */
  BFLOAT16(2, "V2", OnnxJavaType.BFLOAT16),
  /** Signed, 8 bits. */
  INT8(1, "i1", OnnxJavaType.INT8),
  /** Signed, 16 bits. */
  INT16(2, "i2", OnnxJavaType.INT16),
  /** Signed, 32 bits. */
  INT32(4, "i4", OnnxJavaType.INT32),
  /** Signed, 64 bits. */
  INT64(8, "i8", OnnxJavaType.INT64),
  /** Unsigned, 8 bits. */
  UINT8(1, "u1", OnnxJavaType.UINT8),
  /** One byte, 0 or 1. */
  BOOL(1, "b1", OnnxJavaType.BOOL);

  private final int bytes;
  private final String code;
  private final OnnxJavaType onnx;

  ElementType(int bytes, String code, OnnxJavaType onnx) {
    this.bytes = bytes;
    this.code = code;
    this.onnx = onnx;
  }

  /** Size of one element. */
  public int bytes() {
    return bytes;
  }

  /** True for the four floating-point types. */
  public boolean isFloat() {
    return ordinal() <= BFLOAT16.ordinal();
  }

  /** The type in numpy's words without the byte order, such as f4. */
  String code() {
    return code;
  }

  OnnxJavaType onnx() {
    return onnx;
  }

  /** @return the type, or null where there is none */
  static ElementType ofCode(String code) {
    for (ElementType type : values()) {
      if (type.code.equals(code)) {
        return type;
      }
    }
    return null;
  }

  /** @return the type, or null where there is none */
  static ElementType of(OnnxJavaType onnx) {
    for (ElementType type : values()) {
      if (type.onnx == onnx) {
        return type;
      }
    }
    return null;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
