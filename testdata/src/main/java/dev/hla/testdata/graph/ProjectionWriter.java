package dev.hla.testdata.graph;

import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.List;

/** Writes the projections of one attention. */
final class ProjectionWriter {
  private static final int D = AttentionSpec.HEAD_DIM;
  private static final int C = AttentionSpec.WIDTH;

  private final GraphBuilder g;
  private final AttentionSpec spec;
  private final int type;

  /** @param type that q, k and v get */
  ProjectionWriter(GraphBuilder g, AttentionSpec spec, int type) {
    this.g = g;
    this.spec = spec;
    this.type = type;
  }

  List<Head> write(String x, String context, AttentionWeights.Names w) {
    g.scope("/block/qkv");
    if (spec.projection() == Projection.SEPARATE) {
      return List.of(
          new Head(typed(g.linear(x, w.query(), w.queryBias())), Head.PACKED, AttentionSpec.HEADS),
          new Head(typed(g.linear(context, w.key(), w.keyBias())), Head.PACKED, spec.keyHeads()),
          new Head(typed(g.linear(context, w.value(), w.valueBias())), Head.PACKED, spec.keyHeads()));
    }
    String fused = typed(g.linear(x, w.fused(), w.fusedBias()));
    List<String> parts = switch (spec.projection()) {
      case SPLIT -> g.split(fused, 2, C, C, C);
      case SLICES -> List.of(g.slice(fused, 2, 0, C), g.slice(fused, 2, C, 2 * C), g.slice(fused, 2, 2 * C, Long.MAX_VALUE));
      case COMPUTED_SLICES -> computedSlices(fused);
      case FIVE_AXES -> fiveAxes(fused);
      default -> fiveAxesTransposed(fused);
    };
    String axes = switch (spec.projection()) {
      case FIVE_AXES -> Head.TOKENS_FIRST;
      case FIVE_AXES_TRANSPOSED -> Head.HEADS_FIRST;
      default -> Head.PACKED;
    };
    return parts.stream().map(p -> new Head(p, axes, AttentionSpec.HEADS)).toList();
  }

  private String typed(String x) {
    return type == DataType.BFLOAT16_VALUE ? g.cast(x, type) : x;
  }

  /** chunk(3, -1) by TorchScript: (size + 2) / 3 of the shape at hand, then multiples of it. */
  private List<String> computedSlices(String fused) {
    if (g.opset() < 10) {
      return g.split(fused, 2, C, C, C);
    }
    String size = g.op("Gather", List.of(GraphBuilder.integer("axis", 0)), g.op("Shape", fused), g.ints(2));
    String third = g.op("Div", g.op("Add", size, g.ints(2)), g.ints(3));
    List<String> parts = new ArrayList<>();
    String start = g.ints(0);
    for (int i = 1; i <= 3; i++) {
      String end = g.op("Mul", third, g.ints(i));
      parts.add(g.op("Slice", fused, start, end, g.ints(2)));
      start = end;
    }
    return parts;
  }

  private String fiveAxesOf(String fused) {
    return g.reshape(fused, 0, 0, 3, AttentionSpec.HEADS, D);
  }

  private List<String> fiveAxes(String fused) {
    return g.split(fiveAxesOf(fused), 2, 1, 1, 1).stream().map(p -> g.squeeze(p, 2)).toList();
  }

  private List<String> fiveAxesTransposed(String fused) {
    String threeFirst = g.transpose(fiveAxesOf(fused), 2, 0, 3, 1, 4);
    List<String> parts = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      parts.add(g.op("Gather", List.of(GraphBuilder.integer("axis", 0)), threeFirst, g.squeeze(g.ints(i), 0)));
    }
    return parts;
  }
}
