package dev.hla.runtime;

import ai.onnxruntime.platform.Fp16Conversions;
import dev.hla.converter.HlaException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A dense, row-major tensor in memory outside the Java heap, of at most 2 GiB. Values are read and written as double,
 * whatever the element type; writing rounds to nearest, ties to even, and to integers it cuts off.
 */
public final class Tensor {
  private final ElementType type;
  private final long[] shape;
  private final ByteBuffer data;

  private Tensor(ElementType type, long[] shape, ByteBuffer data) {
    this.type = type;
    this.shape = shape;
    this.data = data;
  }

  /** A tensor of zeros. Throws {@link HlaException} where it would be larger than 2 GiB. */
  public static Tensor zeros(ElementType type, long... shape) {
    int bytes = byteSize(type, shape);
    return new Tensor(type, shape.clone(), ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder()));
  }

  /** A float32 tensor with these values. */
  public static Tensor of(float[] values, long... shape) {
    Tensor tensor = zeros(ElementType.FLOAT32, shape);
    if (tensor.size() != values.length) {
      throw new IllegalArgumentException(values.length + " values do not fill " + Arrays.toString(shape));
    }
    tensor.data.asFloatBuffer().put(values);
    return tensor;
  }

  /** Wraps bytes in native order without copying them; direct or not. */
  static Tensor wrap(ElementType type, long[] shape, ByteBuffer data) {
    if (data.remaining() != byteSize(type, shape)) {
      throw new IllegalArgumentException(data.remaining() + " bytes do not fill " + type + Arrays.toString(shape));
    }
    return new Tensor(type, shape.clone(), data.slice().order(ByteOrder.nativeOrder()));
  }

  /** Bytes that a tensor of this shape takes. */
  static int byteSize(ElementType type, long[] shape) {
    long bytes = type.bytes();
    // Zeros first: a shape with one has no elements, whatever its other sizes are.
    if (Arrays.stream(shape).anyMatch(size -> size == 0)) {
      return 0;
    }
    for (long size : shape) {
      if (size < 0 || bytes > Integer.MAX_VALUE / Math.max(size, 1)) {
        throw new HlaException("a tensor " + type + Arrays.toString(shape) + " is larger than the 2 GiB that one may have here");
      }
      bytes *= size;
    }
    return (int) bytes;
  }

  /** The type of the elements. */
  public ElementType type() {
    return type;
  }

  /** A copy of the sizes of all axes. */
  public long[] shape() {
    return shape.clone();
  }

  /** The number of axes. */
  public int rank() {
    return shape.length;
  }

  /** Size of one axis; negative axes count from the end. */
  public int dim(int axis) {
    return Math.toIntExact(shape[axis < 0 ? axis + shape.length : axis]);
  }

  /** Number of elements. */
  public int size() {
    return data.capacity() / type.bytes();
  }

  /** The bytes in native order, shared with this tensor. */
  ByteBuffer bytes() {
    return data.duplicate().order(ByteOrder.nativeOrder());
  }

  /** The element at a row-major index. */
  public double get(int index) {
    return switch (type) {
      case FLOAT32 -> data.getFloat(index * 4);
      case FLOAT64 -> data.getDouble(index * 8);
      case FLOAT16 -> Fp16Conversions.fp16ToFloat(data.getShort(index * 2));
      case BFLOAT16 -> Fp16Conversions.bf16ToFloat(data.getShort(index * 2));
      case INT8 -> data.get(index);
      case INT16 -> data.getShort(index * 2);
      case INT32 -> data.getInt(index * 4);
      case INT64 -> data.getLong(index * 8);
      case UINT8 -> data.get(index) & 0xff;
      case BOOL -> data.get(index) == 0 ? 0 : 1;
    };
  }

  /** Sets the element at a row-major index. */
  public void set(int index, double value) {
    switch (type) {
      case FLOAT32 -> data.putFloat(index * 4, (float) value);
      case FLOAT64 -> data.putDouble(index * 8, value);
      case FLOAT16 -> data.putShort(index * 2, Fp16Conversions.floatToFp16((float) value));
      case BFLOAT16 -> data.putShort(index * 2, Fp16Conversions.floatToBf16((float) value));
      case INT8, UINT8 -> data.put(index, (byte) (long) value);
      case INT16 -> data.putShort(index * 2, (short) (long) value);
      case INT32 -> data.putInt(index * 4, (int) value);
      case INT64 -> data.putLong(index * 8, (long) value);
      case BOOL -> data.put(index, (byte) (value == 0 ? 0 : 1));
    }
  }

  /** All elements, as float. */
  public float[] floats() {
    float[] values = new float[size()];
    if (type == ElementType.FLOAT32) {
      data.asFloatBuffer().get(values);
    } else {
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) get(i);
      }
    }
    return values;
  }

  /** The same values in another type; this tensor itself where it has that type already. */
  public Tensor as(ElementType wanted) {
    if (wanted == type) {
      return this;
    }
    Tensor converted = zeros(wanted, shape);
    for (int i = 0; i < size(); i++) {
      converted.set(i, get(i));
    }
    return converted;
  }

  /** The same elements under another shape of the same size, in shared memory. */
  public Tensor reshape(long... wanted) {
    if (byteSize(type, wanted) != data.capacity()) {
      throw new IllegalArgumentException(this + " has no shape " + Arrays.toString(wanted));
    }
    return new Tensor(type, wanted.clone(), data);
  }

  /** The first elements under a shape of their number, in shared memory. */
  public Tensor leading(long... wanted) {
    int bytes = byteSize(type, wanted);
    if (bytes > data.capacity()) {
      throw new IllegalArgumentException(this + " is smaller than " + Arrays.toString(wanted));
    }
    return new Tensor(type, wanted.clone(), data.duplicate().clear().limit(bytes).slice().order(ByteOrder.nativeOrder()));
  }

  /** The type and shape, such as float32[1, 3, 8]. */
  @Override
  public String toString() {
    return type + Arrays.toString(shape);
  }
}
