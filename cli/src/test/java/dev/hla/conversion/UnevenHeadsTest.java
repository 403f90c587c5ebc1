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
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.SiteReference;
import dev.hla.testdata.graph.GraphBuilder;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Keys and values with fewer heads than queries, or of another width, against the same with every head written out. */
class UnevenHeadsTest {
  private static final int HEADS = 4;
  private static final int FLOAT = DataType.FLOAT_VALUE;

  /** Attention over heads of keys and values as they are given. */
  private static GraphBuilder inputs(long heads, long width) {
    GraphBuilder g = new GraphBuilder(23);
    g.input("q", FLOAT, 2, HEADS, 6, 8);
    g.input("k", FLOAT, 2, heads, 7, 8);
    g.input("v", FLOAT, 2, heads, 7, width);
    return g;
  }

  private static ModelProto products(GraphBuilder g, String k, String v, long width) {
    String scores = g.op("Mul", g.op("MatMul", "q", g.transpose(k, 0, 1, 3, 2)), g.scalar(0.35, FLOAT));
    g.output("y", g.op("MatMul", g.softmax(g.op("Add", scores, g.scalar(0.25, FLOAT)), 4), v), FLOAT, 2, HEADS, 6, width);
    return g.model("test");
  }

  private static ModelProto broadcast(long width) {
    return products(inputs(1, width), "k", "v", width);
  }

  private static ModelProto grouped(long heads, long width) {
    GraphBuilder g = inputs(heads, width);
    g.output("y", g.op("Attention", "q", "k", "v"), FLOAT, 2, HEADS, 6, width);
    return g.model("test");
  }

  private static ModelProto writtenOut(long heads, long width) {
    GraphBuilder g = inputs(heads, width);
    return products(g, writtenOut(g, "k", heads), writtenOut(g, "v", heads), width);
  }

  private static String writtenOut(GraphBuilder g, String x, long heads) {
    String[] all = new String[HEADS];
    for (int head = 0; head < HEADS; head++) {
      long own = head * heads / HEADS;
      all[head] = g.slice(x, 1, own, own + 1);
    }
    return g.concat(1, all);
  }

  private static double[] output(ModelProto model, Lowering lowering, boolean library, long heads, long width) {
    OnnxModel source = Conversion.inMemory(model);
    AttentionSite site = AttentionFinder.find(source).sites().get(0);
    SiteMaps maps = SiteMaps.unfitted(HEADS, 8, new int[] {4, 4}, new int[] {1, 1}, Collections.nCopies(2, Activation.SOFTPLUS), 3);
    ModelProto converted = Rewriter.rewrite(source, new Plan(List.of(new Choice(site, maps, true)), List.of()), lowering).model().proto();
    Map<String, Tensor> feeds = Map.of("q", random(1, 2, HEADS, 6, 8), "k", random(2, 2, heads, 7, 8), "v", random(3, 2, heads, 7, width));
    return SiteReference.doubles(Conversion.run(converted, feeds, library, List.of("y")).get("y").floats());
  }

  private static Tensor random(long seed, long... shape) {
    Random random = new Random(seed);
    float[] values = new float[(int) (shape[0] * shape[1] * shape[2] * shape[3])];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, shape);
  }

  @ParameterizedTest
  @CsvSource({"1, 8", "1, 5", "2, 8", "2, 5"})
  void serveAllHeadsOfTheirGroup(long heads, long width) {
    double[] expected = output(writtenOut(heads, width), Lowering.CORE, true, heads, width);
    for (Lowering lowering : Lowering.values()) {
      for (boolean library : new boolean[] {true, false}) {
        ModelProto model = heads == 1 ? broadcast(width) : grouped(heads, width);
        double error = HadamardReference.relativeError(expected, output(model, lowering, library, heads, width));
        assertTrue(error <= 1e-5, lowering + (library ? ", kernels: " : ": ") + error);
      }
    }
  }

  @Test
  void operandsThatAreRepeatedOtherwiseAreKept() {
    assertEquals("k has 1 heads, where 4 are needed; expected no repeating of single ones",
        reason(new long[] {2, HEADS}, new long[] {2, 1}, new long[] {2, HEADS}));
    assertEquals("query, key and value have batches of [1, 2], of which the smaller is repeated; expected the same in each",
        reason(new long[] {1, HEADS}, new long[] {2, HEADS}, new long[] {2, HEADS}));
    assertEquals("", reason(new long[] {2, HEADS}, new long[] {2, HEADS}, new long[] {2, HEADS}));
  }

  private static String reason(long[] q, long[] k, long[] v) {
    GraphBuilder g = new GraphBuilder(17);
    g.input("q", FLOAT, q[0], q[1], 6, 8);
    g.input("k", FLOAT, k[0], k[1], 7, 8);
    g.input("v", FLOAT, v[0], v[1], 7, 8);
    return AttentionFinder.find(Conversion.inMemory(products(g, "k", "v", 8))).sites().get(0).reason();
  }

  /** From IR version 4 on an initializer that is also an input is what the mask is where a caller gives no other. */
  @ParameterizedTest
  @CsvSource({"3, true", "4, false", "8, false"})
  void aMaskWithADefaultIsAMask(long ir, boolean convertible) {
    GraphBuilder g = inputs(HEADS, 8);
    g.input("mask", FLOAT, 1, 1, 6, 7);
    String scores = g.op("MatMul", "q", g.transpose("k", 0, 1, 3, 2));
    g.output("y", g.op("MatMul", g.softmax(g.op("Add", scores, "mask"), 4), "v"), FLOAT, 2, HEADS, 6, 8);
    ModelProto.Builder model = g.model("test").toBuilder().setIrVersion(ir);
    model.getGraphBuilder().addInitializerBuilder().setName("mask").setDataType(FLOAT).addAllDims(List.of(1L, 1L, 6L, 7L))
        .addAllFloatData(Collections.nCopies(42, 0f));
    assertEquals(convertible, AttentionFinder.find(Conversion.inMemory(model.build())).sites().get(0).convertible());
  }
}
