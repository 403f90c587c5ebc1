package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.converter.HlaException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HlaOperatorsTest {
  private static final String LIBRARY = "libhla_ops.so";

  @TempDir Path folder;

  @Test
  void saysWhatItRegistered() throws Exception {
    try (SessionOptions options = new SessionOptions()) {
      HlaOperators.Registration registration = HlaOperators.register(options);
      assertTrue(Files.isRegularFile(registration.library()), registration::toString);
      assertEquals("extracted from the jar", registration.foundBy());
      assertTrue(List.of("avx512", "avx2", "baseline").contains(registration.instructionSet()), registration::toString);
      assertFalse(registration.version().isEmpty());
      assertFalse(registration.kernel().isEmpty());
      assertFalse(registration.reason().isEmpty());
    }
  }

  @Test
  void theSameOptionsTwiceAreRegisteredOnce() throws Exception {
    try (SessionOptions options = new SessionOptions()) {
      HlaOperators.Registration first = HlaOperators.register(options);
      assertSame(first, HlaOperators.register(options));
      assertSame(first, HlaOperators.register(options, first.library()));
      Path other = copyOfLibrary();
      HlaException e = assertThrows(HlaException.class, () -> HlaOperators.register(options, other));
      assertTrue(e.getMessage().contains("already hold " + first.library()), e.getMessage());
    }
  }

  @Test
  void anExplicitPathIsTaken() throws Exception {
    Path library = copyOfLibrary();
    try (SessionOptions options = new SessionOptions()) {
      HlaOperators.Registration registration = HlaOperators.register(options, library);
      assertEquals(library, registration.library());
      assertEquals("given path", registration.foundBy());
    }
  }

  @Test
  void anExplicitPathIsNeverReplaced() throws Exception {
    Path missing = folder.resolve("none.so");
    try (SessionOptions options = new SessionOptions()) {
      HlaException e = assertThrows(HlaException.class, () -> HlaOperators.register(options, missing));
      assertTrue(e.getMessage().startsWith("operator library " + missing + " (given path): no such file;"), e.getMessage());
    }
    Path text = Files.writeString(folder.resolve("text.so"), "not a library");
    try (SessionOptions options = new SessionOptions()) {
      HlaException e = assertThrows(HlaException.class, () -> HlaOperators.register(options, text));
      assertTrue(e.getMessage().contains("ONNX Runtime refuses it"), e.getMessage());
      assertFalse(e.getMessage().contains("\n"), e.getMessage());
    }
  }

  /** The dynamic linker would end this process with SIGBUS. */
  @ParameterizedTest
  @ValueSource(ints = {64, 200, 4096, 100_000, 250_000})
  void aLibraryThatIsCutShortIsRefusedBeforeItIsLoaded(int bytes) throws Exception {
    byte[] library = Files.readAllBytes(copyOfLibrary());
    assertTrue(bytes < library.length);
    Path cut = Files.write(folder.resolve(LIBRARY), Arrays.copyOf(library, bytes));
    try (SessionOptions options = new SessionOptions()) {
      HlaException e = assertThrows(HlaException.class, () -> HlaOperators.register(options, cut));
      assertTrue(e.getMessage().startsWith("operator library " + cut + " (given path): cut short, " + bytes + " bytes where at least "), e.getMessage());
    }
    String onLibraryPath = probe(List.of("-Djava.library.path=" + folder));
    assertTrue(onLibraryPath.contains(" (java.library.path): cut short, "), onLibraryPath);
  }

  @Test
  void theSystemPropertyComesBeforeTheLibraryPathAndThatBeforeTheJar() throws Exception {
    Path library = copyOfLibrary();
    String onLibraryPath = probe(List.of("-Djava.library.path=" + library.getParent()));
    assertTrue(onLibraryPath.contains(library + " | java.library.path"), onLibraryPath);
    String byProperty = probe(List.of(
        "-Djava.library.path=" + folder.resolve("nothing-here"), "-Dhla.library.path=" + library));
    assertTrue(byProperty.contains(library + " | system property hla.library.path"), byProperty);
    String missing = probe(List.of("-Djava.library.path=" + library.getParent(), "-Dhla.library.path=" + folder.resolve("no.so")));
    assertTrue(missing.contains("no such file"), missing);
    Path cache = folder.resolve("cache");
    String fromJar = probe(List.of("-Dhla.cache.dir=" + cache));
    assertTrue(fromJar.contains(cache + "/") && fromJar.contains(" | extracted from the jar"), fromJar);
  }

  @Test
  void theInstructionSetCanBeForced() throws Exception {
    String baseline = probe(List.of(), "HLA_ISA=baseline");
    assertTrue(baseline.contains(" | baseline | HLA_ISA=baseline asked for it"), baseline);
    String unknown = probe(List.of(), "HLA_ISA=mmx");
    assertTrue(unknown.contains("HLA_ISA=mmx: expected one of"), unknown);
  }

  @Test
  void manyAtOnceExtractOneWholeFile() throws IOException, InterruptedException, ExecutionException {
    byte[] library = Files.readAllBytes(copyOfLibrary());
    ExecutorService threads = Executors.newFixedThreadPool(8);
    List<Future<Path>> paths = new ArrayList<>();
    for (int i = 0; i < 32; i++) {
      paths.add(threads.submit(() -> NativeLibrary.extract(library, folder.resolve("shared"))));
    }
    for (Future<Path> path : paths) {
      assertArrayEquals(library, Files.readAllBytes(path.get()));
    }
    threads.shutdown();
    try (Stream<Path> files = Files.walk(folder.resolve("shared")).filter(Files::isRegularFile)) {
      assertEquals(1, files.count(), "no temporary files are left");
    }
  }

  @Test
  void aDamagedCopyInTheCacheIsReplaced() throws IOException {
    byte[] library = Files.readAllBytes(copyOfLibrary());
    Path cache = folder.resolve("damaged");
    Path file = NativeLibrary.extract(library, cache);
    Files.write(file, new byte[] {1, 2, 3});
    assertEquals(file, NativeLibrary.extract(library, cache));
    assertArrayEquals(library, Files.readAllBytes(file));
  }

  @Test
  void aCacheThatCannotBeWrittenIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    HlaException e = assertThrows(HlaException.class, () -> NativeLibrary.extract(new byte[] {1}, file));
    assertTrue(e.getMessage().contains("cannot write " + file), e.getMessage());
    assertTrue(e.getMessage().contains("-Dhla.cache.dir="), e.getMessage());
  }

  private Path copyOfLibrary() throws IOException {
    Path copy = folder.resolve("copy").resolve(LIBRARY);
    Files.createDirectories(copy.getParent());
    try (InputStream in = HlaOperators.class.getResourceAsStream("/native/" + NativeLibrary.platform() + "/" + LIBRARY)) {
      Files.write(copy, in.readAllBytes());
    }
    return copy;
  }

  /** Registers in a JVM of its own and returns what it prints. */
  private static String probe(List<String> jvmOptions, String... environment) throws IOException, InterruptedException {
    ProcessBuilder builder = JavaProcess.of(RegistrationProbe.class, JavaProcess.classPath(), jvmOptions, List.of()).redirectErrorStream(true);
    for (String variable : environment) {
      builder.environment().put(variable.split("=")[0], variable.split("=")[1]);
    }
    Process process = builder.start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), printed);
    return printed;
  }
}
