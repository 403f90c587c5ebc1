package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.cli.BenchedOperator.Shape;
import dev.hla.converter.RankSpec;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.measure.ProcessMemory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The verb bench, on problems so small that no time means anything. */
class BenchTest {
  private static final List<String> SOFTMAX = List.of("mha", "attention", "softmax");

  @TempDir Path folder;

  private static Ran bench(String... more) {
    List<String> line = new ArrayList<>(List.of("bench", "op", "--heads", "2", "--head-dim", "16", "--seconds", "0.01", "--ranks", "4,4"));
    line.addAll(List.of(more));
    return Ran.hla(line.toArray(String[]::new));
  }

  @Test
  void everyOperatorHasARowAtEveryLength() throws IOException {
    Ran ran = bench("--tokens", "128,64", "--ranks", "4^2,1", "--threads", "1", "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode document = new JsonMapper().readTree(ran.out());
    double peak = document.get("peak_gflops").asDouble();
    assertTrue(peak > 0 && peak <= document.get("best_peak_gflops").asDouble());
    assertTrue(document.at("/machine/cores").asInt() > 0);
    assertFalse(document.at("/machine/instruction_set").asText().isEmpty());
    Map<String, Integer> rows = new TreeMap<>();
    for (JsonNode row : document.get("rows")) {
      String op = row.get("op").asText();
      rows.merge(op + " " + row.get("tokens"), 1, Integer::sum);
      assertTrue(row.get("ms").asDouble() > 0 && row.get("best_ms").asDouble() <= row.get("ms").asDouble());
      assertEquals(row.get("gflops").asDouble() / peak, row.get("share_of_peak").asDouble(), 1e-9);
      assertTrue(row.has("added_mb"));
      assertTrue(row.get("times_mha").asDouble() > 0);
      assertEquals(row.get("ranks").size(), row.get("powers").size());
      assertEquals(!SOFTMAX.contains(op), !row.get("ranks").isEmpty());
    }
    Map<String, Integer> expected = new TreeMap<>();
    for (BenchedOperator op : BenchedOperator.values()) {
      List.of(64, 128).forEach(tokens -> expected.put(op.label() + " " + tokens, SOFTMAX.contains(op.label()) ? 1 : 2));
    }
    assertEquals(expected, rows);
    assertEquals(8, document.get("growth").size());
    assertEquals(64, document.at("/growth/0/from_tokens").asInt());
    assertTrue(document.at("/growth/0/exponent").isNumber());
    assertEquals(0, document.get("left_out").size());
  }

  @Test
  void operationsAreCountedAsTheResultNeedsThem() {
    Shape shape = new Shape(1000, 12, 128, ElementType.FLOAT32);
    RankSpec ranks = RankSpec.parse("16^2,1");
    assertEquals(4.0 * 1000 * 136 * 129 * 12, BenchedOperator.HADAMARD.flops(shape, ranks));
    assertEquals(4.0 * 1000 * 136 * 129 * 12 + 4.0 * 1000 * 128 * 17 * 12, BenchedOperator.FUSED.flops(shape, ranks));
    assertEquals(BenchedOperator.HADAMARD.flops(shape, ranks), BenchedOperator.HADAMARD_FUNCTION.flops(shape, ranks));
    assertEquals(BenchedOperator.FUSED.flops(shape, ranks), BenchedOperator.FUSED_FUNCTION.flops(shape, ranks));
    for (BenchedOperator op : List.of(BenchedOperator.MHA, BenchedOperator.ATTENTION, BenchedOperator.SOFTMAX)) {
      assertEquals(4.0 * 1000 * 1000 * 128 * 12, op.flops(shape, ranks));
    }
  }

  @Test
  void theTableAndTheFilesSayTheSame() throws IOException {
    Path target = folder.resolve("new/results");
    Ran ran = bench("--tokens", "64", "-o", target.toString());
    assertEquals(Exit.DONE, ran.code(), ran.err());
    for (String word : List.of("of peak", "hadamard", "4,4", "fused", "hadamard_function", "fused_function", "mha", "attention", "softmax", "multiply-add peak", "bench.json")) {
      assertTrue(ran.out().contains(word), word + " is missing in: " + ran.out());
    }
    JsonNode document = new JsonMapper().readTree(target.resolve("bench.json").toFile());
    assertEquals(7, document.get("rows").size());
    String page = Files.readString(target.resolve("bench.html"));
    assertTrue(page.contains("<svg") && page.contains("<polyline") && !page.contains("{{"), page);
    assertFalse(page.contains("src=") || page.contains("href="), "the page needs something beside it");
    assertFalse(page.contains("NaN") || page.contains("Infinity"), page);

    Ran again = bench("--tokens", "64", "-o", target.toString());
    assertEquals(Exit.FAILED, again.code());
    assertTrue(again.errorLine().contains("exists already"), again.err());
    assertEquals(Exit.DONE, bench("--tokens", "32", "-q", "--force", "-o", target.toString()).code());
    assertEquals(32, new JsonMapper().readTree(target.resolve("bench.json").toFile()).at("/rows/0/tokens").asInt());
  }

  /** The functions are what runs where no library is registered, and give what the operators give. */
  @ParameterizedTest
  @EnumSource(names = {"HADAMARD_FUNCTION", "FUSED_FUNCTION"})
  void aFunctionRunsWithoutTheLibraryAndGivesTheSame(BenchedOperator function) {
    BenchedOperator operator = function == BenchedOperator.HADAMARD_FUNCTION ? BenchedOperator.HADAMARD : BenchedOperator.FUSED;
    Shape shape = new Shape(300, 2, 16, ElementType.FLOAT32);
    RankSpec ranks = RankSpec.parse("4^2,3");
    Map<String, Tensor> inputs = new TreeMap<>();
    List<long[]> shapes = function.shapes(shape, ranks);
    for (int i = 0; i < shapes.size(); i++) {
      Tensor tensor = Tensor.zeros(ElementType.FLOAT32, shapes.get(i));
      for (int j = 0; j < tensor.size(); j++) {
        tensor.set(j, (j * 37 + i * 11) % 64 / 64.0);
      }
      inputs.put(function.inputs().get(i), tensor);
    }
    Tensor expected = run(operator, shape, ranks, inputs);
    Tensor actual = run(function, shape, ranks, inputs);
    double largest = 0;
    for (int i = 0; i < expected.size(); i++) {
      assertEquals(expected.get(i), actual.get(i), 1e-5);
      largest = Math.max(largest, Math.abs(expected.get(i)));
    }
    assertTrue(largest > 0.1);
  }

  private static Tensor run(BenchedOperator op, Shape shape, RankSpec ranks, Map<String, Tensor> inputs) {
    try (ModelSession session = ModelSession.open(op.model(shape, ranks), Path.of("."), op.label(), new ModelSession.Settings(op.isOfLibrary(), 1))) {
      return session.run(inputs).get("output");
    }
  }

  /** Softmax in ONNX Runtime: what it was expected to take decides where it stops, and too little ends the process. */
  @ParameterizedTest
  @CsvSource({"SOFTMAX, FLOAT32", "SOFTMAX, FLOAT16", "ATTENTION, FLOAT32", "ATTENTION, FLOAT16"})
  void noRunTakesMoreMemoryThanWasExpected(BenchedOperator op, ElementType type) {
    Shape shape = new Shape(2048, 3, 16, type);
    Map<String, Tensor> inputs = new TreeMap<>();
    List<long[]> shapes = op.shapes(shape, RankSpec.parse("1"));
    for (int i = 0; i < shapes.size(); i++) {
      inputs.put(op.inputs().get(i), Tensor.zeros(type, shapes.get(i)));
    }
    try (ModelSession session = ModelSession.open(op.model(shape, RankSpec.parse("1")), Path.of("."), op.label(), new ModelSession.Settings(false, 2));
        ModelSession.Prepared prepared = session.prepare(inputs)) {
      OptionalLong growth = ProcessMemory.growth(() -> {
        prepared.millis();
        prepared.millis();
      });
      assumeTrue(growth.isPresent(), "this system does not tell the largest memory that a process took: Linux does, and CI runs there");
      double matrix = 3.0 * 2048 * 2048 * 4;
      assertTrue(growth.getAsLong() > 0.5 * matrix && growth.getAsLong() <= op.bytes(shape), growth.getAsLong() + " of " + op.bytes(shape));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"float16", "bfloat16"})
  void whatTheRuntimeDoesNotTakeIsLeftOutWithAReason(String type) throws IOException {
    Ran ran = bench("--tokens", "64", "--type", type, "--json");
    assertEquals(Exit.DONE, ran.code(), ran.err());
    JsonNode document = new JsonMapper().readTree(ran.out());
    assertEquals("hadamard", document.at("/rows/0/op").asText());
    assertEquals("fused", document.at("/rows/1/op").asText());
    assertEquals(7, document.get("rows").size() + document.get("left_out").size());
    document.get("left_out").forEach(out -> assertFalse(out.get("reason").asText().isEmpty()));
  }

  @ParameterizedTest
  @ValueSource(strings = {
      "--tokens 0", "--tokens x", "--tokens 64,-1", "--ranks 0", "--ranks x", "--ranks 2^5", "--heads 0", "--head-dim 0", "--head-dim 257", "--type int8",
      "--type float64", "--type x", "--threads -1", "--seconds 0", "--seconds NaN", "more"})
  void aCommandLineThatMakesNoSenseIsExitCodeTwoAndOneLine(String line) {
    Ran ran = bench(line.split(" "));
    assertEquals(Exit.USAGE, ran.code(), ran.err());
    assertTrue(ran.errorLine().startsWith("hla bench op: "), ran.err());
    assertEquals("", ran.out());
  }

  @Test
  void benchAloneSaysWhatThereIs() {
    Ran ran = Ran.hla("bench");
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().contains("name what to measure: op"), ran.err());
    assertTrue(Ran.hla("bench", "op", "--help").out().contains("--head-dim"));
  }

  @Test
  void aFolderThatIsAFileIsRefusedBeforeAnyWork() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "precious");
    Ran ran = bench("-o", file.toString());
    assertEquals(Exit.FAILED, ran.code());
    assertTrue(ran.errorLine().contains("is a file"), ran.err());
    assertEquals("precious", Files.readString(file));
  }
}
