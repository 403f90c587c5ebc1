package dev.hla.converter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.hla.converter.files.BrokenJson;
import dev.hla.converter.files.OutputFiles;
import dev.hla.converter.graph.TensorReader;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A file of named tensors in the safetensors format: 8 bytes with the header's length, a JSON header with each tensor's
 * element type, shape and place, then the data. Opening reads the header alone and checks all of it; a tensor's data is
 * read when asked for.
 *
 * @see <a href="https://huggingface.co/docs/safetensors">the format</a>
 */
public final class SafeTensors {
  /** The format's own limit of the header. */
  private static final long MAX_HEADER = 100_000_000;
  private static final String METADATA = "__metadata__";
  private static final Map<String, Integer> ELEMENT_BYTES = Map.ofEntries(
      Map.entry("BOOL", 1), Map.entry("U8", 1), Map.entry("I8", 1), Map.entry("F8_E5M2", 1), Map.entry("F8_E4M3", 1),
      Map.entry("I16", 2), Map.entry("U16", 2), Map.entry("F16", 2), Map.entry("BF16", 2),
      Map.entry("I32", 4), Map.entry("U32", 4), Map.entry("F32", 4),
      Map.entry("I64", 8), Map.entry("U64", 8), Map.entry("F64", 8));
  private static final JsonMapper JSON = JsonMapper.builder()
      .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
      .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
      .build();

  /**
   * A tensor's entry in the header.
   *
   * @param name unique in the file
   * @param dtype element type as the format spells it, such as F32 or BF16
   * @param shape its sizes; none for a scalar
   * @param begin first byte, counted from the start of the file
   * @param end the byte after the last
   */
  public record Entry(String name, String dtype, long[] shape, long begin, long end) {}

  /**
   * A float32 tensor to be written.
   *
   * @param name unique in the file
   * @param shape its sizes
   * @param data row-major
   */
  public record FloatTensor(String name, long[] shape, float[] data) {}

  private final Path file;
  private final Map<String, String> metadata;
  private final Map<String, Entry> entries;

  private SafeTensors(Path file, Map<String, String> metadata, Map<String, Entry> entries) {
    this.file = file;
    this.metadata = Collections.unmodifiableMap(metadata);
    this.entries = Collections.unmodifiableMap(entries);
  }

