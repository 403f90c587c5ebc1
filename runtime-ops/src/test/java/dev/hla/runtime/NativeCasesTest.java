package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.hla.testdata.OperatorCase;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * Runs the kernels without a runtime, in every instruction set of this CPU, every type, both layouts and several cuts:
 * optimised over the whole grid, with AddressSanitizer and UndefinedBehaviorSanitizer over the small cases, and under
 * valgrind (which knows no AVX-512) where there is one. The cases come from the one float64 reference.
 */
class NativeCasesTest {
  private static final Path BUILD = Path.of(System.getProperty("hla.native.build", "target/native"));
  private static final Path SANITIZED = Path.of(System.getProperty("hla.native.sanitized", "target/native-sanitized"));

  @TempDir Path folder;

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void everyInstructionSetAgreesWithTheReference() throws Exception {
    List<String> command = new ArrayList<>(List.of(BUILD.resolve("hla_case_test").toString()));
    command.addAll(cases(c -> true));
    succeed(command);
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void sanitizersFindNothing() throws Exception {
    List<String> command = new ArrayList<>(List.of(SANITIZED.resolve("hla_case_test").toString()));
    command.addAll(cases(NativeCasesTest::small));
    succeed(command);
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void valgrindFindsNothing() throws Exception {
    assumeTrue(Stream.of(System.getenv("PATH").split(File.pathSeparator)).anyMatch(p -> Files.isExecutable(Path.of(p, "valgrind"))),
        "valgrind is not on the PATH");
    for (String isa : List.of("baseline", "avx2")) {
      List<String> command = new ArrayList<>(List.of(
          "valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", BUILD.resolve("hla_case_test").toString(),
          "--isa", isa));
      command.addAll(cases(c -> c.queries() <= 17 && c.keys() <= 19));
      succeed(command);
    }
  }

  private static boolean small(OperatorCase c) {
    return c.queries() <= 129 && c.keys() <= 129;
  }

  private List<String> cases(Predicate<OperatorCase> wanted) throws IOException {
    List<String> files = new ArrayList<>();
    for (OperatorCase c : Stream.concat(OperatorCase.GRID.stream(), OperatorCase.WITHOUT_KEYS.stream()).filter(wanted).toList()) {
      files.add(write(c, folder.resolve(c.name().replace(' ', '_') + ".case")).toString());
    }
    return files;
  }

  /** The format is described in case_test.cpp. */
  private static Path write(OperatorCase c, Path file) throws IOException {
    float[][] inputs = {c.queryFeatures(), c.keyFeatures(), c.value()};
    double[] expected = c.expected();
    int factors = c.ranks().length;
    ByteBuffer bytes = ByteBuffer.allocate(
        8 * (6 + 2 * factors + 1 + expected.length) + 4 * (inputs[0].length + inputs[1].length + inputs[2].length))
        .order(ByteOrder.LITTLE_ENDIAN);
    for (int size : new int[] {c.batch(), c.heads(), c.queries(), c.keys(), c.valueDim(), factors}) {
      bytes.putLong(size);
    }
    for (int rank : c.ranks()) {
      bytes.putLong(rank);
    }
    for (int power : c.powers()) {
      bytes.putLong(power);
    }
    bytes.putDouble(c.epsilon());
    for (float[] input : inputs) {
      for (float value : input) {
        bytes.putFloat(value);
      }
    }
    for (double value : expected) {
      bytes.putDouble(value);
    }
    return Files.write(file, bytes.array());
  }

  private static void succeed(List<String> command) throws IOException, InterruptedException {
    assertTrue(command.stream().anyMatch(word -> word.endsWith(".case")), "there are cases");
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), printed);
  }
}
