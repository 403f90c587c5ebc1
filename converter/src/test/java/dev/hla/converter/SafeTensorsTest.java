package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafeTensorsTest {
  @TempDir Path folder;

  @Test
  void whatIsWrittenIsRead() throws IOException {
    Path file = folder.resolve("a.safetensors");
    float[] numbers = {1, -2.5f, Float.MIN_VALUE, Float.POSITIVE_INFINITY, 0, -0f};
    SafeTensors.write(file, Map.of("format", "x\ny"), List.of(
        new SafeTensors.FloatTensor("matrix", new long[] {2, 3}, numbers),
        new SafeTensors.FloatTensor("scalar", new long[0], new float[] {7}),
        new SafeTensors.FloatTensor("none", new long[] {0, 5}, new float[0])));
    SafeTensors read = SafeTensors.open(file);
    assertEquals(Map.of("format", "x\ny"), read.metadata());
    assertEquals(Set.of("matrix", "scalar", "none"), read.names());
    assertArrayEquals(new long[] {2, 3}, read.entry("matrix").shape());
    assertArrayEquals(numbers, read.floats("matrix"));
    assertArrayEquals(new float[] {7}, read.floats("scalar"));
    assertArrayEquals(new float[0], read.floats("none"));
    assertEquals(0, read.entry("matrix").begin() % 8);
    try (var files = Files.list(folder)) {
      assertEquals(List.of(file), files.toList(), "no temporary file is left");
    }
  }

  @Test
  void sixteenBitNumbersBecomeFloats() throws IOException {
    Path file = file("{\"h\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
        + "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[6,10]}}   ",
        0x00, 0x3C, 0x01, 0x80, 0xFF, 0x7B, 0x80, 0x3F, 0x49, 0xC0);
    SafeTensors tensors = SafeTensors.open(file);
    assertArrayEquals(new float[] {1, -0x1p-24f, 65504}, tensors.floats("h"));
    assertArrayEquals(new float[] {1, -3.140625f}, tensors.floats("b"));
  }

  @Test
  void otherTypesAreListedButNotReadAsFloats() throws IOException {
    SafeTensors tensors =
        SafeTensors.open(file("{\"i\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", new int[8]));
    assertEquals("I64", tensors.entry("i").dtype());
    assertComplaint("tensor \"i\": its element type is I64; F32, F16 or BF16 expected", () -> tensors.floats("i"));
    assertComplaint("no tensor \"j\"", () -> tensors.floats("j"));
  }

  @ParameterizedTest
  @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}; tensor \"a\": shape [2] of F32 takes 8 bytes, but data_offsets hold 4",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}; tensor \"a\": data_offsets [0, 12] do not lie in the 8 bytes",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}; tensor \"a\": data_offsets [8, 4] do not lie",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}; tensor \"a\": data_offsets holds -4, not a whole number",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}}; do not lie",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775808]}}; not a whole number",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}; tensor \"a\": shape [4294967296, 4294967296] is larger",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}; tensor \"a\": shape holds 1.5",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}; tensor \"a\": shape is missing or not a list",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}; tensor \"a\": data_offsets is missing or not a list",
      "{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}; tensor \"a\": element type \"F33\" is not known",
      "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}; tensor \"a\": element type (none) is not known",
      "{\"a\":7}; tensor \"a\": element type (none) is not known",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[7,8]}}; tensor \"b\": its data overlap",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}; tensor \"a\": 4 bytes before its data belong to no tensor",
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}; 4 bytes at its end belong to no tensor",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}; Duplicate field 'a'",
      "{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}; metadata \"k\" is not a string",
      "{\"__metadata__\":[],\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}; __metadata__ is not a JSON object",
      "{\"a\":; the header is not JSON: Unexpected end-of-input within/between Object entries, line 1, column 6", "[1,2]; the header is not a JSON object",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}} x; the header is not JSON",
      "{\"a\\nb\":7}; tensor \"a<U+000A>b\": element type"})
  void hostileHeadersAreRefusedInOneLine(String header, String complaint) throws IOException {
    Path file = file(header, new int[8]);
    assertComplaint(complaint, () -> SafeTensors.open(file));
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 15, 1 << 20, 100_000_001, Long.MAX_VALUE, -1})
  void headersLongerThanTheFileAreNotRead(long length) throws IOException {
    Path file = folder.resolve("bad.safetensors");
    Files.write(file, ByteBuffer.allocate(22).order(ByteOrder.LITTLE_ENDIAN).putLong(length).put("{}".getBytes(StandardCharsets.US_ASCII)).array());
    assertComplaint("a header of " + Long.toUnsignedString(length) + " bytes is declared in a file of 22", () -> SafeTensors.open(file));
  }

  @Test
  void shortMissingAndUnreadableFilesAreNamed() throws IOException {
    Path file = folder.resolve("short.safetensors");
    Files.write(file, new byte[7]);
    assertComplaint("it has 7 bytes", () -> SafeTensors.open(file));
    assertComplaint("no such file", () -> SafeTensors.open(folder.resolve("none.safetensors")));
    assertComplaint("cannot be", () -> SafeTensors.open(folder));
  }

  @Test
  void damagedFilesAreReadOrRefusedButNeverAnythingElse() throws IOException {
    Path file = folder.resolve("good.safetensors");
    SafeTensors.write(file, Map.of("a", "b"), List.of(
        new SafeTensors.FloatTensor("x", new long[] {2, 2}, new float[] {1, 2, 3, 4}),
        new SafeTensors.FloatTensor("y.weight", new long[] {3}, new float[] {5, 6, 7})));
    byte[] good = Files.readAllBytes(file);
    Random random = new Random(1);
    int refused = 0;
    for (int i = 0; i < 1000; i++) {
      byte[] bad = good.clone();
      for (int change = random.nextInt(3); change >= 0; change--) {
        bad[random.nextInt(bad.length)] = (byte) (random.nextBoolean() ? random.nextInt(256) : "0123456789-{}[],\":".charAt(random.nextInt(18)));
      }
      Files.write(file, random.nextInt(4) > 0 ? bad : Arrays.copyOf(bad, random.nextInt(bad.length + 1)));
      try {
        SafeTensors tensors = SafeTensors.open(file);
        for (String name : tensors.names()) {
          if (tensors.entry(name).dtype().equals("F32")) {
            tensors.floats(name);
          }
        }
      } catch (HlaException e) {
        refused++;
        assertOneLine(e);
      }
    }
    assertTrue(refused > 300 && refused < 1000, "refused " + refused);
  }

  @Test
  void wrongTensorsAreNotWritten() {
    Path file = folder.resolve("new.safetensors");
    SafeTensors.FloatTensor one = new SafeTensors.FloatTensor("a", new long[] {1}, new float[1]);
    assertComplaint("tensor \"a\": the name comes twice", () -> SafeTensors.write(file, Map.of(), List.of(one, one)));
    assertComplaint("tensor \"b\": shape [2] for 1 numbers", () -> SafeTensors.write(
        file, Map.of(), List.of(new SafeTensors.FloatTensor("b", new long[] {2}, new float[1]))));
    assertFalse(Files.exists(file));
    assertComplaint("cannot be written",
        () -> SafeTensors.write(folder.resolve("missing/a.safetensors"), Map.of(), List.of(one)));
  }

  private Path file(String header, int... data) throws IOException {
    Path file = folder.resolve("made.safetensors");
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(json.length).put(json);
    for (int each : data) {
      bytes.put((byte) each);
    }
    Files.write(file, bytes.array());
    return file;
  }

  private static void assertComplaint(String complaint, Runnable action) {
    HlaException refused = assertThrows(HlaException.class, action::run);
    assertTrue(refused.getMessage().contains(complaint), refused.getMessage());
    assertOneLine(refused);
  }

  private static void assertOneLine(HlaException e) {
    assertTrue(e.getMessage().chars().noneMatch(c -> c < ' '), e.getMessage());
  }
}
