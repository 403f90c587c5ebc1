package dev.hla.distill;

import dev.hla.converter.Activation;
import java.util.Random;

/**
 * The start of maps that have none in closed form: W and W1 from N(0, 1/d), the hidden layer's share of W from N(0, 0.01 /
 * h), for inputs scaled by d^-1/4 as both sides of the scores' 1/sqrt(d). A softmax factor starts with features in pairs,
 * z and -z (hedgehog), so that small and large values of every direction are told apart.
 */
final class RandomStart {
  private RandomStart() {}

  static MapWeights of(SiteData data, MapDesign design, long seed) {
    MapWeights weights = new MapWeights(data.heads(), data.headDim(), design);
    // Not of d alone: the scores of this site may be scaled otherwise.
    double input = Math.sqrt(data.scale());
    for (String side : new String[] {"query", "key"}) {
      for (int h = 0; h < data.heads(); h++) {
        fill(weights, side, h, input, Seeds.random((seed * 31 + h) * 2 + (side.equals("query") ? 0 : 1)));
      }
    }
    return weights;
  }

  private static void fill(MapWeights weights, String side, int head, double input, Random random) {
    int d = weights.headDim();
    int hidden = weights.design().hidden();
    MapWeights.Array weight = weights.array(side + ".weight");
    int width = weight.shape()[2];
    int column = 0;
    for (int f = 0; f < weights.design().spec().ranks().length; f++) {
      int rank = weights.design().spec().ranks()[f];
      boolean paired = weights.design().activations().get(f) == Activation.SOFTMAX;
      int own = paired ? (rank + 1) / 2 : rank;
      for (int c = 0; rank > 1 && c < rank; c++) {
        for (int i = 0; i < d + hidden; i++) {
          int at = head * weight.perHead() + i * width + column;
          double scale = i < d ? input / Math.sqrt(d) : 0.1 / Math.sqrt(hidden);
          weight.data()[at + c] = c < own ? (float) (scale * random.nextGaussian()) : -weight.data()[at + c - own];
        }
        if (weights.design().activations().get(f) == Activation.IDENTITY) {
          MapWeights.Array bias = weights.array(side + ".bias");
          bias.data()[head * width + column + c] = c == 0 ? 1 : 0;
        }
      }
      column += rank;
    }
    if (hidden > 0) {
      hidden(weights, side, head, input, random);
    }
  }

  /** The hidden layer's own weights. */
  static void hidden(MapWeights weights, String side, int head, double input, Random random) {
    MapWeights.Array first = weights.array(side + ".hidden.weight");
    for (int i = 0; i < first.perHead(); i++) {
      first.data()[head * first.perHead() + i] = (float) (input * random.nextGaussian() / Math.sqrt(weights.headDim()));
    }
  }
}
