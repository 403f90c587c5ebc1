package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.WanShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model of 28 GB is converted in a small heap: its weights are neither read nor copied. */
class LargeModelTest {
  @TempDir Path folder;

  @Test
  void aModelOfFortyBlocksConvertsIn512Megabytes() throws Exception {
    Path model = WanShape.write(folder);
    long weights = weightBytes();
    assertTrue(weights > 28_000_000_000L, "weights of " + weights + " bytes");
    Path out = folder.resolve("converted.onnx");
    long start = System.nanoTime();
    Process hla = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx512m", "-XX:+UseSerialGC", "-cp",
        System.getProperty("java.class.path"), Hla.class.getName(), "convert", model.toString(), "-o", out.toString(), "--unfitted", "--ranks", "16,16",
        "--kind", "self", "-q").redirectErrorStream(true).start();
    String said = new String(hla.getInputStream().readAllBytes());
    assertTrue(hla.waitFor(2, TimeUnit.MINUTES), "it does not end");
    System.out.printf("convert of %d GB: %.1f s%n", weights / 1_000_000_000, (System.nanoTime() - start) / 1e9);
    assertEquals(0, hla.exitValue(), said);
    assertTrue(Files.size(out) < 4 << 20, "the model file has " + Files.size(out) + " bytes");
    Path sidecar = folder.resolve("converted.onnx.hla.data");
    // 40 sites, two sides: 40 heads, 128 channels to 32 features, float16, and a bias; each of the tensors at a multiple of 4096.
    long tensors = 40L * 2 * (2 * 40 * 128 * 32 + 2 * 40 * 32);
    assertTrue(Files.size(sidecar) >= tensors && Files.size(sidecar) < tensors + 160 * 4096, "the sidecar has " + Files.size(sidecar) + " bytes");
    assertEquals(weights, weightBytes() - Files.size(sidecar));
    Ran inspected = Ran.hla("inspect", "--json", out.toString());
    assertEquals(WanShape.BLOCKS, inspected.out().split("\"kind\" : \"cross\"").length - 1, "the cross-attentions stay");
    assertEquals(1, inspected.out().split("\"kind\" : \"self\"").length, "no self-attention is left");
  }

  private long weightBytes() throws IOException {
    long sum = 0;
    try (var files = Files.list(folder)) {
      for (Path f : (Iterable<Path>) files.filter(p -> p.toString().endsWith(".data"))::iterator) {
        sum += Files.size(f);
      }
    }
    return sum;
  }
}
