package dev.hla.runtime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession;
import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * What models can run on here.
 *
 * @param onnxRuntime version of ONNX Runtime
 * @param java version of the Java machine
 * @param platform operating system and processor architecture
 * @param providers execution providers that this build of ONNX Runtime holds
 * @param processor name of the processor, or "" where the system does not tell
 * @param cores processors that the Java machine may use
 * @param cpuFeatures instruction sets of interest that the processor has
 * @param cuda why sessions cannot use CUDA, or "" where they can
 * @param library the operator library as it loads here, or null
 * @param libraryFailure why the operator library does not load, or ""
 */
public record Machine(
    String onnxRuntime, String java, String platform, List<String> providers, String processor, int cores,
    List<String> cpuFeatures, String cuda, HlaOperators.Registration library, String libraryFailure) {
  private static final Set<String> FEATURES = Set.of(
      "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16", "avx512_vnni",
      "amx_tile", "amx_bf16", "asimd", "sve");

  /** Looks at this machine; nothing is left behind. */
  public static Machine look() {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    HlaOperators.Registration library = null;
    String libraryFailure = "";
    String cuda;
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      library = HlaOperators.register(options);
    } catch (HlaException e) {
      libraryFailure = e.getMessage();
    }
    Set<OrtProvider> providers = OrtEnvironment.getAvailableProviders();
    // The list alone proves nothing: the GPU build names CUDA on a machine without a driver.
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      if (providers.contains(OrtProvider.CUDA)) {
        options.addCUDA();
        cuda = "";
      } else {
        cuda = "this build of ONNX Runtime has no CUDA provider (onnxruntime_gpu has)";
      }
    } catch (OrtException e) {
      cuda = e.getMessage().lines().findFirst().orElse("");
    }
    return new Machine(
        environment.getVersion(), System.getProperty("java.version"),
        System.getProperty("os.name").toLowerCase(Locale.ROOT) + "-" + System.getProperty("os.arch"),
        providers.stream().map(OrtProvider::name).toList(), cpuInfo("model name").stream().findFirst().orElse(""),
        Runtime.getRuntime().availableProcessors(), features(), cuda, library, libraryFailure);
  }

  private static List<String> features() {
    List<String> flags = new ArrayList<>(cpuInfo("flags"));
    flags.addAll(cpuInfo("Features"));
    return flags.stream().flatMap(line -> Arrays.stream(line.split("\\s+"))).filter(FEATURES::contains).distinct().sorted().toList();
  }

  /** The values of a key for the first processor; empty where the system has no such file. */
  private static List<String> cpuInfo(String key) {
    Path file = Path.of("/proc/cpuinfo");
    if (!Files.isReadable(file)) {
      return List.of();
    }
    try {
      return Files.readAllLines(file).stream().filter(line -> line.matches("\\Q" + key + "\\E\\s*:.*"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip()).limit(1).toList();
    } catch (IOException e) {
      return List.of();
    }
  }
}
