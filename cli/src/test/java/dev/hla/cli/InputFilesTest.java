package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesWan;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is given as an input is used, or refused; it is never replaced by made-up numbers without a word. */
class InputFilesTest {
  private static final String MODEL = ShapesWan.model().toString();
  private static final Tensor TIME = Tensor.of(new float[] {1, 2}, 2);

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"<c16", "<U4", "|O"})
  void anInputOfAnUnreadableTypeIsNotMadeUp(String type) throws IOException {
    for (String name : new String[] {"timestep", "in:timestep"}) {
      Path file = npz(Map.of("hidden_states.npy", npy(Npz.readAll(ShapesWan.exampleInputs()).get("hidden_states")), name + ".npy", npy(type)));
      for (String verb : new String[] {"run MODEL", "verify MODEL MODEL"}) {
        Ran ran = hla(verb + " -i " + file);
        assertEquals(Exit.FAILED, ran.code(), ran.out());
        assertTrue(ran.errorLine().contains("x.npz:" + name + ": element type"), ran.err());
      }
    }
  }

  @Test
  void whatIsNoInputMayBeOfAnyType() throws IOException {
    Path file = npz(Map.of("timestep.npy", npy(TIME), "prompt.npy", npy("<U4"), "out:sample.npy", npy("<c16")));
    assertEquals(Exit.DONE, hla("run MODEL -i " + file).code());
  }

  @Test
  void anInputThatIsGivenOnceMoreNeedNotBeReadable() throws IOException {
    Path file = npz(Map.of("encoder_hidden_states.npy", npy(Tensor.of(new float[2 * 4 * 32], 2, 4, 32)), "timestep.npy", npy("<c16")));
    Path time = Files.write(folder.resolve("time.npy"), npy(TIME));
    assertEquals(Exit.DONE, hla("run MODEL -i " + file + " -i timestep=" + time).code());
  }

  @Test
  void aFileThatGivesNoInputIsRefused() throws IOException {
    Map<String, byte[]> outputs = Map.of("out:sample.npy", npy(TIME));
    for (Map<String, byte[]> entries : java.util.List.of(Map.<String, byte[]>of(), Map.of("readme.txt", new byte[3]), outputs)) {
      Ran ran = hla("run MODEL -i " + npz(entries));
      assertEquals(Exit.FAILED, ran.code(), ran.out());
      assertTrue(ran.errorLine().contains("x.npz: gives no input"), ran.err());
    }
    Ran ran = hla("run MODEL -i " + npz(Map.of("timestep.npy", npy("<c16"))));
    assertEquals(Exit.FAILED, ran.code(), ran.out());
    assertTrue(ran.errorLine().contains("x.npz:timestep: element type c16 cannot be read"), ran.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"run PIPE", "run MODEL -i PIPE", "run MODEL -i timestep=PIPE", "convert MODEL --maps PIPE -o OUT", "convert MODEL --plan PIPE -o OUT",
      "generate MODEL --prompt x --vocabulary PIPE", "inspect PIPE", "distill MODEL --prompts PIPE -o OUT"})
  void nobodyWaitsForAPipe(String line) throws Exception {
    Path pipe = folder.resolve("pipe.npz");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    Ran ran = assertTimeoutPreemptively(Duration.ofSeconds(60), () -> hla(line.replace("PIPE", pipe.toString()).replace("OUT", folder.resolve("out").toString())));
    assertEquals(Exit.FAILED, ran.code(), ran.out());
    assertTrue(ran.errorLine().contains("pipe.npz: is a "), ran.err());
  }

  private Path npz(Map<String, byte[]> entries) throws IOException {
    Path file = folder.resolve("x.npz");
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
      for (Map.Entry<String, byte[]> entry : new LinkedHashMap<>(entries).entrySet()) {
        zip.putNextEntry(new ZipEntry(entry.getKey()));
        zip.write(entry.getValue());
      }
    }
    return file;
  }

  private static byte[] npy(Tensor tensor) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Npy.write(tensor, out);
    return out.toByteArray();
  }

  /** Two numbers of a type that is not read. */
  private static byte[] npy(String type) {
    String header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (2,), }" + " ".repeat(40);
    return ("\u0093NUMPY\1\0" + (char) header.length() + "\0" + header + " ".repeat(32)).getBytes(StandardCharsets.ISO_8859_1);
  }

  private static Ran hla(String line) {
    return Ran.hla(line.replace("MODEL", MODEL).split(" "));
  }
}
