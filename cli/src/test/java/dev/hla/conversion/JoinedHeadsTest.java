package dev.hla.conversion;

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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Heads that share an axis with the batch from the projection to the output, as in torch.nn.MultiheadAttention, against heads apart. */
class JoinedHeadsTest {
  private static final int BATCH = 2;
  private static final int HEADS = 4;
  private static final int WIDTH = 8;
  private static final int FLOAT = DataType.FLOAT_VALUE;

  /** Operands [N, B, H*d]: the heads of each are split by one reshape, [B*H, N, d] after it. */
  private static ModelProto joined(boolean moved) {
    GraphBuilder g = new GraphBuilder(17);
    String[] heads = new String[3];
    for (int i = 0; i < 3; i++) {
      String x = input(g, i);
      // There and back again: with a Transpose right above the reshape the operand is [B, N, H*d].
      String tokensFirst = moved ? g.transpose(g.transpose(x, 1, 0, 2), 1, 0, 2) : x;
      heads[i] = g.transpose(g.reshape(tokensFirst, tokens(i), BATCH * HEADS, WIDTH), 1, 0, 2);
    }
    String scores = g.op("Mul", g.op("MatMul", heads[0], g.transpose(heads[1], 0, 2, 1)), g.scalar(0.35, FLOAT));
    String attended = g.op("MatMul", g.softmax(scores, 3), heads[2]);
    g.output("y", g.reshape(g.transpose(attended, 1, 0, 2), tokens(0) * BATCH, HEADS * WIDTH), FLOAT, tokens(0) * BATCH, HEADS * WIDTH);
    return g.model("test");
  }

  private static ModelProto apart() {
    GraphBuilder g = new GraphBuilder(17);
    String[] heads = new String[3];
    for (int i = 0; i < 3; i++) {
      heads[i] = g.transpose(g.reshape(input(g, i), tokens(i), BATCH, HEADS, WIDTH), 1, 2, 0, 3);
    }
    String scores = g.op("Mul", g.op("MatMul", heads[0], g.transpose(heads[1], 0, 1, 3, 2)), g.scalar(0.35, FLOAT));
    String attended = g.op("MatMul", g.softmax(scores, 4), heads[2]);
    g.output("y", g.reshape(g.transpose(attended, 2, 0, 1, 3), tokens(0) * BATCH, HEADS * WIDTH), FLOAT, tokens(0) * BATCH, HEADS * WIDTH);
    return g.model("test");
  }

  private static String input(GraphBuilder g, int i) {
    String name = List.of("q", "k", "v").get(i);
    g.input(name, FLOAT, tokens(i), BATCH, HEADS * WIDTH);
    return name;
  }

  private static long tokens(int i) {
    return i == 0 ? 6 : 7;
  }

  private static double[] output(ModelProto model, Lowering lowering, boolean library) {
    OnnxModel source = Conversion.inMemory(model);
    AttentionSite site = AttentionFinder.find(source).sites().get(0);
    SiteMaps maps = SiteMaps.unfitted(HEADS, WIDTH, new int[] {4, 4}, new int[] {1, 1}, Collections.nCopies(2, Activation.SOFTPLUS), 3);
    ModelProto converted = Rewriter.rewrite(source, new Plan(List.of(new Choice(site, maps, true)), List.of()), lowering).model().proto();
    Map<String, Tensor> feeds = Map.of("q", random(0), "k", random(1), "v", random(2));
    return SiteReference.doubles(Conversion.run(converted, feeds, library, List.of("y")).get("y").floats());
  }

  private static Tensor random(int i) {
    Random random = new Random(i);
    float[] values = new float[(int) tokens(i) * BATCH * HEADS * WIDTH];
    for (int at = 0; at < values.length; at++) {
      values[at] = (float) random.nextGaussian();
    }
    return Tensor.of(values, tokens(i), BATCH, HEADS * WIDTH);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void attendLikeHeadsApart(boolean moved) {
    double[] expected = output(apart(), Lowering.CORE, true);
    for (Lowering lowering : Lowering.values()) {
      for (boolean library : new boolean[] {true, false}) {
        double error = HadamardReference.relativeError(expected, output(joined(moved), lowering, library));
        assertTrue(error <= 1e-5, lowering + (library ? ", kernels: " : ": ") + error);
      }
    }
  }
}
