package dev.hla.testdata;

import dev.hla.onnx.TensorProto.DataType;

/**
 * The element types of the operators: conversion to and from their bits, and how close an implementation must come to
 * {@link HadamardReference} by {@link HadamardReference#relativeError}.
 */
public enum Precision {
  FLOAT32(1e-5),
  FLOAT16(2e-3),
  BFLOAT16(1.6e-2);

  private final double tolerance;

  Precision(double tolerance) {
    this.tolerance = tolerance;
  }

  /** Largest error allowed. */
  public double tolerance() {
    return tolerance;
  }

  /** TensorProto.DataType. */
  public int dataType() {
    return switch (this) {
      case FLOAT32 -> DataType.FLOAT_VALUE;
      case FLOAT16 -> DataType.FLOAT16_VALUE;
      case BFLOAT16 -> DataType.BFLOAT16_VALUE;
    };
  }

  /** Bits of the numbers in a 16-bit type, rounded to nearest, ties to even. */
  public short[] bits(float[] values) {
    short[] result = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = bits(values[i]);
    }
    return result;
  }

  /** Numbers of a 16-bit type from their bits. */
  public double[] values(short[] bits) {
    double[] result = new double[bits.length];
    for (int i = 0; i < bits.length; i++) {
      result[i] = value(bits[i]);
    }
    return result;
  }

  /** The bits of {@code value} in this 16-bit type. */
  public short bits(float value) {
    int bits = Float.floatToRawIntBits(value);
    return switch (this) {
      case FLOAT32 -> throw new IllegalStateException("float has 32 bits");
      case BFLOAT16 -> Float.isNaN(value)
          ? (short) (bits >>> 16 | 0x40)
          : (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
      case FLOAT16 -> halfBits(value, bits);
    };
  }

  /** The number that {@code bits} stand for in this 16-bit type. */
  public float value(short bits) {
    return switch (this) {
      case FLOAT32 -> throw new IllegalStateException("float has 32 bits");
      case BFLOAT16 -> Float.intBitsToFloat(bits << 16);
      case FLOAT16 -> halfValue(bits);
    };
  }

  private static short halfBits(float value, int bits) {
    int sign = bits >>> 16 & 0x8000;
    if (Float.isNaN(value)) {
      return (short) (sign | 0x7E00);
    }
    float magnitude = Math.abs(value);
    if (magnitude >= 65520f) {
      return (short) (sign | 0x7C00);
    }
    if (magnitude < 0x1p-14f) {
      // Subnormal: a multiple of 2^-24. rint rounds ties to even, and 1024 is the first normal number's bits.
      return (short) (sign | (int) Math.rint(magnitude * 0x1p24f));
    }
    int exact = (bits & 0x7FFFFFFF) - (112 << 23);
    return (short) (sign | exact + 0xFFF + (exact >>> 13 & 1) >>> 13);
  }

  private static float halfValue(short bits) {
    int exponent = bits >>> 10 & 31;
    int fraction = bits & 0x3FF;
    float magnitude = exponent == 0
        ? fraction * 0x1p-24f
        : exponent == 31
            ? fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN
            : Float.intBitsToFloat(exponent + 112 << 23 | fraction << 13);
    return bits < 0 ? -magnitude : magnitude;
  }
}
