package dev.hla.converter.graph;

import com.google.protobuf.ByteString;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads the numbers of a tensor that the model file itself holds; weights in other files are left there. */
public final class TensorReader {
  private TensorReader() {}

  /** The number of elements, or -1 for dimensions that no tensor can have. */
  public static long elements(TensorProto t) {
    long n = 1;
    for (long d : t.getDimsList()) {
      if (d < 0 || (d > 0 && n > Long.MAX_VALUE / d)) {
        return -1;
      }
      n *= d;
    }
    return n;
  }

  public static boolean isExternal(TensorProto t) {
    return t.getDataLocation() == TensorProto.DataLocation.EXTERNAL;
  }

  /** All elements as doubles, or null if the data is external, longer than limit, inconsistent, or no number type. */
  public static double[] numbers(TensorProto t, int limit) {
    long n = elements(t);
    if (n < 0 || n > limit || isExternal(t)) {
      return null;
    }
    DataType type = DataType.forNumber(t.getDataType());
    if (type == null) {
      return null;
    }
    double[] out = new double[(int) n];
    return t.hasRawData() ? raw(t.getRawData(), type, out) : typed(t, type, out);
  }

  private static double[] raw(ByteString bytes, DataType type, double[] out) {
    int size = switch (type) {
      case FLOAT, INT32, UINT32 -> 4;
      case DOUBLE, INT64, UINT64 -> 8;
      case FLOAT16, BFLOAT16, INT16, UINT16 -> 2;
      case BOOL, INT8, UINT8 -> 1;
      default -> 0;
    };
    if (size == 0 || bytes.size() != (long) size * out.length) {
      return null;
    }
    ByteBuffer b = bytes.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < out.length; i++) {
      out[i] = switch (type) {
        case FLOAT -> b.getFloat();
        case DOUBLE -> b.getDouble();
        case INT64, UINT64 -> b.getLong();
        case INT32 -> b.getInt();
        case UINT32 -> Integer.toUnsignedLong(b.getInt());
        case INT16 -> b.getShort();
        case UINT16 -> Short.toUnsignedInt(b.getShort());
        case INT8 -> b.get();
        case UINT8, BOOL -> Byte.toUnsignedInt(b.get());
        case FLOAT16 -> half(b.getShort());
        default -> Float.intBitsToFloat(b.getShort() << 16);
      };
    }
    return out;
  }

  private static double[] typed(TensorProto t, DataType type, double[] out) {
    int held = switch (type) {
      case FLOAT -> t.getFloatDataCount();
      case DOUBLE -> t.getDoubleDataCount();
      case INT64 -> t.getInt64DataCount();
      case UINT32, UINT64 -> t.getUint64DataCount();
      case INT32, INT16, UINT16, INT8, UINT8, BOOL, FLOAT16, BFLOAT16 -> t.getInt32DataCount();
      default -> -1;
    };
    if (held != out.length) {
      return null;
    }
    for (int i = 0; i < out.length; i++) {
      out[i] = switch (type) {
        case FLOAT -> t.getFloatData(i);
        case DOUBLE -> t.getDoubleData(i);
        case INT64 -> t.getInt64Data(i);
        case UINT32, UINT64 -> t.getUint64Data(i);
        case FLOAT16 -> half((short) t.getInt32Data(i));
        case BFLOAT16 -> Float.intBitsToFloat(t.getInt32Data(i) << 16);
        default -> t.getInt32Data(i);
      };
    }
    return out;
  }

  /** IEEE binary16 to float (Java 17 has no conversion of its own). */
  public static float half(short bits) {
    int sign = bits >> 15;
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    float magnitude = exponent == 31 ? (fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN)
        : exponent == 0 ? fraction * 0x1p-24f
        : Math.scalb(1 + fraction * 0x1p-10f, exponent - 15);
    return sign < 0 ? -magnitude : magnitude;
  }
}
