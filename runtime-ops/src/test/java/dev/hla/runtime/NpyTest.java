package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class NpyTest {
  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void whatIsWrittenIsReadBack(ElementType type) throws IOException {
    for (long[] shape : new long[][] {{}, {0}, {1}, {5}, {2, 3}, {2, 0, 3}, {1, 2, 3, 4, 5}}) {
      Tensor tensor = Tensor.zeros(type, shape);
      for (int i = 0; i < tensor.size(); i++) {
        tensor.set(i, type == ElementType.BOOL ? i % 2 : i - (type == ElementType.UINT8 ? 0 : 3));
      }
      byte[] bytes = write(tensor);
      assertEquals(0, (bytes.length - tensor.size() * type.bytes()) % 64, "the data must begin at a multiple of 64 bytes");
      Tensor back = read(bytes);
      assertEquals(tensor.toString(), back.toString());
      assertArrayEquals(tensor.floats(), back.floats());
    }
  }

  /** Arrays as numpy writes them: np.save of np.arange(6).reshape(2, 3) in several types and orders. */
  @ParameterizedTest
  @CsvSource({
      "<f4, False, 0 0 0 0  0 0 80 3f  0 0 0 40  0 0 40 40  0 0 80 40  0 0 a0 40",
      ">f4, False, 0 0 0 0  3f 80 0 0  40 0 0 0  40 40 0 0  40 80 0 0  40 a0 0 0",
      "<f2, False, 0 0  0 3c  0 40  0 42  0 44  0 45",
      ">i2, False, 0 0  0 1  0 2  0 3  0 4  0 5",
      "|u1, False, 0 1 2 3 4 5",
      "|u1, True, 0 3 1 4 2 5",
      "<i2, True, 0 0  3 0  1 0  4 0  2 0  5 0"})
  void readsBothByteOrdersAndBothElementOrders(String descr, String fortran, String data) throws IOException {
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    header(file, "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': (2, 3), }\n");
    for (String octet : data.strip().split("\\s+")) {
      file.write(Integer.parseInt(octet, 16));
    }
    Tensor tensor = read(file.toByteArray());
    assertArrayEquals(new long[] {2, 3}, tensor.shape());
    assertArrayEquals(new float[] {0, 1, 2, 3, 4, 5}, tensor.floats());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '~', quoteCharacter = '`', value = {
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), } ~ is no shape",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000, 4000000000), } ~ larger than",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (536870912,), } ~ larger than",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (500000000,), } ~ cut short",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3, x), } ~ does not state",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3 3,), } ~ is no shape",
      "{'descr': '<U8', 'fortran_order': False, 'shape': (), } ~ cannot be read",
      "{'descr': '|O', 'fortran_order': False, 'shape': (), } ~ cannot be read",
      "{'descr': '<c8', 'fortran_order': False, 'shape': (2,), } ~ cannot be read",
      "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), } ~ structured",
      "{'descr': '<f4', 'shape': (2,), } ~ does not state",
      "nonsense ~ does not state"})
  void aHostileHeaderIsRefusedInOneLine(String header, String part) throws IOException {
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    header(file, header);
    file.write(new byte[16]);
    HlaException e = assertThrows(HlaException.class, () -> read(file.toByteArray()));
    assertTrue(e.getMessage().startsWith("x.npy: ") && e.getMessage().contains(part), e.getMessage());
    assertFalse(e.getMessage().contains("\n"), e.getMessage());
  }

  @Test
  void everyTruncationAndEveryFlippedByteIsReadOrRefused() throws IOException {
    byte[] whole = write(Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3));
    for (int length = 0; length < whole.length; length++) {
      byte[] cut = java.util.Arrays.copyOf(whole, length);
      assertThrows(HlaException.class, () -> read(cut));
    }
    Random random = new Random(4);
    for (int round = 0; round < 20_000; round++) {
      byte[] damaged = whole.clone();
      for (int i = 0; i <= random.nextInt(3); i++) {
        damaged[random.nextInt(whole.length)] = (byte) random.nextInt(256);
      }
      try {
        read(damaged);
      } catch (HlaException e) {
        assertFalse(e.getMessage().contains("\n"), e.getMessage());
      }
    }
  }

  @Test
  void archivesKeepNamesOrderAndValues() throws IOException {
    Map<String, Tensor> arrays = new LinkedHashMap<>();
    arrays.put("z", Tensor.of(new float[] {1, 2}, 2));
    arrays.put("in:a/b", Tensor.of(new float[] {3}, 1, 1));
    Path file = folder.resolve("x.npz");
    try (var out = Files.newOutputStream(file)) {
      Npz.write(arrays, out);
    }
    Map<String, Tensor> back = Npz.readAll(file);
    assertEquals(List.of("z", "in:a/b"), List.copyOf(back.keySet()));
    assertArrayEquals(new float[] {1, 2}, back.get("z").floats());
    assertEquals("float32[1, 1]", Npz.readReference(file + ":in:a/b").toString());
    assertMessage("choose one as", () -> Npz.readReference(file.toString()));
    assertMessage("has no array y; it has [z, in:a/b]", () -> Npz.readReference(file + ":y"));
    assertMessage("no such file", () -> Npz.readReference(folder.resolve("none.npz") + ":y"));
  }

  @Test
  void aDamagedArchiveIsReadOrRefused() throws IOException {
    Path file = folder.resolve("x.npz");
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Npz.write(Map.of("a", Tensor.of(new float[100], 100)), bytes);
    Random random = new Random(5);
    for (int round = 0; round < 2000; round++) {
      byte[] damaged = bytes.toByteArray();
      for (int i = 0; i <= random.nextInt(4); i++) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      }
      Files.write(file, round % 3 == 0 ? java.util.Arrays.copyOf(damaged, random.nextInt(damaged.length)) : damaged);
      try {
        Npz.readAll(file);
      } catch (HlaException e) {
        assertFalse(e.getMessage().contains("\n"), e.getMessage());
      }
    }
  }

  private static void assertMessage(String part, org.junit.jupiter.api.function.Executable action) {
    HlaException e = assertThrows(HlaException.class, action);
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }

  private static void header(ByteArrayOutputStream file, String header) throws IOException {
    file.write(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (byte) header.length(), (byte) (header.length() >> 8)});
    file.write(header.getBytes(StandardCharsets.US_ASCII));
  }

  private static byte[] write(Tensor tensor) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Npy.write(tensor, out);
    return out.toByteArray();
  }

  private static Tensor read(byte[] bytes) throws IOException {
    return Npy.read(new ByteArrayInputStream(bytes), "x.npy");
  }
}
