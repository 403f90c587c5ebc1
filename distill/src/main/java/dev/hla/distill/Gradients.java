package dev.hla.distill;

import java.util.LinkedHashMap;
import java.util.Map;

/** Numbers beside those of the maps of several sites, such as gradients: of each site, arrays in the order of its weights' arrays. */
final class Gradients {
  private final Map<String, float[][]> bySite = new LinkedHashMap<>();

  void put(String site, float[][] arrays) {
    bySite.put(site, arrays);
  }

  float[][] of(String site) {
    return bySite.get(site);
  }

  /** Adds others, each multiplied with a number. */
  void add(Gradients other, double times) {
    other.bySite.forEach((site, arrays) -> {
      float[][] sums = bySite.computeIfAbsent(site, none -> zeros(arrays));
      for (int a = 0; a < arrays.length; a++) {
        for (int i = 0; i < arrays[a].length; i++) {
          sums[a][i] += (float) (times * arrays[a][i]);
        }
      }
    });
  }

  private static float[][] zeros(float[][] like) {
    float[][] zeros = new float[like.length][];
    for (int a = 0; a < like.length; a++) {
      zeros[a] = new float[like[a].length];
    }
    return zeros;
  }

  /** The scalar product with others of the same sites. */
  double dot(Gradients other) {
    double sum = 0;
    for (Map.Entry<String, float[][]> each : bySite.entrySet()) {
      float[][] theirs = other.bySite.get(each.getKey());
      for (int a = 0; a < theirs.length; a++) {
        for (int i = 0; i < theirs[a].length; i++) {
          sum += (double) each.getValue()[a][i] * theirs[a][i];
        }
      }
    }
    return sum;
  }
}
