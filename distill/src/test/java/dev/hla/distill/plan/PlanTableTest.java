package dev.hla.distill.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Choices among errors and times that plan measured. */
class PlanTableTest {
  /** As plan wrote it. */
  private static PlanTable table(String model) {
    try {
      PlanFile file = PlanFile.read(Path.of(PlanTableTest.class.getResource("/plans/" + model + ".json").toURI()));
      return new PlanTable(file.model(), file.sites(), file.modelMillis());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The same number of sites in the same time, or less. */
  @ParameterizedTest
  @CsvSource({"all-minilm-l6-v2, 25", "all-minilm-l6-v2, 50", "all-minilm-l6-v2, 75", "all-minilm-l6-v2, 100", "shapes_wan, 25", "shapes_wan, 50",
      "shapes_wan, 75", "shapes_wan, 100"})
  void aPlanIsNeverWorseThanTheBestOfRandomSetsOfTheSameCost(String model, int share) {
    PlanTable table = table(model);
    int count = (int) Math.round(table.sites().size() * share / 100.0);
    Random random = new Random(share);
    int better = 0;
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < 200; i++) {
      PlanTable.Chosen other = table.predicted(randomSet(random, table, count));
      PlanTable.Chosen chosen = table.choose(new Budget(count, table.modelMillis() / other.millis(), null));
      assertEquals(count, Arrays.stream(chosen.choices()).filter(c -> c >= 0).count());
      assertTrue(chosen.millis() <= other.millis() * (1 + 1e-8), chosen + " " + other);
      assertTrue(chosen.error() <= other.error(), chosen.error() + " > " + other.error() + " of " + Arrays.toString(other.choices()));
      better += chosen.error() < other.error() ? 1 : 0;
      best = Math.min(best, other.error());
    }
    assertTrue(table.choose(new Budget(count, null, null)).error() <= best, "a random set is better: " + best);
    assertTrue(better > 50, "random sets were as good as the plan " + (200 - better) + " times of 200: they say nothing");
  }

  private static int[] randomSet(Random random, PlanTable table, int count) {
    int all = table.sites().size();
    List<Integer> order = new ArrayList<>(IntStream.range(0, all).boxed().toList());
    Collections.shuffle(order, random);
    int[] set = new int[all];
    Arrays.fill(set, -1);
    order.subList(0, count).forEach(s -> set[s] = random.nextInt(table.sites().get(s).choices().size()));
    return set;
  }

  @ParameterizedTest
  @ValueSource(strings = {"all-minilm-l6-v2", "shapes_wan"})
  void whatAPlanPredictsCanBeAskedForAndNoMore(String model) {
    PlanTable table = table(model);
    int all = table.sites().size();
    PlanTable.Chosen best = table.choose(new Budget(all, null, null));
    double least = best.error();
    assertEquals(least, table.choose(new Budget(all, null, least)).error());
    assertEquals(least, table.choose(new Budget(all, table.modelMillis() / best.millis(), null)).error());
    HlaException e = assertThrows(HlaException.class, () -> table.choose(new Budget(all, null, 0.9 * least)));
    assertTrue(e.getMessage().contains("no set of choices is within the budget (" + all + " sites converted, an output error of at most"), e.getMessage());
  }
}
