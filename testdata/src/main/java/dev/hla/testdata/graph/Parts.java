package dev.hla.testdata.graph;

import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** The parts that video transformers are put together from, with random weights of float32. */
final class Parts {
  static final int HEADS = 4;
  static final int HEAD_DIM = 8;
  static final int C = HEADS * HEAD_DIM;
  private static final int FLOAT = DataType.FLOAT_VALUE;

  final GraphBuilder g;
  private final Random random = new Random(5);

  Parts(GraphBuilder g) {
    this.g = g;
  }

  String weight(double gain, long... dims) {
    int count = 1;
    for (long d : dims) {
      count *= (int) d;
    }
    return g.real("weight", FLOAT, AttentionWeights.normal(random, count, gain), dims);
  }

  String number(double value) {
    return g.scalar(value, FLOAT);
  }

  String linear(String x, int from, int to) {
    return g.linear(x, weight(1 / Math.sqrt(from), from, to), weight(0.1, to));
  }

  String linear(String x) {
    return linear(x, C, C);
  }

  /** A projection with an adapter of rank 2 beside it. */
  String adapted(String x) {
    String low = g.op("MatMul", g.op("MatMul", x, weight(0.2, C, 2)), weight(0.2, 2, C));
    return g.op("Add", linear(x), g.op("Mul", low, number(0.5)));
  }

  /** LayerNorm without weights, written out. */
  String norm(String x) {
    String centred = g.op("Sub", x, g.reduceMean(x, -1));
    String variance = g.reduceMean(g.op("Mul", centred, centred), -1);
    return g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, number(1e-6))));
  }

  /** RMSNorm of the last axis. */
  String rms(String x, int size) {
    String mean = g.reduceMean(g.op("Mul", x, x), -1);
    return g.op("Mul", g.op("Div", x, g.op("Sqrt", g.op("Add", mean, number(1e-6)))), weight(1, size));
  }

  String modulate(String x, String shift, String scale) {
    return g.op("Add", g.op("Mul", norm(x), g.op("Add", scale, number(1))), shift);
  }

  String feedForward(String x) {
    return linear(g.op("Tanh", linear(x, C, 2 * C)), 2 * C, C);
  }

  /** n vectors [B, 1, C] of the timestep's embedding. */
  List<String> modulation(String temb, int n) {
    long[] sizes = new long[n];
    java.util.Arrays.fill(sizes, C);
    return g.split(g.unsqueeze(linear(g.op("Tanh", temb), C, n * C), 1), 2, sizes);
  }

  String split(String x) {
    return g.reshape(x, 0, 0, HEADS, HEAD_DIM);
  }

  /** Rotates neighbouring halves of [B, N, H, d] by angles of the position. */
  String rotated(String x) {
    String positions = g.cast(g.op("Range", g.squeeze(g.ints(0), 0), g.squeeze(g.dim(x, 1), 0), g.squeeze(g.ints(1), 0)), FLOAT);
    String angles = g.op("Mul", g.unsqueeze(positions, 1, 2), weight(0.3, 1, HEAD_DIM / 2));
    List<String> halves = g.split(x, 3, HEAD_DIM / 2, HEAD_DIM / 2);
    String cos = g.op("Cos", angles);
    String sin = g.op("Sin", angles);
    String first = g.op("Sub", g.op("Mul", halves.get(0), cos), g.op("Mul", halves.get(1), sin));
    String second = g.op("Add", g.op("Mul", halves.get(1), cos), g.op("Mul", halves.get(0), sin));
    return g.concat(3, first, second);
  }

  /** q, k, v are [B, N, H, d]; the mask, if any, is added. */
  String attend(String q, String k, String v, String mask) {
    String before = g.scope();
    g.scope(before + "/core");
    String scores = g.op("MatMul", g.transpose(q, 0, 2, 1, 3), g.transpose(k, 0, 2, 3, 1));
    scores = g.op("Mul", scores, number(1 / Math.sqrt(HEAD_DIM)));
    String p = g.softmax(mask == null ? scores : g.op("Add", scores, mask), 4);
    String o = g.transpose(g.op("MatMul", p, g.transpose(v, 0, 2, 1, 3)), 0, 2, 1, 3);
    g.scope(before);
    return g.reshape(o, 0, 0, C);
  }

  String residual(String x, String gate, String branch) {
    return g.op("Add", x, gate == null ? branch : g.op("Mul", gate, branch));
  }

  /** Where(keep, 0, -10000) of a bool mask that broadcasts over the scores. */
  String additive(String keep) {
    return g.op("Where", keep, number(0), number(-10000));
  }

  String tokensFrom(String image) {
    String patches = g.op("Conv", List.of(GraphBuilder.integers("kernel_shape", 1, 2, 2), GraphBuilder.integers("strides", 1, 2, 2)), image,
        weight(0.3, C, 4, 1, 2, 2), weight(0.1, C));
    return g.transpose(g.reshape(patches, 0, C, -1), 0, 2, 1);
  }

  /** Tokens of 2 by 3 patches a frame to [B, 4, F, 4, 6]. */
  String imageFrom(String tokens) {
    String parts = g.reshape(linear(norm(tokens), C, 16), 0, -1, 2, 3, 1, 2, 2, 4);
    return g.reshape(g.transpose(parts, 0, 7, 1, 4, 2, 5, 3, 6), 0, 4, -1, 4, 6);
  }

  List<String> slices(String x, String first) {
    String end = g.ints(Long.MAX_VALUE);
    List<String> parts = new ArrayList<>();
    parts.add(g.op("Slice", x, g.ints(0), first, g.ints(1)));
    parts.add(g.op("Slice", x, first, end, g.ints(1)));
    return parts;
  }
}
