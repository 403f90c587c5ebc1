package dev.hla.converter.rewrite;

import dev.hla.converter.Activation;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.graph.Softplus;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes feature maps as ordinary nodes: z = x W + b, then an activation for each factor's slice. x is [B, H, N, d], the
 * features are [B, H, N, R]. bfloat16 is computed in float, since ONNX Runtime's CPU provider has no bfloat16 products.
 */
final class FeatureEmitter {
  private final Emitter out;
  private final SiteMaps maps;

  FeatureEmitter(Emitter out, SiteMaps maps) {
    this.out = out;
    this.maps = maps;
  }

  /**
   * @param x [B, H, N, d] of the given type
   * @param side "query" or "key", for names
   * @param wanted the type of the features
   */
  String features(String x, int type, SiteMaps.Side map, String side, int wanted) {
    int working = type == DataType.BFLOAT16_VALUE ? DataType.FLOAT_VALUE : type;
    String in = working == type ? x : out.cast(x, working, side + "_float");
    if (map.hidden().isPresent()) {
      SiteMaps.Hidden hidden = map.hidden().get();
      String units = gelu(affine(in, side, "hidden_", hidden.weight(), hidden.bias(), working, map.heads(), map.headDim(), hidden.width()), side, working);
      in = map.skips() ? out.node("Concat", side + "_widened", List.of(in, units), Emitter.integer("axis", 3)) : units;
    }
    String z = affine(in, side, "", map.weight(), map.bias(), working, map.heads(), map.weightRows(), map.width());
    String features = activated(z, side, working);
    return working == wanted ? features : out.cast(features, wanted, side + "_features");
  }

  private String affine(String x, String side, String part, float[] weight, float[] bias, int type, long h, long from, long to) {
    // Of as many axes as x: with fewer ONNX Runtime 1.30 crashes on float16 where x came through Reshape, Transpose, Reshape.
    String w = out.reals(side + "." + part + "weight", type, weight, 1, h, from, to);
    String b = out.reals(side + "." + part + "bias", type, bias, h, 1, to);
    String product = out.node("MatMul", side + "_" + part + "product", List.of(x, w));
    return out.node("Add", side + "_" + part + "map", List.of(product, b));
  }

  /** x (1 + erf(x / sqrt 2)) / 2: the operator Gelu is newer than most files' opsets. */
  private String gelu(String x, String side, int type) {
    String root = out.reals(side + ".sqrt_half", type, new float[] {(float) Math.sqrt(0.5)});
    String half = out.reals(side + ".half", type, new float[] {0.5f});
    String one = out.reals(side + ".one", type, new float[] {1f});
    String erf = out.node("Erf", side + "_erf", List.of(out.node("Mul", side + "_scaled", List.of(x, root))));
    String bell = out.node("Mul", side + "_halved", List.of(x, half));
    return out.node("Mul", side + "_gelu", List.of(bell, out.node("Add", side + "_raised", List.of(erf, one))));
  }

  /** Neighbouring factors with one activation share a slice, unless it looks at the whole factor. */
  private String activated(String z, String side, int type) {
    List<Activation> kinds = new ArrayList<>();
    List<Long> sizes = new ArrayList<>();
    int[] ranks = maps.ranks();
    for (int f = 0; f < ranks.length; f++) {
      Activation kind = maps.activations().get(f);
      int last = kinds.size() - 1;
      if (last >= 0 && kinds.get(last) == kind && kind != Activation.SOFTMAX) {
        sizes.set(last, sizes.get(last) + ranks[f]);
      } else {
        kinds.add(kind);
        sizes.add((long) ranks[f]);
      }
    }
    List<String> slices = out.split(z, side + "_slice", 3, sizes.stream().mapToLong(Long::longValue).toArray());
    List<String> done = new ArrayList<>();
    for (int i = 0; i < slices.size(); i++) {
      done.add(activated(kinds.get(i), slices.get(i), side, type));
    }
    return done.size() == 1 ? done.get(0) : out.node("Concat", side + "_features", done, Emitter.integer("axis", 3));
  }

  private String activated(Activation kind, String z, String side, int type) {
    String gives = side + "_" + kind.word();
    return switch (kind) {
      case IDENTITY -> z;
      case SOFTPLUS -> softplus(z, gives, type);
      case RELU -> out.node("Relu", gives, List.of(z));
      case EXP -> out.node("Exp", gives, List.of(z));
      case SOFTMAX -> out.node("Softmax", gives, List.of(z), Emitter.integer("axis", 3));
    };
  }

  /** In float whatever the type: its terms overflow float16 where the result does not. */
  private String softplus(String z, String gives, int type) {
    boolean narrow = type != DataType.FLOAT_VALUE;
    String in = narrow ? out.cast(z, DataType.FLOAT_VALUE, gives + "_of") : z;
    String result = Softplus.of(in, number -> out.reals(gives + "." + number, DataType.FLOAT_VALUE, new float[] {number}),
        narrow ? gives + "_float" : gives, (op, name, inputs) -> out.node(op, name, List.of(inputs)));
    return narrow ? out.cast(result, type, gives) : result;
  }
}
