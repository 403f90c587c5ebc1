package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * What ptxas reported of every kernel and every target when the plugin was built: no spills, no stack, and registers for
 * the blocks that a multiprocessor shall hold: two, of the warpgroup kernels, whose blocks are larger, one. Warpgroup
 * products must not be serialized: ptxas does that, and says so, where it cannot prove that their registers are left alone.
 * Shared memory is dynamic; shared_memory.h and wgmma_schedule.cpp hold its sizes against the targets' limits.
 */
class ResourceUseTest {
  private static final Path BUILD = Path.of(System.getProperty("hla.cuda.build", "target/native"));
  private static final Pattern KERNEL = Pattern.compile("Compiling entry function '(\\S+)' for '(\\S+)'");
  private static final Pattern SPILLS = Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
  private static final Pattern REGISTERS = Pattern.compile("Used (\\d+) registers");
  private static final Pattern NAME = Pattern.compile("\\d+([a-z_]+_kernel)[IE]");
  private static final int REGISTER_FILE = 65536;

  @Test
  void noKernelSpillsAndTwoBlocksFit() throws IOException {
    Map<String, Integer> registers = new TreeMap<>();
    assertEquals(Set.of("maps_kernel", "output_kernel", "reduce_kernel", "state_kernel", "zero_kernel"),
        read("resources.log", registers));
    registers.forEach((name, count) -> assertTrue(blocks(count, 128) >= 2, name + " uses " + count + " registers"));
    assertEquals(0, registers.size() % 16, "16 kernels a target: " + registers.keySet());
  }

  @Test
  void noWarpgroupKernelSpillsOrWaitsForEachProduct() throws IOException {
    Map<String, Integer> registers = new TreeMap<>();
    assertEquals(Set.of("wgmma_maps_kernel", "wgmma_output_kernel", "wgmma_reduce_kernel", "wgmma_state_kernel"),
        read("wgmma_resources.log", registers));
    registers.forEach((name, count) -> {
      assertTrue(name.startsWith("sm_90a "), name);
      assertTrue(blocks(count, 256) >= 1, name + " uses " + count + " registers");
    });
    assertEquals(15, registers.size(), "maps, 4 of the state, 2 reductions, 8 of the output: " + registers.keySet());
  }

  private static int blocks(int registers, int threads) {
    int allocated = (registers + 7) / 8 * 8;  // the unit of allocation, for each thread of a warp
    return REGISTER_FILE / (allocated * threads);
  }

  /** Puts each kernel's registers into a map and returns the kernels' names. */
  private static Set<String> read(String report, Map<String, Integer> registers) throws IOException {
    Path file = BUILD.resolve(report);
    assumeTrue(Files.exists(file), "no nvcc: the plugin was not built");
    Set<String> names = new TreeSet<>();
    String kernel = null;
    for (String line : Files.readAllLines(file)) {
      assertFalse(line.toLowerCase(Locale.ROOT).contains("wgmma.mma_async instructions are serialized"), line);
      Matcher compiling = KERNEL.matcher(line);
      Matcher spills = SPILLS.matcher(line);
      Matcher used = REGISTERS.matcher(line);
      if (compiling.find()) {
        kernel = compiling.group(2) + " " + compiling.group(1);
        Matcher name = NAME.matcher(compiling.group(1));
        assertTrue(name.find(), line);
        names.add(name.group(1));
      } else if (spills.find()) {
        assertEquals("0 0 0", spills.group(1) + " " + spills.group(2) + " " + spills.group(3), "stack and spills of " + kernel);
      } else if (used.find()) {
        registers.put(kernel, Integer.parseInt(used.group(1)));
      }
    }
    return names;
  }
}
