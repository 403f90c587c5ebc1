package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.runtime.Difference;
import dev.hla.runtime.HlaOperators;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The CUDA operators through ONNX Runtime. With -Pgpu, on a machine with a GPU; skipped elsewhere. */
class GpuSessionTest {
  @TempDir Path folder;
  private Path library;

  @BeforeEach
  void needGpu() throws Exception {
    library = Gpu.libraryOrSkip(folder);
  }

  @Test
  void everyCaseAndTypeAgreesWithTheReference() throws Exception {
    for (OperatorCase c : Stream.concat(OperatorCase.GRID.stream(), OperatorCase.WITHOUT_KEYS.stream()).toList()) {
      for (Precision type : Precision.values()) {
        try (SessionOptions options = new SessionOptions()) {
          options.addCUDA(0);
          // A session that would fall back to the CPU for the operator does not open.
          options.addConfigEntry("session.disable_cpu_ep_fallback", "1");
          assertEquals("", HlaOperators.register(options, library).cudaMissing());
          try (OrtSession session = OrtEnvironment.getEnvironment().createSession(OneNode.model(c, type), options)) {
            double error = HadamardReference.relativeError(c.expected(), OneNode.run(session, c, type));
            assertTrue(error <= type.tolerance(), c + " " + type + ": relative error " + error);
          }
        }
      }
    }
  }

  @Test
  void aConvertedModelGivesWhatItGivesOnTheCpu() throws Exception {
    Path model = Gpu.convertedModel(folder);
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    System.setProperty("hla.library.path", library.toString());
    try (ModelSession cpu = ModelSession.open(model, ModelSession.Settings.DEFAULT);
        ModelSession cuda = ModelSession.open(model, new ModelSession.Settings(true, 0, true))) {
      Map<String, Tensor> expected = cpu.run(inputs);
      Map<String, Tensor> actual = cuda.run(inputs);
      // float32 on both, but the rest of the model may take TF32 products on the device.
      expected.forEach((name, tensor) ->
          assertTrue(Difference.between(tensor, actual.get(name), name).relative() < 5e-3, name));
    } finally {
      System.clearProperty("hla.library.path");
    }
  }
}
