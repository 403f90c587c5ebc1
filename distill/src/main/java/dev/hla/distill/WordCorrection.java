package dev.hla.distill;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * Takes drifts of words to 0 at the least cost in the squared error of the output: d = - H^-1 G' (G H^-1 G')^-1 drifts, with G the
 * gradients of the drifts and H the {@link Curvature}. Drifts are a few numbers, each a mean over many clips, so that a step
 * along these gradients holds for other clips, too; gradients of single clips, or many steps along these, lead to maps that
 * have no drift on the clips that were looked at and half of it on others. On shapes_wan it brings the share of right shapes back to
 * the original's, for 0.004 more error of the output (docs/feature-maps.md).
 */
final class WordCorrection {
  private static final int MOST_CLIPS = 96;
  /** Fewer say each word a few times only, and a mean over those is chance. */
  private static final int LEAST_CLIPS = 32;
  private static final int MOST_PAIRS = 16;
  /** Of the mean of the diagonal: pairs that hardly differ are not told apart. */
  private static final double RIDGE = 1e-3;

  /**
   * What came out.
   *
   * @param weights by site
   * @param drifts of the pairs that were corrected
   */
  record Corrected(Map<String, MapWeights> weights, List<Refinement.Drift> drifts) {}

  private WordCorrection() {}

  /** How many clips are looked at, of those that maps are fitted to; 0 where these are few or inputs have no prompts made of words. */
  static int clips(Calibration calibration, int samples) {
    return samples < LEAST_CLIPS || calibration.contrasts(0).isEmpty() ? 0 : Math.min(samples, MOST_CLIPS);
  }

  /** How often drifts are measured on every clip: all of them, those to correct with gradients, and again after the step. */
  static int passes() {
    return 3;
  }

  /**
   * Corrects maps.
   *
   * @param weights by site; not changed
   * @param drift measures drifts
   * @param seed of random sums
   */
  static Corrected correct(Map<String, MapWeights> weights, WordDrift drift, long seed) {
    List<WordDrift.Pair> costliest = drift.measure(weights);
    Set<Contrast.Words> words = costliest.stream().limit(MOST_PAIRS).map(WordDrift.Pair::words).collect(Collectors.toSet());
    if (words.isEmpty()) {
      return new Corrected(weights, List.of());
    }
    Curvature curvature = new Curvature(weights);
    List<WordDrift.Pair> before = drift.measure(weights, words, curvature, seed);
    List<Gradients> directions = before.stream().map(pair -> curvature.solve(pair.gradient())).toList();
    Map<String, MapWeights> corrected = moved(weights, directions, distances(before, directions));
    Map<Contrast.Words, WordDrift.Pair> after = drift.measure(corrected, words).stream().collect(Collectors.toMap(WordDrift.Pair::words, Function.identity()));
    // Where the step leads astray, drifts are not finite, and so not there, or cost more than before.
    if (after.size() < before.size() || loss(after.values()) >= loss(before)) {
      return new Corrected(weights, List.of());
    }
    return new Corrected(corrected, before.stream().map(pair -> new Refinement.Drift(
        pair.words().said(), pair.words().other(), pair.drift(), after.get(pair.words()).drift())).toList());
  }

  private static double loss(Collection<WordDrift.Pair> pairs) {
    return pairs.stream().mapToDouble(WordDrift.Pair::loss).sum();
  }

  /** How far to go along each direction for the drifts to vanish. */
  private static double[] distances(List<WordDrift.Pair> pairs, List<Gradients> directions) {
    int n = pairs.size();
    // What a step along each direction changes in each drift.
    DMatrixRMaj effect = new DMatrixRMaj(n, n);
    DMatrixRMaj drifts = new DMatrixRMaj(n, 1);
    for (int i = 0; i < n; i++) {
      drifts.set(i, 0, pairs.get(i).drift());
      for (int k = 0; k < n; k++) {
        effect.set(i, k, pairs.get(i).gradient().dot(directions.get(k)));
      }
    }
    double ridge = RIDGE * CommonOps_DDRM.trace(effect) / n;
    for (int i = 0; i < n; i++) {
      effect.add(i, i, ridge);
    }
    DMatrixRMaj distances = new DMatrixRMaj(n, 1);
    return CommonOps_DDRM.solve(effect, drifts, distances) ? distances.data : new double[n];
  }

  private static Map<String, MapWeights> moved(Map<String, MapWeights> weights, List<Gradients> directions, double[] distances) {
    Gradients step = new Gradients();
    for (int i = 0; i < distances.length; i++) {
      step.add(directions.get(i), -distances[i]);
    }
    Map<String, MapWeights> moved = new LinkedHashMap<>();
    weights.forEach((site, w) -> {
      MapWeights copy = w.copy();
      for (int a = 0; a < copy.arrays().size(); a++) {
        float[] data = copy.arrays().get(a).data();
        for (int i = 0; i < data.length; i++) {
          data[i] += step.of(site)[a][i];
        }
      }
      moved.put(site, copy);
    });
    return moved;
  }
}
