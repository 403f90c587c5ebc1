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

/** Hadamard attention in arrays that gradients flow through, all heads at once: the definition, weight by weight. */
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
      in = NDArrays.concat(new NDList(x, units), 2);
    }
    NDArray z = in.matMul(leaves.get(side + ".weight")).add(leaves.get(side + ".bias"));
    int[] ranks = design.spec().ranks();
    List<NDArray> features = new ArrayList<>();
    long start = 0;
    for (int f = 0; f < ranks.length; f++) {
      NDArray slice = ranks.length == 1 ? z : z.get(":, :, " + start + ":" + (start + ranks[f]));
      features.add(activated(slice, design.activations().get(f)));
      start += ranks[f];
    }
    return features;
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
      case SOFTMAX -> z.softmax(2);
    };
  }

  /**
   * Unnormalised weights [H, N, M].
   *
   * @param keyWeight of the mask, [H, 1, M], or null
   */
  NDArray weights(List<NDArray> query, List<NDArray> key, NDArray keyWeight) {
    NDArray product = keyWeight;
    for (int f = 0; f < query.size(); f++) {
      int power = design.spec().powers()[f];
      boolean gate = design.spec().ranks()[f] == 1;
      NDArray transposed = key.get(f).transpose(0, 2, 1);
      NDArray similarity = gate ? query.get(f).mul(transposed) : query.get(f).matMul(transposed);
      for (int p = 0; p < power; p++) {
        product = product == null ? similarity : product.mul(similarity);
      }
    }
    return product;
  }

  /** The attention output [H, N, dv] of weights [H, N, M] and values [H, M, dv]. */
  static NDArray attend(NDArray weights, NDArray value, float epsilon) {
    return weights.matMul(value).div(weights.sum(new int[] {2}, true).add(epsilon));
  }
}
