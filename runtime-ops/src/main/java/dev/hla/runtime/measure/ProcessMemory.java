package dev.hla.runtime.measure;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.OptionalLong;
import javax.management.JMException;
import javax.management.ObjectName;

/** Memory of the system and of this process, as Linux tells of it in files. */
public final class ProcessMemory {
  private static final Path SYSTEM = Path.of("/proc/meminfo");
  private static final Path PROCESS = Path.of("/proc/self/status");
  private static final Path RESET = Path.of("/proc/self/clear_refs");
  private static final Path GROUP = Path.of("/sys/fs/cgroup");
  /** Written to {@link #RESET}: the peak of resident memory becomes what is resident now. */
  private static final String RESET_PEAK = "5";

  private ProcessMemory() {}

  /** Bytes that can be had without swapping, the limit of a container heeded; a huge number where nothing tells. */
  public static long available() {
    long system = kilobytes(SYSTEM, "MemAvailable").orElse(Long.MAX_VALUE);
    OptionalLong limit = number(lines(GROUP.resolve("memory.max")));
    OptionalLong used = number(lines(GROUP.resolve("memory.current")));
    if (limit.isEmpty() || used.isEmpty()) {
      return system;
    }
    // File pages that nothing uses count as used and give way.
    long idle = number(lines(GROUP.resolve("memory.stat")).stream().filter(line -> line.startsWith("inactive_file "))
        .map(line -> line.substring(line.indexOf(' ') + 1)).toList()).orElse(0);
    return Math.min(system, Math.max(0, limit.getAsLong() - used.getAsLong() + idle));
  }

  /**
   * By how many bytes the resident memory of this process stood above its present size while the work was done, at its
   * highest; empty where the system does not tell.
   */
  public static OptionalLong growth(Runnable work) {
    trim();
    boolean reset = resetPeak();
    OptionalLong before = kilobytes(PROCESS, "VmRSS");
    OptionalLong peakBefore = kilobytes(PROCESS, "VmHWM");
    work.run();
    OptionalLong peak = kilobytes(PROCESS, "VmHWM");
    if (!reset || before.isEmpty() || peakBefore.isEmpty() || peak.isEmpty()) {
      return OptionalLong.empty();
    }
    // The two are not counted at one moment; a real reset leaves them close together.
    long tolerance = 4L << 20;
    return peakBefore.getAsLong() > before.getAsLong() + tolerance ? OptionalLong.empty()
        : OptionalLong.of(Math.max(0, peak.getAsLong() - before.getAsLong()));
  }

  /**
   * Gives memory that was freed but kept for later back to the system: what was resident before would hide what is taken.
   * Java has had the command since 17.0.9; without it less is seen.
   */
  private static void trim() {
    try {
      ManagementFactory.getPlatformMBeanServer().invoke(
          new ObjectName("com.sun.management:type=DiagnosticCommand"), "systemTrimNativeHeap", new Object[0], new String[0]);
    } catch (JMException | RuntimeException e) {
      // Not this Java machine: nothing to be done.
    }
  }

  private static boolean resetPeak() {
    try {
      Files.writeString(RESET, RESET_PEAK, StandardOpenOption.WRITE);
      return true;
    } catch (IOException | SecurityException e) {
      return false;
    }
  }

  /** The bytes of a line such as {@code VmRSS:  123 kB}. */
  private static OptionalLong kilobytes(Path file, String key) {
    OptionalLong value = number(lines(file).stream().filter(line -> line.startsWith(key + ":")).map(line -> line.replaceAll("\\D", "")).toList());
    return value.isEmpty() ? value : OptionalLong.of(value.getAsLong() * 1024);
  }

  private static OptionalLong number(List<String> lines) {
    return lines.stream().limit(1).filter(line -> line.matches("[0-9]{1,18}")).mapToLong(Long::parseLong).findFirst();
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException | SecurityException e) {
      return List.of();
    }
  }
}
