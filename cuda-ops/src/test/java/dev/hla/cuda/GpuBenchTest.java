package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Times the original and the converted model on CUDA and on the CPU, and prints milliseconds a run, inputs and outputs
 * copied. {@code mvn -Pgpu -pl cuda-ops -am verify -Dtest=GpuBenchTest -Dhla.cuda.bench=true}, on a machine with a GPU.
 */
class GpuBenchTest {
  private static final int RUNS = 30;

  @TempDir Path folder;

  @Test
  void timeAConvertedModel() throws Exception {
    assumeTrue(Boolean.getBoolean("hla.cuda.bench"), "a bench: -Dhla.cuda.bench=true runs it");
    Path library = Gpu.libraryOrSkip(folder);
    Path converted = Gpu.convertedModel(folder);
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    System.setProperty("hla.library.path", library.toString());
    try {
      for (boolean cuda : new boolean[] {true, false}) {
        for (Path model : new Path[] {ShapesWan.model(), converted}) {
          double median = median(model, inputs, cuda);
          System.out.printf("%-16s %-5s %8.3f ms%n", model.getFileName(), cuda ? "CUDA" : "CPU", median);
          assertTrue(median > 0);
        }
      }
    } finally {
      System.clearProperty("hla.library.path");
    }
  }

  private static double median(Path model, Map<String, Tensor> inputs, boolean cuda) {
    try (ModelSession session = ModelSession.open(model, new ModelSession.Settings(true, 0, cuda))) {
      double[] times = new double[RUNS];
      for (int i = -5; i < RUNS; i++) {
        long start = System.nanoTime();
        session.run(inputs);
        if (i >= 0) {
          times[i] = (System.nanoTime() - start) / 1e6;
        }
      }
      Arrays.sort(times);
      return times[RUNS / 2];
    }
  }
}
