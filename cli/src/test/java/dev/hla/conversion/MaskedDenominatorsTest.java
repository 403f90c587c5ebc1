package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.rewrite.Lowering;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Verification;
import dev.hla.testdata.Precision;
import dev.hla.testdata.graph.AttentionForm;
import dev.hla.testdata.graph.AttentionMask;
import dev.hla.testdata.graph.AttentionModel;
import dev.hla.testdata.graph.AttentionSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The smallest denominator of a fused node counts its mask, as that of a core node, whose key features hold it, does. */
class MaskedDenominatorsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"FLOAT32, 17, 1e-5", "FLOAT32, 11, 1e-5", "FLOAT16, 14, 2e-2", "FLOAT16, 18, 2e-2"})
  void areThoseOfTheCoreOperator(Precision type, int opset, double tolerance) throws IOException {
    AttentionSpec spec = AttentionSpec.of(AttentionForm.MANUAL_TIMES).with(AttentionMask.KEY_BIAS).with(type).atOpset(opset).open();
    AttentionModel model = AttentionModel.of(spec);
    Map<String, Tensor> inputs = Conversion.tensors(model.inputs(AttentionSpec.FIRST, 1).feeds());
    Path original = Files.write(folder.resolve("original.onnx"), model.model().toByteArray());
    double fused = smallest(original, Lowering.FUSED, inputs);
    assertEquals(1, smallest(original, Lowering.CORE, inputs) / fused, tolerance);
    Map<String, Tensor> unmasked = new HashMap<>(inputs);
    unmasked.replace("mask", Tensor.zeros(inputs.get("mask").type(), inputs.get("mask").shape()));
    assertNotEquals(1, smallest(original, Lowering.FUSED, unmasked) / fused, 0.1);
  }

  private double smallest(Path original, Lowering lowering, Map<String, Tensor> inputs) throws IOException {
    OnnxModel model = OnnxModel.load(original);
    Path converted = folder.resolve("converted.onnx");
    Files.write(converted, Rewriter.rewrite(model, Conversion.of(model).plan(), lowering).model().proto().toByteArray());
    return Verification.of(original, converted, inputs).sites().get(0).denominators().smallest();
  }
}