  /**
   * Reads and checks the header of {@code file}.
   *
   * @throws HlaException if the file cannot be read or is not a well-formed safetensors file
   */
  public static SafeTensors open(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < 8) {
        throw malformed(file, "it has " + size + " bytes, not even the 8 of the header's length");
      }
      long headerLength = read(channel, 0, 8).getLong();
      if (headerLength < 2 || headerLength > MAX_HEADER || headerLength > size - 8) {
        throw malformed(file, "a header of " + Long.toUnsignedString(headerLength) + " bytes is declared in a file of " + size);
      }
      byte[] header = read(channel, 8, (int) headerLength).array();
      if (header[0] != '{') {
        throw malformed(file, "the header is not a JSON object");
      }
      return parse(file, JSON.readTree(header), 8 + headerLength, size);
    } catch (NoSuchFileException e) {
      throw new HlaException(file + ": no such file", e);
    } catch (JsonProcessingException e) {
      throw new HlaException(malformed(file, "the header is not JSON: " + printable(BrokenJson.reason(e))).getMessage(), e);
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static SafeTensors parse(Path file, JsonNode header, long dataStart, long size) {
    if (!header.isObject()) {
      throw malformed(file, "the header is not a JSON object");
    }
    Map<String, String> metadata = new LinkedHashMap<>();
    Map<String, Entry> entries = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> field : header.properties()) {
      if (field.getKey().equals(METADATA)) {
        if (!field.getValue().isObject()) {
          throw malformed(file, METADATA + " is not a JSON object");
        }
        for (Map.Entry<String, JsonNode> text : field.getValue().properties()) {
          if (!text.getValue().isTextual()) {
            throw malformed(file, "metadata \"" + printable(text.getKey()) + "\" is not a string");
          }
          metadata.put(text.getKey(), text.getValue().textValue());
        }
      } else {
        entries.put(field.getKey(), entry(file, field.getKey(), field.getValue(), dataStart, size));
      }
    }
    requireNoGaps(file, entries.values(), dataStart, size);
    return new SafeTensors(file, metadata, entries);
  }

  private static Entry entry(Path file, String name, JsonNode json, long dataStart, long size) {
    JsonNode dtype = json.path("dtype");
    Integer elementBytes = ELEMENT_BYTES.get(dtype.asText());
    if (!dtype.isTextual() || elementBytes == null) {
      throw malformed(file, name, "element type " + printable(dtype.isMissingNode() ? "(none)" : dtype.toString()) + " is not known");
    }
    long[] shape = wholeNumbers(file, name, "shape", json.path("shape"));
    long[] offsets = wholeNumbers(file, name, "data_offsets", json.path("data_offsets"));
    if (offsets.length != 2 || offsets[0] > offsets[1] || offsets[1] > size - dataStart) {
      throw malformed(file, name,
          "data_offsets " + Arrays.toString(offsets) + " do not lie in the " + (size - dataStart) + " bytes of data");
    }
    long bytes = elementBytes;
    try {
      for (long dim : shape) {
        bytes = Math.multiplyExact(bytes, dim);
      }
    } catch (ArithmeticException e) {
      throw malformed(file, name, "shape " + Arrays.toString(shape) + " is larger than any file");
    }
    if (bytes != offsets[1] - offsets[0]) {
      throw malformed(file, name, "shape " + Arrays.toString(shape) + " of " + dtype.asText() + " takes " + bytes
          + " bytes, but data_offsets hold " + (offsets[1] - offsets[0]));
    }
    return new Entry(name, dtype.asText(), shape, dataStart + offsets[0], dataStart + offsets[1]);
  }

  private static long[] wholeNumbers(Path file, String name, String field, JsonNode json) {
    if (!json.isArray()) {
      throw malformed(file, name, field + " is missing or not a list");
    }
    long[] numbers = new long[json.size()];
    for (int i = 0; i < numbers.length; i++) {
      JsonNode number = json.get(i);
      if (!number.isIntegralNumber() || !number.canConvertToLong() || number.longValue() < 0) {
        throw malformed(file, name, field + " holds " + printable(number.toString()) + ", not a whole number");
      }
      numbers[i] = number.longValue();
    }
    return numbers;
  }

  /** The format wants every byte of data to belong to exactly one tensor, so that a file cannot hide or share any. */
  private static void requireNoGaps(Path file, Collection<Entry> entries, long dataStart, long size) {
    List<Entry> inOrder = new ArrayList<>(entries);
    inOrder.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long end = dataStart;
    for (Entry each : inOrder) {
      if (each.begin < end) {
        throw malformed(file, each.name, "its data overlap another tensor's");
      }
      if (each.begin > end) {
        throw malformed(file, each.name, (each.begin - end) + " bytes before its data belong to no tensor");
      }
      end = each.end;
    }
    if (end != size) {
      throw malformed(file, (size - end) + " bytes at its end belong to no tensor");
    }
  }

  /** The file. */
  public Path file() {
    return file;
  }

  /** The free-form strings of the header. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Names of the tensors, in the header's order. */
  public Set<String> names() {
    return entries.keySet();
  }

  /**
   * The entry of a tensor.
   *
   * @throws HlaException if the file has no tensor of that name
   */
  public Entry entry(String name) {
    Entry entry = entries.get(name);
    if (entry == null) {
      throw new HlaException(file + ": no tensor \"" + printable(name) + "\"");
    }
    return entry;
  }

  /**
   * Reads a tensor of float32, float16 or bfloat16 numbers.
   *
   * @return its numbers, row-major
   * @throws HlaException if there is no such tensor, it has another type, or the file cannot be read
   */
  public float[] floats(String name) {
    Entry entry = entry(name);
    int elementBytes = ELEMENT_BYTES.get(entry.dtype);
    if (!Set.of("F32", "F16", "BF16").contains(entry.dtype)) {
      throw malformed(file, name, "its element type is " + entry.dtype + "; F32, F16 or BF16 expected");
    }
    long bytes = entry.end - entry.begin;
    if (bytes > Integer.MAX_VALUE - 8) {
      throw malformed(file, name, "it has " + bytes + " bytes, more than can be read at once");
    }
    ByteBuffer data;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      data = read(channel, entry.begin, (int) bytes);
    } catch (IOException e) {
      throw new HlaException(file + ": tensor \"" + printable(name) + "\" cannot be read: " + e.getMessage(), e);
    }
    float[] values = new float[(int) bytes / elementBytes];
    for (int i = 0; i < values.length; i++) {
      values[i] = switch (entry.dtype) {
        case "F32" -> data.getFloat();
        case "BF16" -> Float.intBitsToFloat(data.getShort() << 16);
        default -> TensorReader.half(data.getShort());
      };
    }
    return values;
  }

  /**
   * Writes float32 tensors. The file appears whole or not at all; one of that name is replaced.
   *
   * @throws HlaException if a shape does not fit its data, a name comes twice, or the file cannot be written
   */
  public static void write(Path file, Map<String, String> metadata, List<FloatTensor> tensors) {
    ObjectNode header = JSON.createObjectNode();
    if (!metadata.isEmpty()) {
      ObjectNode strings = header.putObject(METADATA);
      metadata.forEach(strings::put);
    }
    long end = 0;
    for (FloatTensor each : tensors) {
      long count = 1;
      for (long dim : each.shape) {
        count *= dim;
      }
      if (count != each.data.length) {
        throw malformed(file, each.name, "shape " + Arrays.toString(each.shape) + " for " + each.data.length + " numbers");
      }
      if (header.has(each.name) || each.name.equals(METADATA)) {
        throw malformed(file, each.name, "the name comes twice, or is the format's own");
      }
      ObjectNode entry = header.putObject(each.name).put("dtype", "F32");
      for (long dim : each.shape) {
        entry.withArray("shape").add(dim);
      }
      entry.withArray("shape");
      entry.withArray("data_offsets").add(end).add(end += 4L * each.data.length);
    }
    try (OutputFiles files = new OutputFiles()) {
      byte[] json = JSON.writeValueAsBytes(header);
      // Blanks bring the data to a multiple of 8 bytes, so that a reader may map it.
      byte[] padded = Arrays.copyOf(json, (json.length + 7) / 8 * 8);
      Arrays.fill(padded, json.length, padded.length, (byte) ' ');
      try (FileChannel channel = FileChannel.open(files.begin(file), StandardOpenOption.WRITE)) {
        writeFully(channel, littleEndian(8).putLong(padded.length).flip());
        writeFully(channel, ByteBuffer.wrap(padded));
        for (FloatTensor each : tensors) {
          ByteBuffer data = littleEndian(4 * each.data.length);
          data.asFloatBuffer().put(each.data);
          writeFully(channel, data);
        }
      }
      files.moveIntoPlace();
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private static ByteBuffer littleEndian(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static ByteBuffer read(FileChannel channel, long position, int bytes) throws IOException {
    ByteBuffer buffer = littleEndian(bytes);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, position + buffer.position()) < 0) {
        throw new EOFException("the file ends at byte " + (position + buffer.position()));
      }
    }
    return buffer.flip();
  }

  private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  private static HlaException malformed(Path file, String what) {
    return new HlaException(file + ": not a well-formed safetensors file: " + what);
  }

  private static HlaException malformed(Path file, String tensor, String what) {
    return new HlaException(file + ": tensor \"" + printable(tensor) + "\": " + what);
  }

  /** Text from a file or a user as it may stand in a one-line message: no control characters, not too long. */
  static String printable(String text) {
    StringBuilder result = new StringBuilder();
    int shown = Math.min(text.length(), 200);
    for (int i = 0; i < shown; i++) {
      char c = text.charAt(i);
      boolean plain = c >= ' ' && c != 0x7F && (c < 0x80 || Character.isLetterOrDigit(c));
      result.append(plain ? c : String.format("<U+%04X>", (int) c));
    }
    return shown < text.length() ? result + "..." : result.toString();
  }
}
