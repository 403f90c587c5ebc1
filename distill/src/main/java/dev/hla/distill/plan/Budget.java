package dev.hla.distill.plan;

import java.util.ArrayList;
import java.util.List;

/**
 * What is wanted of a plan; null for no such wish.
 *
 * @param sites how many are converted
 * @param speedup how many times as fast the model is at least
 * @param maxError how large the predicted error of its output is at most
 */
public record Budget(Integer sites, Double speedup, Double maxError) {
  /** In words. */
  public String words() {
    List<String> words = new ArrayList<>();
    if (sites != null) {
      words.add(converted());
    }
    if (speedup != null) {
      words.add("at least " + speedup + " times as fast");
    }
    if (maxError != null) {
      words.add("an output error of at most " + maxError);
    }
    return String.join(", ", words);
  }

  /** How many sites, in words. */
  String converted() {
    return sites + (sites == 1 ? " site" : " sites") + " converted";
  }
}
