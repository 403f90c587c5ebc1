package dev.hla.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.converter.FeatureMaps;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.runtime.HlaOperators;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Set;

/** What the tests on a GPU have in common: they are skipped, with the reason, where there is none. */
final class Gpu {
  private Gpu() {}

  /** Puts library and plugin into a folder, and returns the library; skips the test where a session cannot use CUDA. */
  static Path libraryOrSkip(Path folder) throws IOException {
    assumeTrue(Files.exists(CpuSessionTest.PLUGIN), "the CUDA plugin was not built: there is no nvcc");
    assumeTrue(OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA),
        "this build of ONNX Runtime has no CUDA provider: run Maven with -Pgpu");
    String reason = "";
    try (SessionOptions options = new SessionOptions()) {
      options.addCUDA(0);
    } catch (OrtException e) {
      reason = String.valueOf(e.getMessage());
    }
    assumeTrue(reason.isEmpty(), "ONNX Runtime cannot use CUDA here: " + reason);
    Path library = folder.resolve("libhla_ops.so");
    try (InputStream in = HlaOperators.class.getResourceAsStream("/native/linux-x86_64/libhla_ops.so")) {
      Files.write(library, in.readAllBytes());
    }
    Files.copy(CpuSessionTest.PLUGIN, folder.resolve(CpuSessionTest.PLUGIN.getFileName()), StandardCopyOption.REPLACE_EXISTING);
    return library;
  }

  /** The trained model of the test data with its fitted maps. */
  static Path convertedModel(Path folder) {
    OnnxModel source = OnnxModel.load(ShapesWan.model());
    Plan plan = Plan.of(AttentionFinder.find(source), FeatureMaps.load(ShapesWan.maps()));
    Path file = folder.resolve("converted.onnx");
    Rewriter.rewrite(source, plan).model().save(file);
    return file;
  }
}
