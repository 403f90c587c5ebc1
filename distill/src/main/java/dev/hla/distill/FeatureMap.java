package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import dev.hla.converter.Activation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Hadamard attention in arrays that gradients flow through, all heads at once: the definition, weight by weight. Shapes
 * may have a batch axis before the heads.
 */
final class FeatureMap {
  private final MapDesign design;
  private final Map<String, NDArray> leaves = new LinkedHashMap<>();

  /** @param manager holds the arrays that gradients are taken with respect to */
  FeatureMap(NDManager manager, MapWeights weights) {
    this.design = weights.design();
    for (MapWeights.Array array : weights.arrays()) {
      leaves.put(array.name(), Torch.leaf(manager, array.data(), array.shape()[0], array.shape()[1], array.shape()[2]));
    }
  }

  /** After a backward pass, in the order of the weights' arrays. */
  float[][] gradients() {
    return leaves.values().stream().map(Torch::gradient).toArray(float[][]::new);
  }

  /** The same, and sets them to 0 for another backward pass. */
  float[][] takeGradients() {
    float[][] gradients = gradients();
    leaves.values().forEach(Torch::clearGradient);
    return gradients;
  }

  /**
   * The features of each factor, [H, N, r].
   *
   * @param side query or key
   * @param x [H, N, d]
   */
  List<NDArray> features(String side, NDArray x) {
    NDArray in = x;
    if (design.hidden() > 0) {
      NDArray units = gelu(x.matMul(leaves.get(side + ".hidden.weight")).add(leaves.get(side + ".hidden.bias")));
      in = NDArrays.concat(new NDList(x, units), last(x));
    }
    NDArray z = in.matMul(leaves.get(side + ".weight")).add(leaves.get(side + ".bias"));
    int[] ranks = design.spec().ranks();
    List<NDArray> features = new ArrayList<>();
    long start = 0;
    for (int f = 0; f < ranks.length; f++) {
      NDArray slice = ranks.length == 1 ? z : z.get("..., " + start + ":" + (start + ranks[f]));
      features.add(activated(slice, design.activations().get(f)));
      start += ranks[f];
    }
    return features;
  }

  private static int last(NDArray x) {
    return x.getShape().dimension() - 1;
  }

  static NDArray gelu(NDArray x) {
    return x.getNDArrayInternal().gelu();
  }

  private static NDArray activated(NDArray z, Activation activation) {
    return switch (activation) {
      case IDENTITY -> z;
      case SOFTPLUS -> z.getNDArrayInternal().softPlus();
      case RELU -> z.getNDArrayInternal().relu();
      case EXP -> z.exp();
      case SOFTMAX -> z.softmax(last(z));
    };
  }

  /**
   * The sums over keys of the weights times the values, and in the last column of the weights alone, [H, N, dv + 1]. Gates
   * and mask multiply the values' rows, and factors of one power are multiplied before the power is taken: the weights [H,
   * N, M] are the largest arrays, and few passes go over them.
   *
   * @param query features of each factor
   * @param key features of each factor
   * @param value [H, M, dv]
   * @param keyWeight of the mask, [H, M, 1], or null
   */
  NDArray sums(List<NDArray> query, List<NDArray> key, NDArray value, NDArray keyWeight) {
    NDArray rows = NDArrays.concat(new NDList(value, value.get("..., 0:1").onesLike()), last(value));
    rows = keyWeight == null ? rows : rows.mul(keyWeight);
    Map<Integer, NDArray> ofPower = new TreeMap<>();
    NDArray queryGate = null;
    for (int f = 0; f < query.size(); f++) {
      int power = design.spec().powers()[f];
      if (design.spec().ranks()[f] == 1) {
        rows = rows.mul(power(key.get(f), power));
        NDArray gate = power(query.get(f), power);
        queryGate = queryGate == null ? gate : queryGate.mul(gate);
      } else {
        NDArray similarity = query.get(f).matMul(key.get(f).swapAxes(last(key.get(f)) - 1, last(key.get(f))));
        ofPower.merge(power, similarity, NDArray::mul);
      }
    }
    NDArray weights = null;
    for (Map.Entry<Integer, NDArray> each : ofPower.entrySet()) {
      NDArray factor = power(each.getValue(), each.getKey());
      weights = weights == null ? factor : weights.mul(factor);
    }
    // Gates alone look at nothing but the key: the same sum for every query.
    NDArray sums = weights == null ? query.get(0).zerosLike().add(rows.sum(new int[] {last(rows) - 1}, true)) : weights.matMul(rows);
    return queryGate == null ? sums : sums.mul(queryGate);
  }

  private static NDArray power(NDArray x, int power) {
    return switch (power) {
      case 1 -> x;
      case 2 -> x.square();
      case 3 -> x.square().mul(x);
      default -> x.square().square();
    };
  }

  /** The attention output [H, N, dv] of {@link #sums}. */
  static NDArray attend(NDArray sums, float epsilon) {
    long valueDim = sums.getShape().get(last(sums)) - 1;
    return sums.get("..., 0:" + valueDim).div(sums.get("..., " + valueDim + ":" + (valueDim + 1)).add(epsilon));
  }
}
