package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.Activation;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Lowering;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.Precision;
import dev.hla.testdata.SiteReference;
import dev.hla.testdata.graph.AttentionForm;
import dev.hla.testdata.graph.AttentionModel;
import dev.hla.testdata.graph.AttentionSpec;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Softplus features where log(1 + exp(z)) as written is wrong: nodes, functions and kernels against float64. */
class SoftplusTest {
  private static final AttentionModel MODEL = AttentionModel.of(AttentionSpec.of(AttentionForm.MANUAL_TIMES));
  private static final OnnxModel SOURCE = Conversion.inMemory(MODEL.model());
  private static final AttentionSite SITE = AttentionFinder.find(SOURCE).sites().get(0);

  /** One factor of softplus features with z = bias + x W. */
  private static SiteMaps maps(float[] bias, float size) {
    return new SiteMaps(new int[] {bias.length}, new int[] {1}, List.of(Activation.SOFTPLUS), 0, side(bias, size, 1), side(bias, size, 2));
  }

  private static SiteMaps.Side side(float[] bias, float size, long seed) {
    int heads = AttentionSpec.HEADS;
    Random random = new Random(seed);
    float[] weight = new float[heads * AttentionSpec.HEAD_DIM * bias.length];
    for (int i = 0; i < weight.length; i++) {
      weight[i] = size * (float) random.nextGaussian();
    }
    float[] biases = new float[heads * bias.length];
    for (int h = 0; h < heads; h++) {
      System.arraycopy(bias, 0, biases, h * bias.length, bias.length);
    }
    return new SiteMaps.Side(heads, AttentionSpec.HEAD_DIM, bias.length, weight, biases, Optional.empty());
  }

  private static ModelProto converted(SiteMaps maps, Lowering lowering) {
    return converted(SOURCE, SITE, maps, lowering);
  }

  private static ModelProto converted(OnnxModel source, AttentionSite site, SiteMaps maps, Lowering lowering) {
    return Rewriter.rewrite(source, new Plan(List.of(new Choice(site, maps, true)), List.of()), lowering).model().proto();
  }

  /** z from first on, a step apart. */
  private static float[] steps(float first, float step, int count) {
    float[] z = new float[count];
    for (int i = 0; i < count; i++) {
      z[i] = first + step * i;
    }
    return z;
  }

  private static double softplus(double z) {
    return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
  }

  /** The features of all tokens for z, as nodes make them. */
  private static float[] made(AttentionModel model, float[] z) {
    OnnxModel source = Conversion.inMemory(model.model());
    ModelProto converted = converted(source, AttentionFinder.find(source).sites().get(0), maps(z, 0), Lowering.CORE);
    List<NodeProto> nodes = converted.getGraph().getNodeList();
    assertTrue(nodes.stream().noneMatch(n -> n.getOpType().equals("Softplus")), "the operator itself is not exact in other runtimes");
    String features = nodes.stream().map(n -> n.getOutput(0)).filter(o -> o.endsWith("/query_softplus")).findFirst().orElseThrow();
    Map<String, Tensor> inputs = Conversion.tensors(model.inputs(AttentionSpec.FIRST, 1).feeds());
    return Conversion.run(FormMatrixTest.withOutput(converted, features), inputs, false, List.of(features)).get(features).floats();
  }

  @Test
  void nodesAreExactFromMinus86To120() {
    float[] z = steps(-86, 0.1f, 2061);
    float[] made = made(MODEL, z);
    for (int i = 0; i < made.length; i++) {
      float x = z[i % z.length];
      assertEquals(1, made[i] / softplus(x), 5e-7, "softplus of " + x);
    }
  }

  /** In float16 exp is infinite from 11.1 on, and numbers are 6e-8 apart near 0. */
  @Test
  void nodesOfFloat16AreAsExactAsFloat16() {
    float[] z = steps(-20, 0.125f, 321);
    float[] made = made(AttentionModel.of(AttentionSpec.of(AttentionForm.MANUAL_TIMES).with(Precision.FLOAT16)), z);
    for (int i = 0; i < made.length; i++) {
      float x = z[i % z.length];
      double expected = softplus(x);
      assertEquals(expected, made[i], Math.max(0x1p-11 * expected, 0x1p-25) * 1.001, "softplus of " + x);
    }
  }

  /** Every feature lies where 1 + exp(z) is 1 in float32, or near it. */
  @ParameterizedTest
  @ValueSource(floats = {-40, -30, -17, -9})
  void everyFormAgreesFarBelowZero(float bias) {
    SiteMaps maps = maps(new float[] {bias, bias - 1, bias + 1, bias - 2}, 0.5f);
    AttentionModel.Inputs inputs = MODEL.inputs(AttentionSpec.FIRST, 1);
    double[] expected = FormMatrixTest.expected(MODEL, maps, inputs, AttentionSpec.FIRST);
    for (Lowering lowering : Lowering.values()) {
      for (boolean library : new boolean[] {true, false}) {
        ModelProto observed = FormMatrixTest.withOutput(converted(maps, lowering), MODEL.merged());
        Tensor actual = Conversion.run(observed, Conversion.tensors(inputs.feeds()), library, List.of(MODEL.merged())).get(MODEL.merged());
        double error = HadamardReference.relativeError(expected, SiteReference.doubles(actual.floats()));
        assertTrue(error <= 1e-5, lowering + (library ? ", kernels: " : ": ") + error);
      }
    }
  }
}
