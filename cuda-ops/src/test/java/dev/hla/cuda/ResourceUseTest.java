package dev.hla.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * What ptxas reported of every kernel and every target when the plugin was built: no spills, no stack, and registers for
 * two blocks a multiprocessor. Shared memory is dynamic; shared_memory.h holds its largest sizes against the smallest limit
 * of all targets while it is compiled.
 */
class ResourceUseTest {
  private static final Path REPORT = Path.of(System.getProperty("hla.cuda.build", "target/native"), "resources.log");
  private static final Pattern KERNEL = Pattern.compile("Compiling entry function '(\\S+)' for '(\\S+)'");
  private static final Pattern SPILLS = Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
  private static final Pattern REGISTERS = Pattern.compile("Used (\\d+) registers");
  private static final Pattern NAME = Pattern.compile("\\d+([a-z]+_kernel)");
  private static final int THREADS = 128;
  private static final int REGISTER_FILE = 65536;

  @Test
  void noKernelSpillsAndTwoBlocksFit() throws IOException {
    assumeTrue(Files.exists(REPORT), "no nvcc: the plugin was not built");
    Map<String, Integer> registers = new TreeMap<>();
    Set<String> names = new TreeSet<>();
    String kernel = null;
    for (String line : Files.readAllLines(REPORT)) {
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
    assertEquals(Set.of("maps_kernel", "output_kernel", "reduce_kernel", "state_kernel", "zero_kernel"), names);
    registers.forEach((name, count) -> {
      int allocated = (count + 7) / 8 * 8;  // the unit of allocation, for each thread of a warp
      assertTrue(REGISTER_FILE / (allocated * THREADS) >= 2, name + " uses " + count + " registers");
    });
    assertEquals(0, registers.size() % 16, "16 kernels a target: " + registers.keySet());
  }
}
