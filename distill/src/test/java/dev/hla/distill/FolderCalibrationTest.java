package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FolderCalibrationTest {
  private static final List<Slot> ONE = List.of(slot("x"));

  @TempDir Path folder;

  @Test
  void whatIsNoFileIsRefused() throws Exception {
    write("a.npz", Map.of("x", numbers(1, 2)));
    Path pipe = folder.resolve("b.npz");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    assertTimeoutPreemptively(Duration.ofSeconds(60), () -> assertMessage("b.npz: is a device, a pipe or a socket, not a set of inputs", this::open));
    Files.delete(pipe);
    Files.createDirectory(pipe);
    assertMessage("b.npz: is a folder, not a set of inputs", this::open);
    Files.delete(pipe);
    Files.createSymbolicLink(pipe, folder.resolve("none"));
    assertMessage("b.npz: is a link to nothing", this::open);
  }

  @Test
  void filesOfTheSameLengthWithOtherNumbersAreOtherInputs() throws IOException {
    write("a.npz", Map.of("x", numbers(1, 2)));
    Files.createDirectories(folder.resolve("b"));
    String first = open().identity();
    assertEquals(first, open().identity());
    write("a.npz", Map.of("x", numbers(1, 3)));
    assertNotEquals(first, open().identity());
    try (OutputStream out = Files.newOutputStream(folder.resolve("b.npy"))) {
      Npy.write(numbers(1), out);
    }
    first = open().identity();
    try (OutputStream out = Files.newOutputStream(folder.resolve("b.npy"))) {
      Npy.write(numbers(2), out);
    }
    assertNotEquals(first, open().identity());
  }

  @Test
  void numbersAreWanted() throws IOException {
    for (float wrong : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      write("a.npz", Map.of("x", numbers(1, 2, wrong)));
      assertMessage("a.npz: the array x has " + (double) wrong + " at element 2", () -> open().inputs(0));
    }
    write("a.npz", Map.of("x", numbers()));
    assertMessage("a.npz: the array x is float32[0], which holds no numbers", () -> open().inputs(0));
    write("a.npz", Map.of("x", numbers(Float.NEGATIVE_INFINITY)));
    assertEquals(Double.NEGATIVE_INFINITY, open().inputs(0).get("x").get(0));
  }

  @Test
  void aBadFileIsFoundBeforeAnyWork() throws IOException {
    write("a.npz", Map.of("x", numbers(1)));
    write("b.npz", Map.of("y", numbers(1)));
    open().check(1);
    assertMessage("b.npz: has no array x", () -> open().check(2));
  }

  @Test
  void anUnreadableTypeIsNamed() throws IOException {
    String header = "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }" + " ".repeat(40);
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(folder.resolve("a.npz")))) {
      zip.putNextEntry(new ZipEntry("x.npy"));
      zip.write(("\u0093NUMPY\1\0" + (char) header.length() + "\0" + header + " ".repeat(8)).getBytes(StandardCharsets.ISO_8859_1));
    }
    assertMessage("a.npz:x: element type c8 cannot be read", () -> open().inputs(0));
  }

  @Test
  void anArrayReplacesTheValueThatTheModelHas() throws IOException {
    write("a.npz", Map.of("x", numbers(1), "other", numbers(3)));
    write("b.npz", Map.of("x", numbers(1), "in:y", numbers(2)));
    FolderCalibration inputs = new FolderCalibration(folder, ONE, List.of(slot("y")));
    assertEquals(Set.of("x"), inputs.inputs(0).keySet());
    assertEquals(2, inputs.inputs(1).get("y").get(0));
    assertEquals(Set.of("x", "y"), inputs.names());
  }

  private FolderCalibration open() {
    return new FolderCalibration(folder, ONE);
  }

  private void write(String name, Map<String, Tensor> arrays) throws IOException {
    try (OutputStream out = Files.newOutputStream(folder.resolve(name))) {
      Npz.write(arrays, out);
    }
  }

  private static Tensor numbers(float... values) {
    return Tensor.of(values, values.length);
  }

  private static Slot slot(String name) {
    return new Slot(name, ElementType.FLOAT32, List.of(-1L), List.of("n"));
  }

  private static void assertMessage(String part, org.junit.jupiter.api.function.Executable action) {
    HlaException e = assertThrows(HlaException.class, action);
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }
}
