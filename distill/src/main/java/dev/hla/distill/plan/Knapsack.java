package dev.hla.distill.plan;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The multiple-choice knapsack, exactly: one option of each group, such that the sum of values is least while the sum of
 * weights stays within a limit and, where asked, as many groups as said take an option that counts.
 *
 * <p>Dynamic programming over the groups keeps, for each count, the sums that no other sum beats in both weight and value.
 * Weights and values are real numbers, so these fronts could grow; two things keep them small. A first pass that keeps a few
 * sums of each front gives a solution, good but not proven. And for any multipliers l >= 0 and m,
 *
 * <pre>
 *   value of the rest  >=  sum over groups of min over options (value + l weight + m counts) - l (limit left) - m (count left)
 * </pre>
 *
 * (Lagrangian relaxation), so a sum whose bound exceeds that solution is dropped.
 */
final class Knapsack {
  private static final int BEAM = 64;
  private static final int SEARCH = 50;
  /** Sums in another order differ by rounding; a bound must not cut what it equals. */
  private static final double SLACK = 1e-9;

  private final List<List<Option>> groups;
  private final double limit;
  private final Integer count;
  private final double[] leastWeight;
  private double weightMultiplier;
  private double countMultiplier;
  private double[] relaxed;

  /**
   * One option of a group.
   *
   * @param weight what the limit is on
   * @param value what is made small
   * @param counts whether it is one of those that are counted
   */
  record Option(double weight, double value, boolean counts) {}

  private record Sum(double weight, double value, int counted, int option, Sum before) {}

  private Knapsack(List<List<Option>> groups, double limit, Integer count) {
    this.groups = groups;
    this.limit = limit;
    this.count = count;
    this.leastWeight = new double[groups.size() + 1];
    for (int g = groups.size() - 1; g >= 0; g--) {
      leastWeight[g] = leastWeight[g + 1] + groups.get(g).stream().mapToDouble(Option::weight).min().orElseThrow();
    }
  }

  /**
   * Solves.
   *
   * @param groups each with at least one option, all numbers finite
   * @param limit of the sum of weights; may be infinite
   * @param count how many options that count are taken, or null for any number
   * @return the number of the option of each group; empty where no set is within the limits
   */
  static Optional<int[]> solve(List<List<Option>> groups, double limit, Integer count) {
    Knapsack knapsack = new Knapsack(groups, limit, count);
    knapsack.chooseMultipliers();
    Sum good = knapsack.run(Double.POSITIVE_INFINITY, BEAM);
    Sum best = knapsack.run(good == null ? Double.POSITIVE_INFINITY : good.value, Integer.MAX_VALUE);
    return Optional.ofNullable(best).map(sum -> knapsack.options(sum));
  }

  private int[] options(Sum sum) {
    int[] options = new int[groups.size()];
    for (int g = groups.size() - 1; g >= 0; g--, sum = sum.before) {
      options[g] = sum.option;
    }
    return options;
  }

  private Sum run(double known, int beam) {
    List<List<Sum>> fronts = new ArrayList<>(List.of(List.of(new Sum(0, 0, 0, -1, null))));
    for (int g = 0; g < groups.size(); g++) {
      List<List<Sum>> sums = new ArrayList<>();
      for (int c = 0; c < fronts.size() + (count == null ? 0 : 1); c++) {
        sums.add(new ArrayList<>());
      }
      for (List<Sum> front : fronts) {
        for (Sum sum : front) {
          extend(sum, g, known, sums);
        }
      }
      fronts = sums.stream().map(each -> thinned(front(each), beam)).toList();
    }
    Comparator<Sum> byValue = Comparator.comparingDouble(Sum::value).thenComparingDouble(Sum::weight);
    return fronts.stream().flatMap(List::stream).filter(s -> count == null || s.counted == count).min(byValue).orElse(null);
  }

