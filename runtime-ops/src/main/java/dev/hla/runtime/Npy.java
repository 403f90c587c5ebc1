package dev.hla.runtime;

import dev.hla.converter.HlaException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** numpy's .npy files, versions 1 to 3: one array each. Text, complex and structured arrays are refused. */
public final class Npy {
  private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
  private static final int MAX_HEADER = 1 << 16;
  private static final int MAX_RANK = 32;
  private static final Pattern DESCR = Pattern.compile("['\"]descr['\"]\\s*:\\s*['\"]([<>|=]?)([a-zA-Z]\\d*)['\"]");
  private static final Pattern ORDER = Pattern.compile("['\"]fortran_order['\"]\\s*:\\s*(True|False)");
  private static final Pattern SHAPE = Pattern.compile("['\"]shape['\"]\\s*:\\s*\\(([0-9,\\sL]*)\\)");

  private Npy() {}

  /** Reads a file; throws {@link HlaException}, naming it, where it holds no array that can be read. */
  public static Tensor read(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return read(in, file.toString());
    }
  }

  /** @param name what to call the source in messages */
  static Tensor read(InputStream in, String name) throws IOException {
    try {
      byte[] start = exactly(in, 8);
      if (!Arrays.equals(MAGIC, Arrays.copyOf(start, MAGIC.length))) {
        throw new HlaException(name + ": not a .npy array (it does not begin with \\x93NUMPY)");
      }
      int version = start[6];
      if (version < 1 || version > 3) {
        throw new HlaException(name + ": .npy version " + version + " is not known; versions 1 to 3 are");
      }
      ByteBuffer length = ByteBuffer.wrap(exactly(in, version == 1 ? 2 : 4)).order(ByteOrder.LITTLE_ENDIAN);
      int headerLength = version == 1 ? length.getShort() & 0xffff : length.getInt();
      if (headerLength < 0 || headerLength > MAX_HEADER) {
        throw new HlaException(name + ": a .npy header of " + Integer.toUnsignedString(headerLength) + " bytes is not believable");
      }
      String header = new String(exactly(in, headerLength), StandardCharsets.UTF_8);
      return body(in, header, name);
    } catch (EOFException e) {
      throw new HlaException(name + ": the .npy array is cut short", e);
    }
  }

  private static Tensor body(InputStream in, String header, String name) throws IOException {
    Matcher descr = DESCR.matcher(header);
    Matcher order = ORDER.matcher(header);
    Matcher shapeText = SHAPE.matcher(header);
    if (!order.find() || !shapeText.find()) {
      throw new HlaException(name + ": the .npy header does not state descr, fortran_order and shape");
    }
    if (!descr.find()) {
      throw new Npz.UnreadableType(name + ": structured .npy arrays cannot be read");
    }
    ElementType type = ElementType.ofCode(descr.group(2));
    if (type == null) {
      throw new Npz.UnreadableType(name + ": element type " + descr.group(2) + " cannot be read; floats, 8 to 64 bit integers and bool can");
    }
    long[] shape = shape(shapeText.group(1), name);
    int bytes;
    try {
      bytes = Tensor.byteSize(type, shape);
    } catch (HlaException e) {
      throw new HlaException(name + ": " + e.getMessage(), e);
    }
    ByteBuffer data = ByteBuffer.wrap(exactly(in, bytes));
    boolean bigEndian = descr.group(1).equals(">") && type != ElementType.BFLOAT16;
    Tensor tensor = inNativeOrder(type, shape, data, bigEndian ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN);
    return order.group(1).equals("True") ? fromColumnMajor(tensor) : tensor;
  }

  private static long[] shape(String text, String name) {
    String[] parts = Arrays.stream(text.replace("L", "").split(",")).map(String::strip).filter(s -> !s.isEmpty()).toArray(String[]::new);
    if (parts.length > MAX_RANK) {
      throw new HlaException(name + ": " + parts.length + " axes are too many; numpy allows " + MAX_RANK);
    }
    try {
      return Arrays.stream(parts).mapToLong(Long::parseLong).toArray();
    } catch (NumberFormatException e) {
      throw new HlaException(name + ": (" + text.strip() + ") is no shape", e);
    }
  }

  private static Tensor inNativeOrder(ElementType type, long[] shape, ByteBuffer data, ByteOrder order) {
    Tensor tensor = Tensor.zeros(type, shape);
    ByteBuffer target = tensor.bytes();
    data.order(order);
    switch (type.bytes()) {
      case 1 -> target.put(data);
      case 2 -> target.asShortBuffer().put(data.asShortBuffer());
      case 4 -> target.asIntBuffer().put(data.asIntBuffer());
      default -> target.asLongBuffer().put(data.asLongBuffer());
    }
    return tensor;
  }

  /** Elements were stored first axis fastest. */
  private static Tensor fromColumnMajor(Tensor stored) {
    long[] shape = stored.shape();
    Tensor tensor = Tensor.zeros(stored.type(), shape);
    ByteBuffer from = stored.bytes();
    ByteBuffer to = tensor.bytes();
    int width = stored.type().bytes();
    int[] index = new int[shape.length];
    for (int i = 0; i < stored.size(); i++) {
      int position = 0;
      for (int axis = 0; axis < shape.length; axis++) {
        position = Math.toIntExact(position * shape[axis] + index[axis]);
      }
      for (int b = 0; b < width; b++) {
        to.put(position * width + b, from.get(i * width + b));
      }
      for (int axis = 0; axis < shape.length && ++index[axis] == shape[axis]; axis++) {
        index[axis] = 0;
      }
    }
    return tensor;
  }

  /** Writes the array, version 1, row-major, little-endian. */
  public static void write(Tensor tensor, OutputStream out) throws IOException {
    String shape = Arrays.stream(tensor.shape()).mapToObj(Long::toString).collect(Collectors.joining(", "));
    String code = (tensor.type().bytes() == 1 || tensor.type() == ElementType.BFLOAT16 ? "|" : "<") + tensor.type().code();
    String text = "{'descr': '" + code + "', 'fortran_order': False, 'shape': ("
        + shape + (tensor.rank() == 1 ? "," : "") + "), }";
    // The array begins at a multiple of 64 bytes, and the header ends with a line break.
    int padding = 63 - (10 + text.length()) % 64;
    byte[] header = (text + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII);
    out.write(MAGIC);
    out.write(new byte[] {1, 0, (byte) header.length, (byte) (header.length >> 8)});
    out.write(header);
    Tensor littleEndian = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
        ? tensor : inNativeOrder(tensor.type(), tensor.shape(), tensor.bytes(), ByteOrder.LITTLE_ENDIAN);
    Channels.newChannel(out).write(littleEndian.bytes());
  }

  private static byte[] exactly(InputStream in, int count) throws IOException {
    // Grows with what arrives: a header may promise more than the file holds.
    byte[] bytes = in.readNBytes(count);
    if (bytes.length < count) {
      throw new EOFException();
    }
    return bytes;
  }
}
