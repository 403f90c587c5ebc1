package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.onnx.ModelProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.HlaOperators;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesWan;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** examples/c, built and run as its first lines say, against what {@code hla run} gives for the same converted model. */
class CExampleTest {
  private static final Path SOURCES = Path.of("..", "examples", "c");

  @TempDir static Path folder;

  private static Path runtime;
  private static Path library;

  @BeforeAll
  static void build() throws Exception {
    Ran.Program make = Ran.program("make", "-C", SOURCES.toString(), "OUT=" + folder, "CFLAGS=-O2 -Wall -Wextra -Werror");
    assertEquals(0, make.code(), make.output());
    runtime = folder.resolve("libonnxruntime.so");
    String machine = System.getProperty("os.arch").equals("aarch64") ? "linux-aarch64" : "linux-x64";
    try (InputStream in = SessionOptions.class.getResourceAsStream("/ai/onnxruntime/native/" + machine + "/libonnxruntime.so")) {
      Files.copy(in, runtime);
    }
    for (Map.Entry<String, Tensor> input : Npz.readAll(ShapesWan.exampleInputs()).entrySet()) {
      try (OutputStream out = Files.newOutputStream(folder.resolve(input.getKey() + ".npy"))) {
        Npy.write(input.getValue(), out);
      }
    }
    library = library();
  }

  private static Path library() throws OrtException {
    try (SessionOptions options = new SessionOptions()) {
      return HlaOperators.register(options).library();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void givesWhatTheRunnerGives(boolean withLibrary) throws Exception {
    Path model = folder.resolve("converted-" + withLibrary + ".onnx");
    assertEquals(Exit.DONE, Ran.hla("convert", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", model.toString()).code());
    Path expected = folder.resolve("expected-" + withLibrary + ".npz");
    List<String> run = new ArrayList<>(List.of("run", model.toString(), "-i", ShapesWan.exampleInputs().toString(), "-o", expected.toString()));
    Path actual = folder.resolve("actual-" + withLibrary + ".npy");
    List<String> example = new ArrayList<>(List.of(folder.resolve("run_model").toString(), runtime.toString(), model.toString(), folder.toString(), actual.toString()));
    if (withLibrary) {
      example.add(library.toString());
    } else {
      run.add("--no-library");
    }
    assertEquals(Exit.DONE, Ran.hla(run.toArray(String[]::new)).code());
    Ran.Program ran = Ran.program(example.toArray(String[]::new));
    assertEquals(0, ran.code(), ran.output());
    Difference d = Difference.between(Npz.readAll(expected).get("sample"), Npy.read(actual), "sample");
    assertTrue(d.finite() && d.relative() <= 1e-6, d.toString());
  }

  /** A file without functions shows that it is the library that runs. */
  @Test
  void onlyTheLibraryRunsAFileWithoutFunctions() throws Exception {
    Path whole = folder.resolve("whole.onnx");
    assertEquals(Exit.DONE, Ran.hla("convert", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", whole.toString()).code());
    Path bare = Files.write(folder.resolve("bare.onnx"), ModelProto.parseFrom(Files.readAllBytes(whole)).toBuilder().clearFunctions().build().toByteArray());
    String[] example = {folder.resolve("run_model").toString(), runtime.toString(), bare.toString(), folder.toString(), folder.resolve("bare.npy").toString()};
    Ran.Program without = Ran.program(example);
    assertEquals(1, without.code());
    assertTrue(without.output().contains("HadamardLinearAttention"), without.output());
    String[] registered = Arrays.copyOf(example, example.length + 1);
    registered[example.length] = library.toString();
    Ran.Program with = Ran.program(registered);
    assertEquals(0, with.code(), with.output());
  }

  @Test
  void aFileThatIsNoModelIsOneLine() throws Exception {
    Path bad = Files.writeString(folder.resolve("bad.onnx"), "no model");
    Ran.Program ran = Ran.program(folder.resolve("run_model").toString(), runtime.toString(), bad.toString(), folder.toString(), folder.resolve("none.npy").toString());
    assertEquals(1, ran.code());
    assertEquals(1, ran.output().lines().count(), ran.output());
    assertTrue(Files.notExists(folder.resolve("none.npy")));
  }
}