  private void extend(Sum sum, int group, double known, List<List<Sum>> sums) {
    for (int o = 0; o < groups.get(group).size(); o++) {
      Option option = groups.get(group).get(o);
      Sum next = new Sum(sum.weight + option.weight, sum.value + option.value, sum.counted + (count != null && option.counts ? 1 : 0), o, sum);
      int rest = groups.size() - group - 1;
      boolean last = rest == 0;
      boolean heavy = last ? next.weight > limit : next.weight + leastWeight[group + 1] > limit + SLACK * Math.abs(limit);
      boolean uncountable = count != null && (next.counted > count || next.counted + rest < count);
      if (!heavy && !uncountable && next.value + bound(group + 1, next) <= known + SLACK * Math.abs(known)) {
        sums.get(next.counted).add(next);
      }
    }
  }

  private double bound(int group, Sum sum) {
    double left = weightMultiplier == 0 ? 0 : weightMultiplier * (limit - sum.weight);
    return relaxed[group] - left - (count == null ? 0 : countMultiplier * (count - sum.counted));
  }

  /** Those that none beats in weight and value, by growing weight. */
  private static List<Sum> front(List<Sum> sums) {
    sums.sort(Comparator.comparingDouble(Sum::weight).thenComparingDouble(Sum::value));
    List<Sum> front = new ArrayList<>();
    double least = Double.POSITIVE_INFINITY;
    for (Sum sum : sums) {
      if (sum.value < least) {
        least = sum.value;
        front.add(sum);
      }
    }
    return front;
  }

  private static List<Sum> thinned(List<Sum> front, int beam) {
    if (front.size() <= beam) {
      return front;
    }
    List<Sum> some = new ArrayList<>();
    for (int i = 0; i < beam; i++) {
      some.add(front.get((int) ((long) i * (front.size() - 1) / (beam - 1))));
    }
    return some;
  }

  /** Those that make the bound of the whole problem large: it is concave in both. */
  private void chooseMultipliers() {
    double values = 0;
    double weights = 0;
    for (List<Option> group : groups) {
      values += range(group.stream().mapToDouble(Option::value).summaryStatistics());
      weights += range(group.stream().mapToDouble(Option::weight).summaryStatistics());
    }
    double most = values;
    double unit = weights > 0 && values > 0 ? values / weights : 1;
    double bestBound = Double.NEGATIVE_INFINITY;
    double bestWeight = 0;
    double bestCount = 0;
    double low = -20;
    double high = 20;
    for (int i = 0; i < (Double.isInfinite(limit) ? 1 : SEARCH); i++) {
      double[] powers = {low + (high - low) / 3, high - (high - low) / 3};
      double[] bounds = new double[2];
      for (int k = 0; k < 2; k++) {
        weightMultiplier = Double.isInfinite(limit) ? 0 : unit * Math.exp(powers[k]);
        bounds[k] = chooseCountMultiplier(most);
        if (bounds[k] > bestBound) {
          bestBound = bounds[k];
          bestWeight = weightMultiplier;
          bestCount = countMultiplier;
        }
      }
      low = bounds[0] < bounds[1] ? powers[0] : low;
      high = bounds[0] < bounds[1] ? high : powers[1];
    }
    weightMultiplier = bestWeight;
    countMultiplier = bestCount;
    relax();
  }

  private double chooseCountMultiplier(double most) {
    double low = count == null ? 0 : -most * (1 + weightMultiplier);
    double high = -low;
    for (int i = 0; i < (count == null ? 0 : SEARCH); i++) {
      double a = low + (high - low) / 3;
      double b = high - (high - low) / 3;
      boolean up = wholeBound(a) < wholeBound(b);
      low = up ? a : low;
      high = up ? high : b;
    }
    return wholeBound((low + high) / 2);
  }

  private double wholeBound(double multiplier) {
    countMultiplier = multiplier;
    relax();
    return bound(0, new Sum(0, 0, 0, -1, null));
  }

  private void relax() {
    relaxed = new double[groups.size() + 1];
    for (int g = groups.size() - 1; g >= 0; g--) {
      double least = Double.POSITIVE_INFINITY;
      for (Option o : groups.get(g)) {
        least = Math.min(least, o.value + weightMultiplier * o.weight + (count != null && o.counts ? countMultiplier : 0));
      }
      relaxed[g] = relaxed[g + 1] + least;
    }
  }

  private static double range(java.util.DoubleSummaryStatistics numbers) {
    return numbers.getMax() - numbers.getMin();
  }
}
