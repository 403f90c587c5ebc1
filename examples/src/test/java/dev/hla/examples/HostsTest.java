package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.cli.Hla;
import dev.hla.onnx.ModelProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesWan;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Every example, built and run as its first lines say, against our own runner on the same converted model and inputs. */
class HostsTest {
  private static final Path FOLDER = Path.of(System.getProperty("hla.hosts.folder"));

  private static final Path INPUTS = FOLDER.resolve("inputs");
  private static final Path CONVERTED = FOLDER.resolve("converted.onnx");
  private static Path library;
  private static Tensor kernels;
  private static Tensor functions;

  @BeforeAll
  static void prepare() throws Exception {
    Files.createDirectories(INPUTS);
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    for (Map.Entry<String, Tensor> input : inputs.entrySet()) {
      try (OutputStream out = Files.newOutputStream(INPUTS.resolve(input.getKey() + ".npy"))) {
        Npy.write(input.getValue(), out);
      }
    }
    assertEquals(0, Hla.run(new PrintWriter(System.out), new PrintWriter(System.err), "convert", "-q", "--force",
        ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", CONVERTED.toString()));
    try (ModelSession session = ModelSession.open(CONVERTED, ModelSession.Settings.DEFAULT)) {
      library = session.library().library();
      kernels = session.run(inputs).get("sample");
    }
    try (ModelSession session = ModelSession.open(CONVERTED, new ModelSession.Settings(false, 0))) {
      functions = session.run(inputs).get("sample");
    }
  }

  static Stream<Arguments> hostsAndLibrary() {
    return Stream.of(Host.values()).flatMap(host ->
        Stream.of(true, false).filter(withLibrary -> host.registers || !withLibrary).map(withLibrary -> Arguments.of(host, withLibrary)));
  }

  @ParameterizedTest(name = "{0}, library {1}")
  @MethodSource("hostsAndLibrary")
  void givesWhatTheRunnerGives(Host host, boolean withLibrary) throws Exception {
    Path output = FOLDER.resolve(host + "-" + withLibrary + ".npy");
    Files.deleteIfExists(output);
    Program ran = run(host, CONVERTED, output, withLibrary);
    assertEquals(0, ran.code(), ran.output());
    Difference d = Difference.between(withLibrary ? kernels : functions, Npy.read(output), "sample");
    System.out.printf("%s, %s: relative error %.1e against hla run%n", host, withLibrary ? "library" : "function", d.relative());
    assertTrue(d.finite() && d.relative() <= host.tolerance, d.toString());
  }

  /** A file without functions runs only where the library is in use. */
  @ParameterizedTest
  @EnumSource(Host.class)
  void onlyTheLibraryRunsAFileWithoutFunctions(Host host) throws Exception {
    Path bare = Files.write(FOLDER.resolve("bare.onnx"),
        ModelProto.parseFrom(Files.readAllBytes(CONVERTED)).toBuilder().clearFunctions().build().toByteArray());
    Path output = FOLDER.resolve(host + "-bare.npy");
    Files.deleteIfExists(output);
    Program without = run(host, bare, output, false);
    assertEquals(1, without.code(), without.output());
    assertTrue(without.output().contains("HadamardLinearAttention"), without.output());
    assertFalse(Files.exists(output));
    if (host.registers) {
      Program with = run(host, bare, output, true);
      assertEquals(0, with.code(), with.output());
    }
  }

  @ParameterizedTest
  @EnumSource(value = Host.class, names = {"C", "JAVA", "DJL"})
  void aFileThatIsNoModelIsOneLine(Host host) throws Exception {
    Path bad = Files.writeString(FOLDER.resolve("bad.onnx"), "no model");
    Path output = FOLDER.resolve(host + "-bad.npy");
    Program ran = run(host, bad, output, false);
    assertEquals(1, ran.code());
    assertEquals(1, ran.output().lines().count(), ran.output());
    assertFalse(Files.exists(output));
  }

  private static Program run(Host host, Path model, Path output, boolean withLibrary) throws Exception {
    return Program.run(host.command(model, INPUTS, output, withLibrary ? library : null));
  }
}
