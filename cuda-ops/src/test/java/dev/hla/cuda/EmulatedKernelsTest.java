package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.OperatorCase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The CUDA kernels' own sources in an emulated machine, against the float64 reference: every type, both layouts, odd
 * addresses, several cuts of the keys, and threads in several random orders that must give the same bits. Tensors, workspace
 * and shared memory lie between pages that may not be touched; the smaller cases run under AddressSanitizer as well.
 */
class EmulatedKernelsTest {
  private static final Path KERNELS = Path.of("src/main/cuda");
  private static final String EMULATED = System.getProperty("hla.cuda.emulated", "target/emulated/hla_emulated_test");
  private static final String SANITIZED = System.getProperty("hla.cuda.sanitized", "target/emulated-sanitized/hla_emulated_test");

  @TempDir Path folder;

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void smallCasesInEveryWay() throws Exception {
    succeed(EMULATED, List.of(), c -> !large(c), c -> true);
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void largeCases() throws Exception {
    succeed(EMULATED, List.of("--quick"), EmulatedKernelsTest::large, c -> false);
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void sanitizersFindNothing() throws Exception {
    succeed(SANITIZED, List.of(), c -> c.queries() <= 65 && c.keys() <= 65 && c.valueDim() <= 128,
        c -> c.queries() <= 65 && c.keys() <= 130);
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void warpgroupKernels() throws Exception {
    for (List<String> command : List.of(List.of(EMULATED, "--warpgroups"), List.of(SANITIZED, "--warpgroups", "--small"))) {
      NativeProcess ran = NativeProcess.run(command);
      assertEquals(0, ran.exit(), ran.printed());
      assertTrue(ran.printed().contains(" runs by warpgroups, 0 failures"), ran.printed());
    }
  }

  @Test
  @Execution(ExecutionMode.CONCURRENT)
  void theEmulationTellsNaNFromNumbers() throws Exception {
    // A token that is not a number reaches every query, and the test's measure says so.
    OperatorCase c = OperatorCase.GRID.stream().filter(x -> x.name().equals("two factors")).findFirst().orElseThrow();
    Path file = CaseFiles.write(c, folder);
    byte[] bytes = Files.readAllBytes(file);
    int header = 8 * (8 + 3 * c.ranks().length + 1);
    int firstKey = header + 4 * c.queries() * c.width();
    bytes[firstKey + 2] = (byte) 0xC0;
    bytes[firstKey + 3] = (byte) 0x7F;
    Files.write(file, bytes);
    NativeProcess ran = NativeProcess.run(List.of(EMULATED, "--quick", file.toString()));
    assertTrue(ran.exit() != 0 && ran.printed().contains("relative error inf"), ran.printed());
  }

  static Stream<Arguments> mutations() {
    return Stream.of(
        Arguments.of("a barrier less before the state pass multiplies", "state_kernel.h",
            "    barrier();  // the tile is there\n", ""),
        Arguments.of("a barrier less before the output pass multiplies", "output_kernel.h",
            "      barrier();  // this tile is there, the tile before has been multiplied, the nodes are there\n", ""),
        Arguments.of("no wait for the state's copies", "output_kernel.h", "      wait_for_copies();\n", ""),
        Arguments.of("no guard for the tokens beyond the last", "nodes.h",
            "if (node >= count_ || token >= end) return 0.0f;", "if (node >= count_) return 0.0f;"),
        Arguments.of("no guard for the queries beyond the last", "output_kernel.h", "      if (token >= a.queries) continue;\n", ""),
        Arguments.of("a dense stride for values of any layout", "state_kernel.h",
            "from += kRowStep * a.value.token_stride;", "from += kRowStep * a.width;"),
        Arguments.of("a dense stride for outputs of any layout", "output_kernel.h",
            "output + token * a.output.token_stride", "output + token * a.width"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("mutations")
  @Execution(ExecutionMode.CONCURRENT)
  void aMutatedKernelIsFound(String what, String file, String line, String instead) throws Exception {
    assertFound(what, file, line, instead,
        cases(c -> List.of("gates before and after", "batch of three").contains(c.name()), c -> false));
  }

  static Stream<Arguments> warpgroupMutations() {
    return Stream.of(
        Arguments.of("leading and stride offsets changed over", "wgmma_state_kernel.h",
            "descriptor(values, kTileBlockBytes, 1024, Order::kSwizzle128)",
            "descriptor(values, 1024, kTileBlockBytes, Order::kSwizzle128)"),
        Arguments.of("operands written before their products have ended", "wgmma_output_kernel.h",
            "wgmma_wait<1>();  // these", "wgmma_wait<2>();  // these"),
        Arguments.of("sums read before their products have ended", "wgmma_state_kernel.h", "  wgmma_wait<0>();\n", "  wgmma_wait<1>();\n"),
        Arguments.of("no fence before products", "wgmma_state_kernel.h", "      wgmma_fence();\n", ""),
        Arguments.of("no proxy fence behind copies", "wgmma_output_kernel.h",
            "        show_to_products();\n        barrier();  // the tile", "        barrier();  // the tile"),
        Arguments.of("a barrier less before the products", "wgmma_state_kernel.h",
            "    barrier();  // the tile is there, and the products of the tile before the last have ended\n", ""),
        Arguments.of("no wait for the copies of tokens", "wgmma_maps_kernel.h",
            "    wait_for_copies_but<0>();\n    warp_barrier();", "    warp_barrier();"),
        Arguments.of("a stage of the state pass filled while its products run", "wgmma_args.h",
            "constexpr int kStateAhead = 4;", "constexpr int kStateAhead = 5;"),
        Arguments.of("features of other rows than the block's", "wgmma_state_kernel.h",
            "feature_piece * 8 - row_block * kBlockFeatures", "feature_piece * 8"),
        Arguments.of("a stage filled while its products run", "wgmma_output_kernel.h",
            "copy_state(to_copy, (turn + 2) % kStages)", "copy_state(to_copy, (turn + 3) % kStages)"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("warpgroupMutations")
  @Execution(ExecutionMode.CONCURRENT)
  void aMutatedWarpgroupKernelIsFound(String what, String file, String line, String instead) throws Exception {
    assertFound(what, file, line, instead, List.of("--warpgroups"));
  }

  private void assertFound(String what, String file, String line, String instead, List<String> arguments) throws Exception {
    Path kernels = folder.resolve("kernels");
    Files.createDirectories(kernels);
    try (Stream<Path> sources = Files.list(KERNELS)) {
      for (Path source : sources.toList()) {
        Files.copy(source, kernels.resolve(source.getFileName()));
      }
    }
    String source = Files.readString(kernels.resolve(file));
    assertEquals(2, source.split(Pattern.quote(line), -1).length, "the line to change is there once");
    Files.writeString(kernels.resolve(file), source.replace(line, instead));

    Path build = folder.resolve("build");
    NativeProcess built = NativeProcess.run(List.of(
        Path.of("build.sh").toAbsolutePath().toString(), build.toString(), "hla_emulated_test",
        "-DHLA_KERNELS=" + kernels, "-DCMAKE_CXX_FLAGS_RELEASE=-O1"));
    assertEquals(0, built.exit(), built.printed());
    List<String> command = new ArrayList<>(List.of(build.resolve("hla_emulated_test").toString(), "--first"));
    command.addAll(arguments);
    NativeProcess ran = NativeProcess.run(command);
    assertNotEquals(0, ran.exit(), what + " was not found: " + ran.printed());
  }

  private static boolean large(OperatorCase c) {
    return (long) c.batch() * c.heads() * Math.max(c.queries(), c.keys()) * Math.max(32, c.valueDim()) > 50_000;
  }

  private void succeed(String program, List<String> options, Predicate<OperatorCase> core, Predicate<CaseFiles.FusedCase> fused)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(program));
    command.addAll(options);
    List<String> files = cases(core, fused);
    assertTrue(files.size() > 3, "there are cases");
    command.addAll(files);
    NativeProcess ran = NativeProcess.run(command);
    assertEquals(0, ran.exit(), ran.printed());
    System.out.println(Arrays.asList(ran.printed().split("\n")).get(ran.printed().split("\n").length - 1));
  }

  private List<String> cases(Predicate<OperatorCase> core, Predicate<CaseFiles.FusedCase> fused) throws IOException {
    List<String> files = new ArrayList<>();
    for (OperatorCase c : Stream.concat(OperatorCase.GRID.stream(), OperatorCase.WITHOUT_KEYS.stream()).filter(core).toList()) {
      files.add(CaseFiles.write(c, folder).toString());
    }
    for (CaseFiles.FusedCase c : CaseFiles.FUSED.stream().filter(fused).toList()) {
      files.add(CaseFiles.write(c, folder).toString());
    }
    return files;
  }
}
