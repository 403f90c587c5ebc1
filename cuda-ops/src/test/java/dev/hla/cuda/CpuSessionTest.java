package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.hla.runtime.HlaOperators;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A session on the CPU with the plugin beside the library, in a JVM of its own: the plugin warns once, on the error stream. */
class CpuSessionTest {
  static final Path PLUGIN = Path.of(System.getProperty(
      "hla.cuda.plugin", "target/classes/native/linux-x86_64/libhla_ops_cuda.so"));

  @TempDir Path folder;
  private Path library;

  @BeforeEach
  void copyLibrary() throws IOException {
    library = folder.resolve("libhla_ops.so");
    try (InputStream in = HlaOperators.class.getResourceAsStream("/native/linux-x86_64/libhla_ops.so")) {
      Files.write(library, in.readAllBytes());
    }
  }

  @Test
  void runsAsBeforeAndWarnsOnceWhereThereIsNoDevice() throws Exception {
    assumeTrue(Files.exists(PLUGIN), "no nvcc: the plugin was not built");
    assumeTrue(!Files.exists(Path.of("/dev/nvidiactl")), "this machine has a GPU");
    String[] alone = probe();
    Files.copy(PLUGIN, folder.resolve(PLUGIN.getFileName()), StandardCopyOption.REPLACE_EXISTING);
    String[] beside = probe();
    assertEquals(1, alone.length, String.join("\n", alone));
    assertEquals(2, beside.length, "one warning, and the result: " + String.join("\n", beside));
    assertTrue(beside[0].startsWith("hla: the CUDA kernels stay out: "), beside[0]);
    assertTrue(beside[0].contains(folder.toString()), beside[0]);
    assertArrayEquals(alone, new String[] {beside[1]});
  }

  @Test
  void aPluginThatIsNoneStaysOut() throws Exception {
    Files.writeString(folder.resolve(PLUGIN.getFileName()), "not a library");
    String[] lines = probe();
    assertEquals(2, lines.length, String.join("\n", lines));
    assertTrue(lines[0].startsWith("hla: the CUDA kernels stay out: "), lines[0]);
  }

  private String[] probe() throws IOException, InterruptedException {
    NativeProcess ran = NativeProcess.run(List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp", System.getProperty("java.class.path"),
        SessionProbe.class.getName(), library.toString()));
    assertEquals(0, ran.exit(), ran.printed());
    return ran.printed().split("\n");
  }
}
