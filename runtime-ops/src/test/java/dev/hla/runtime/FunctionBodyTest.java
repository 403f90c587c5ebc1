package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The core operator's model-local function, run by a stock ONNX Runtime, against the float64 reference. */
class FunctionBodyTest {
  static Stream<Arguments> cases() {
    return casesInFloat()
        .flatMap(each -> Stream.of(Precision.values()).map(precision -> Arguments.of(precision, each)));
  }

  @ParameterizedTest
  @MethodSource("cases")
  @Execution(ExecutionMode.CONCURRENT)
  void agreesWithTheDefinition(Precision precision, OperatorCase each) throws OrtException {
    double[] actual = run(each, precision, model(each, 17, Tensors.type(precision)));
    double error = HadamardReference.relativeError(each.expected(), actual);
    assertTrue(error <= precision.tolerance(), "relative error " + error);
  }

  @ParameterizedTest
  @CsvSource({"8, 11", "8, 12", "8, 13", "8, 14", "8, 15", "9, 16", "9, 18", "10, 21", "11, 23", "13, 26"})
  @Execution(ExecutionMode.CONCURRENT)
  void speaksTheModelsOpset(int irVersion, int opset) throws OrtException {
    for (String name : List.of("gates before and after", "batch of three", "fourth power, long", "gates only")) {
      OperatorCase each = named(name);
      for (Precision precision : Precision.values()) {
        if (opset < 13 && precision == Precision.BFLOAT16) {
          continue; // Cast to and from bfloat16 came with opset 13.
        }
        double[] actual = run(each, precision, model(each, opset, Tensors.type(precision)).irVersion(irVersion));
        double error = HadamardReference.relativeError(each.expected(), actual);
        assertTrue(error <= precision.tolerance(), each + " " + precision + ": relative error " + error);
      }
    }
  }

  @Test
  void anOpsetWithoutTheOperatorsOfTheBodyIsRefused() {
    HlaException refused =
        assertThrows(HlaException.class, () -> HadamardFunction.core(10, DataType.FLOAT, Set.of(RankSpec.parse("4"))));
    assertTrue(refused.getMessage().startsWith("opset 10 cannot express ai.hla::HadamardLinearAttention"));
  }

  /**
   * One body for all nodes of a file, of which each picks what it needs. The runtime is told all shapes, as it is in
   * exporters' files, or none: from a branch for another node it must not infer what contradicts them.
   */
  @ParameterizedTest
  @MethodSource("casesInFloat")
  @Execution(ExecutionMode.CONCURRENT)
  void runsTheBodyOfAFileWithOthers(OperatorCase each) throws OrtException {
    Set<RankSpec> all = Stream.concat(Stream.of("64", "6,7", "12^2", "9^2", "5^3,1", "2,2^2,1^2").map(RankSpec::parse), Stream.of(each.spec()))
        .collect(Collectors.toCollection(LinkedHashSet::new));
    OneNodeModel told = model(each, 17, DataType.FLOAT, all)
        .shape("query_features", sizes(each.queryShape())).shape("key_features", sizes(each.keyShape())).shape("value", sizes(each.valueShape()));
    for (OneNodeModel model : List.of(told, model(each, 17, DataType.FLOAT, all))) {
      double error = HadamardReference.relativeError(each.expected(), run(each, Precision.FLOAT32, model));
      assertTrue(error <= Precision.FLOAT32.tolerance(), "relative error " + error);
    }
  }

  private static String sizes(long[] shape) {
    return Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(" "));
  }

  static Stream<OperatorCase> casesInFloat() {
    return Stream.concat(OperatorCase.GRID.stream(), OperatorCase.WITHOUT_KEYS.stream());
  }

  @Test
  void aNodeThatTheBodyWasNotMadeForFails() {
    OperatorCase each = named("square");
    OneNodeModel model = model(each, 17, DataType.FLOAT, Set.of(RankSpec.parse("3,2"), RankSpec.parse("4^2")));
    OrtException failed = assertThrows(OrtException.class, () -> run(each, Precision.FLOAT32, model));
    assertTrue(failed.getMessage().contains("out of data bounds"), failed::getMessage);
  }

  private static OperatorCase named(String name) {
    return OperatorCase.GRID.stream().filter(c -> c.name().equals(name)).findFirst().orElseThrow();
  }

  static OneNodeModel model(OperatorCase each, int opset, DataType type) {
    return model(each, opset, type, Set.of(each.spec()));
  }

  private static OneNodeModel model(OperatorCase each, int opset, DataType type, Set<RankSpec> all) {
    return new OneNodeModel(HadamardFunction.CORE, List.of("query_features", "key_features", "value"))
        .opset(opset)
        .type(type)
        .attribute("ranks", each.ranks())
        .attribute("powers", each.powers())
        .attribute("epsilon", each.epsilon())
        .function(HadamardFunction.core(opset, type, all));
  }

  static double[] run(OperatorCase each, Precision precision, OneNodeModel model) throws OrtException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions();
        OrtSession session = environment.createSession(model.bytes(), options);
        OnnxTensor query = Tensors.of(precision, each.queryFeatures(), each.queryShape());
        OnnxTensor key = Tensors.of(precision, each.keyFeatures(), each.keyShape());
        OnnxTensor value = Tensors.of(precision, each.value(), each.valueShape());
        OrtSession.Result result =
            session.run(Map.of("query_features", query, "key_features", key, "value", value))) {
      OnnxTensor output = (OnnxTensor) result.get(0);
      assertArrayEquals(each.outputShape(), output.getInfo().getShape());
      assertEquals(query.getInfo().type, output.getInfo().type);
      return Tensors.values(precision, output);
    }
  }
}
