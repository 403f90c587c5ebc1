package dev.hla.distill.plan;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KnapsackTest {
  /** As sites and their maps are: keeping softmax costs its time and no error, finer maps more time and less error. */
  private static List<List<Knapsack.Option>> problem(Random random, int groups, int options) {
    List<List<Knapsack.Option>> problem = new ArrayList<>();
    for (int g = 0; g < groups; g++) {
      List<Knapsack.Option> group = new ArrayList<>();
      double effect = random.nextDouble();
      group.add(new Knapsack.Option(0.5 + random.nextDouble(), 0, false));
      for (int o = 1; o < options; o++) {
        double time = 0.05 + random.nextDouble();
        group.add(new Knapsack.Option(time, effect * (0.3 + random.nextDouble()) / (0.1 + time), true));
      }
      problem.add(group);
    }
    return problem;
  }

  private static double weight(List<List<Knapsack.Option>> problem, int[] options) {
    double sum = 0;
    for (int g = 0; g < options.length; g++) {
      sum += problem.get(g).get(options[g]).weight();
    }
    return sum;
  }

  private static double value(List<List<Knapsack.Option>> problem, int[] options) {
    double sum = 0;
    for (int g = 0; g < options.length; g++) {
      sum += problem.get(g).get(options[g]).value();
    }
    return sum;
  }

  private static int count(List<List<Knapsack.Option>> problem, int[] options) {
    int count = 0;
    for (int g = 0; g < options.length; g++) {
      count += problem.get(g).get(options[g]).counts() ? 1 : 0;
    }
    return count;
  }

  private static double bruteForce(List<List<Knapsack.Option>> problem, double limit, Integer count, int[] options, int group) {
    if (group == problem.size()) {
      boolean allowed = weight(problem, options) <= limit && (count == null || count(problem, options) == count);
      return allowed ? value(problem, options) : Double.POSITIVE_INFINITY;
    }
    double best = Double.POSITIVE_INFINITY;
    for (int o = 0; o < problem.get(group).size(); o++) {
      options[group] = o;
      best = Math.min(best, bruteForce(problem, limit, count, options, group + 1));
    }
    return best;
  }

  @Test
  void findsWhatTryingAllSetsFinds() {
    Random random = new Random(1);
    int impossible = 0;
    for (int trial = 0; trial < 400; trial++) {
      int groups = 1 + random.nextInt(6);
      List<List<Knapsack.Option>> problem = problem(random, groups, 1 + random.nextInt(5));
      double limit = random.nextInt(5) == 0 ? Double.POSITIVE_INFINITY : groups * random.nextDouble();
      Integer count = random.nextBoolean() ? null : random.nextInt(groups + 1);
      double best = bruteForce(problem, limit, count, new int[groups], 0);
      Optional<int[]> found = Knapsack.solve(problem, limit, count);
      assertEquals(Double.isInfinite(best), found.isEmpty(), "trial " + trial);
      if (found.isEmpty()) {
        impossible++;
        continue;
      }
      assertEquals(best, value(problem, found.get()), "trial " + trial);
      assertTrue(weight(problem, found.get()) <= limit && (count == null || count(problem, found.get()) == count), "trial " + trial);
    }
    assertTrue(impossible > 10 && impossible < 300, impossible + " of 400 problems had no solution");
  }

  @ParameterizedTest
  @ValueSource(ints = {25, 50, 75, 100})
  void isNeverWorseThanRandomSetsOfTheSameCost(int share) {
    Random random = new Random(share);
    List<List<Knapsack.Option>> problem = problem(random, 40, 10);
    int count = 40 * share / 100;
    for (int i = 0; i < 60; i++) {
      int[] set = new int[40];
      List<Integer> order = new ArrayList<>(java.util.stream.IntStream.range(0, 40).boxed().toList());
      java.util.Collections.shuffle(order, random);
      order.subList(0, count).forEach(g -> set[g] = 1 + random.nextInt(9));
      int[] found = Knapsack.solve(problem, weight(problem, set), count).orElseThrow();
      assertTrue(weight(problem, found) <= weight(problem, set) && count(problem, found) == count);
      assertTrue(value(problem, found) <= value(problem, set), value(problem, found) + " > " + value(problem, set));
    }
  }

  @Test
  void fortySitesOfTenChoicesTakeMoments() {
    Random random = new Random(3);
    for (int trial = 0; trial < 20; trial++) {
      List<List<Knapsack.Option>> problem = problem(random, 40, 10);
      double limit = 8 + 20 * random.nextDouble();
      assertTimeout(Duration.ofSeconds(20), () -> Knapsack.solve(problem, limit, null).orElseThrow());
      assertTimeout(Duration.ofSeconds(20), () -> Knapsack.solve(problem, limit, 20));
    }
  }

  @Test
  void groupsWithOneOptionLeaveNoChoice() {
    List<List<Knapsack.Option>> problem = List.of(List.of(new Knapsack.Option(1, 2, true)), List.of(new Knapsack.Option(0, 0, false)));
    assertArrayEquals(new int[] {0, 0}, Knapsack.solve(problem, 1, 1).orElseThrow());
    assertTrue(Knapsack.solve(problem, 0.5, null).isEmpty());
    assertTrue(Knapsack.solve(problem, 1, 2).isEmpty());
  }
}
