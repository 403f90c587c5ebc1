package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The script gpu-check by itself: a device, a build and a program that are shell scripts, some of which fault and hang. */
class GpuCheckTest {
  @TempDir Path folder;

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void whatWasMeasuredBeforeAHangIsReported() throws Exception {
    NativeProcess ran = run("9.0", "20");
    assertEquals(1, ran.exit(), ran.printed());
    String report = Files.readString(folder.resolve("reports/nvidia-test-1.json"));
    assertTrue(report.contains("\"device\": \"TEST\", \"copy_bytes_per_second\": 4e12,"), report);
    assertTrue(report.contains("\"bfloat16_product_flops\": 785.1e12,"), report);
    assertTrue(report.contains("{\"kernel\": \"cudnn\", \"tokens\": 32760, \"ms\": 10.5},"), report);
    assertTrue(report.contains("{\"by\": \"warp\"},\n    {\"by\": \"warpgroup\"}\n  ]"), report);
    assertTrue(report.contains("\"first_look\": \"9 runs, 0 failures\", \"warpgroups_first_look\": \"failed (1): an illegal memory access\""),
        report);
    assertTrue(report.contains("\"checked\": \"not run: 20 seconds were over\""), report);
    assertTrue(Pattern.compile("\"timings\": \"aims warpgroup: stopped after [0-9]+ seconds: [^\"]*; rest warp: not run: 20 seconds were over\", \"ended\": \"early")
        .matcher(report).find(), report);
    assertTrue(Pattern.compile("^N1 +bfloat16 +warp +0\\.6000 .*\nN1 +bfloat16 +warpgroup +0\\.1000 \\* ", Pattern.MULTILINE)
        .matcher(ran.printed()).find(), ran.printed());
  }

  @ParameterizedTest
  @Execution(ExecutionMode.CONCURRENT)
  @CsvSource({"7.5, 20, 3, 'this GPU has compute capability 7.5, the kernels need 8.0'",
      "9.0, 1.5, 2, 'GPU_CHECK_SECONDS: expected a number of seconds, got 1.5'"})
  void whatKeepsItFromRunningIsTold(String capability, String seconds, int exit, String message) throws Exception {
    NativeProcess ran = run(capability, seconds);
    assertEquals(exit, ran.exit(), ran.printed());
    assertEquals("gpu-check: " + message + "\n", ran.printed());
  }

  private NativeProcess run(String capability, String seconds) throws IOException, InterruptedException {
    Path script = Files.createDirectories(folder.resolve("tree/cuda-ops")).resolve("gpu-check");
    Files.copy(Path.of("gpu-check"), script);
    Files.writeString(Files.createDirectories(folder.resolve("tree/cuda-ops/src/main/cuda")).resolve("kernels.cu"), "");
    Path program = script("program", """
        case "$*" in
        "--check --small") echo "9 runs, 0 failures" ;;
        "--check-warpgroups --small") echo 'an illegal "memory" access' >&2; exit 1 ;;
        --ceilings*) echo "copy device 4e12" >>"$2"; echo '"device": "TEST", "copy_bytes_per_second": 4e12' ;;
        "--bench aims warp "*) echo '{"by": "warp"}' >>"$5"; printf 'N1\\tbfloat16\\twarp\\t0.6\\t17\\t13%%\\t10%%\\t0.003\\n' >>"$6" ;;
        "--bench aims warpgroup "*)
          echo '{"by": "warpgroup"}' >>"$5"; printf 'N1\\tbfloat16\\twarpgroup\\t0.1\\t100\\t60%%\\t60%%\\t0.003\\n' >>"$6"; sleep 90 ;;
        *) echo "0 failures" ;;
        esac
        """);
    script("tree/cuda-ops/build.sh", "cp '" + program + "' \"$1/hla_gpu_check\"; cp '" + program + "' \"$1/hla_gpu_products\"\n");
    Files.createDirectories(folder.resolve("bin"));
    script("bin/nvidia-smi", "case \"$1\" in *compute_cap*) echo " + capability + " ;; *=name*) echo NVIDIA TEST 1 ;; *) echo 580.1 ;; esac\n");
    script("bin/nvcc", "echo 'Cuda compilation tools, release 13.0, V13.0.88'\n");
    script("bin/python3", """
        case "$*" in
        *assert*) echo 2.11.0 ;;
        *sdpa.py) echo "product bfloat16 785.1"; echo "softmax cudnn 32760 10.5"; echo "something else" >&2; echo "softmax flash 32760 18.9" ;;
        esac
        """);
    return NativeProcess.run(List.of("bash", script.toString(), folder.resolve("build").toString(), folder.resolve("reports").toString()),
        Map.of("PATH", folder.resolve("bin") + ":" + System.getenv("PATH"), "GPU_CHECK_SECONDS", seconds));
  }

  private Path script(String name, String body) throws IOException {
    Path file = folder.resolve(name);
    Files.writeString(file, "#!/bin/sh\n" + body);
    assertTrue(file.toFile().setExecutable(true), file.toString());
    return file;
  }
}
