package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtSession;
import dev.hla.converter.HlaException;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelSessionTest {
  @TempDir Path folder;

  @Test
  void inputsAreConvertedToTheModelsTypes() throws IOException {
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    Tensor full = run(ShapesWan.model(), inputs);
    Tensor half = run(ShapesWan.modelFp16(), inputs);
    assertEquals(ElementType.FLOAT32, full.type());
    assertEquals(ElementType.FLOAT16, half.type());
    assertTrue(Difference.between(full, half, "sample").relative() < 0.01);
  }

  @Test
  void aModelInMemoryGivesWhatTheFileGives() throws IOException {
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    byte[] bytes = Files.readAllBytes(ShapesWan.model());
    try (ModelSession session = ModelSession.open(bytes, folder, "memory", ModelSession.Settings.DEFAULT)) {
      assertArrayEquals(run(ShapesWan.model(), inputs).floats(), session.run(inputs).get("sample").floats());
    }
  }

  @Test
  void wrongInputsAreNamed() throws IOException {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      Map<String, Tensor> inputs = new HashMap<>(Npz.readAll(ShapesWan.exampleInputs()));
      inputs.put("extra", Tensor.of(new float[1], 1));
      assertMessage("has no input extra", () -> session.run(inputs));
      inputs.remove("extra");
      inputs.put("timestep", Tensor.of(new float[1], 1, 1));
      assertMessage("its input timestep is [batch], but float32[1, 1] was given", () -> session.run(inputs));
      inputs.remove("timestep");
      assertMessage("no value for its input timestep", () -> session.run(inputs));
    }
  }

  @Test
  void whatIsNoModelIsRefusedInOneLine() throws IOException {
    assertMessage("no such file", () -> open(folder.resolve("none.onnx")));
    byte[] whole = Files.readAllBytes(ShapesWan.model());
    assertMessage("not an ONNX model", () -> open(file(Arrays.copyOf(whole, whole.length / 2))));
    assertMessage("not an ONNX model", () -> open(file("hello, this is a text".getBytes())));
    assertMessage("", () -> open(file(new byte[0])));
  }

  @Test
  void randomInputsFollowTheShapesAndTheSeed() {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      RandomInputs random = new RandomInputs(Map.of("frames", 2, "height", 6, "width", 9, "text_tokens", 4), 1);
      Map<String, Tensor> inputs = random.complete(session.inputs(), Map.of());
      assertEquals("float32[1, 3, 2, 6, 9]", inputs.get("hidden_states").toString());
      assertEquals("float32[1]", inputs.get("timestep").toString());
      assertTrue(inputs.get("timestep").get(0) > 0 && inputs.get("timestep").get(0) < 1000);
      assertArrayEquals(new long[] {1, 3, 2, 6, 9}, session.run(inputs).get("sample").shape());
      Map<String, Tensor> again = new RandomInputs(random.dimensions(), 1).complete(session.inputs(), Map.of());
      assertArrayEquals(inputs.get("hidden_states").floats(), again.get("hidden_states").floats());
    }
  }

  @Test
  void aGivenInputDecidesTheAxesOfTheOthers() throws IOException {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      Tensor clip = Npz.readAll(ShapesWan.exampleInputs()).get("hidden_states");
      Map<String, Tensor> inputs = new RandomInputs(Map.of(), 0).complete(session.inputs(), Map.of("hidden_states", clip));
      assertMessage("the open axis frames is to be 5, and is " + clip.dim(2) + " in the inputs that are given",
          () -> new RandomInputs(Map.of("frames", 5), 0).complete(session.inputs(), Map.of("hidden_states", clip)));
      assertEquals(2, inputs.get("timestep").dim(0));
    }
  }

  @Test
  void anUnknownAxisIsNamed() {
    try (ModelSession session = ModelSession.open(ShapesWan.model(), ModelSession.Settings.DEFAULT)) {
      assertMessage("no open axis depth", () -> new RandomInputs(Map.of("depth", 3), 0).complete(session.inputs(), Map.of()));
    }
  }

  @Test
  void aGivenValueReplacesTheOneInTheFile() throws Exception {
    byte[] bytes = sum(8).toByteArray();
    Tensor x = Tensor.of(new float[] {1, 2}, 2);
    Map<String, Tensor> both = Map.of("x", x, "y", Tensor.of(new float[] {30, 40}, 2));
    try (ModelSession inFile = open(file(bytes)); ModelSession inMemory = ModelSession.open(bytes, folder, "memory", ModelSession.Settings.DEFAULT);
        OrtSession.SessionOptions options = new OrtSession.SessionOptions(); ModelSession withOptions = ModelSession.open(file(bytes), options)) {
      for (ModelSession session : List.of(inFile, inMemory, withOptions)) {
        assertEquals(List.of("x"), session.inputs().stream().map(Slot::name).toList());
        assertEquals(List.of(new Slot("y", ElementType.FLOAT32, List.of(2L), List.of(""))), session.defaults());
        assertArrayEquals(new float[] {11, 22}, session.run(Map.of("x", x)).get("z").floats());
        assertArrayEquals(new float[] {31, 42}, session.run(both).get("z").floats());
        try (ModelSession.Prepared prepared = session.prepare(both)) {
          assertTrue(prepared.millis() >= 0);
        }
        assertMessage("its input y is [2], but float32[1] was given", () -> session.run(Map.of("x", x, "y", Tensor.of(new float[1], 1))));
        assertMessage("has no input q; its inputs are [x]", () -> session.run(Map.of("x", x, "q", x)));
      }
    }
  }

  @Test
  void beforeVersion4ValuesInTheFileAreConstants() throws Exception {
    Tensor x = Tensor.of(new float[] {1, 2}, 2);
    try (ModelSession session = open(file(sum(3).toByteArray()))) {
      assertEquals(List.of(), session.defaults());
      assertMessage("has no input y; its inputs are [x]", () -> session.run(Map.of("x", x, "y", x)));
    }
  }

  @Test
  void unsignedNumbersAreNotTakenForSignedOnes() throws Exception {
    for (TensorProto.DataType type : List.of(TensorProto.DataType.UINT16, TensorProto.DataType.UINT32, TensorProto.DataType.UINT64)) {
      ModelProto.Builder model = sum(8).toBuilder();
      model.getGraphBuilder().clearInitializer().removeInput(1).getNodeBuilder(0).setOpType("Cast").clearInput().addInput("x")
          .addAttribute(AttributeProto.newBuilder().setName("to").setType(AttributeProto.AttributeType.INT).setI(type.getNumber()));
      model.getGraphBuilder().getOutputBuilder(0).getTypeBuilder().getTensorTypeBuilder().setElemType(type.getNumber());
      float most = type == TensorProto.DataType.UINT16 ? 65535 : 3e9f;
      try (ModelSession session = open(file(model.build().toByteArray()))) {
        Tensor z = session.run(Map.of("x", Tensor.of(new float[] {7, most}, 2))).get("z");
        assertArrayEquals(new float[] {7, most}, z.floats(), type + " came as " + z);
      }
      model.getGraphBuilder().getInputBuilder(0).getTypeBuilder().getTensorTypeBuilder().setElemType(type.getNumber());
      try (ModelSession session = open(file(model.build().toByteArray()))) {
        assertMessage("its input x is of a type that cannot be fed", () -> session.run(Map.of("x", Tensor.of(new float[2], 2))));
        assertMessage("the input x is text, a sequence or of another type", () -> new RandomInputs(Map.of(), 0).complete(session.inputs(), Map.of()));
      }
    }
  }

  /** z = x + y, where y is 10, 20 unless it is given. */
  private static ModelProto sum(int version) {
    TensorShapeProto two = TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(2)).build();
    TypeProto type = TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(1).setShape(two)).build();
    return ModelProto.newBuilder().setIrVersion(version).addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(7)).setGraph(GraphProto.newBuilder().setName("sum")
        .addNode(NodeProto.newBuilder().setOpType("Add").addInput("x").addInput("y").addOutput("z"))
        .addInput(ValueInfoProto.newBuilder().setName("x").setType(type)).addInput(ValueInfoProto.newBuilder().setName("y").setType(type))
        .addOutput(ValueInfoProto.newBuilder().setName("z").setType(type))
        .addInitializer(TensorProto.newBuilder().setName("y").setDataType(1).addDims(2).addFloatData(10).addFloatData(20))).build();
  }

  private static Tensor run(Path model, Map<String, Tensor> inputs) {
    try (ModelSession session = open(model)) {
      return session.run(inputs).get("sample");
    }
  }

  private static ModelSession open(Path model) {
    return ModelSession.open(model, ModelSession.Settings.DEFAULT);
  }

  private Path file(byte[] content) throws IOException {
    return Files.write(folder.resolve("x.onnx"), content);
  }

  private static void assertMessage(String part, org.junit.jupiter.api.function.Executable action) {
    HlaException e = assertThrows(HlaException.class, action);
    assertTrue(e.getMessage().contains(part), e.getMessage());
    assertFalse(e.getMessage().contains("\n"), e.getMessage());
  }
}
