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
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Choices among errors and times that plan measured on all-minilm-l6-v2. */
class PlanTableTest {
  private static PlanTable table;

  @BeforeAll
  static void read() throws URISyntaxException {
    PlanFile file = PlanFile.read(Path.of(PlanTableTest.class.getResource("/plans/all-minilm-l6-v2.json").toURI()));
    table = new PlanTable(file.model(), file.sites(), file.modelMillis());
  }

  @ParameterizedTest
  @ValueSource(ints = {25, 50, 75, 100})
  void aPlanIsNeverWorseThanRandomSetsOfTheSameCost(int share) {
    int all = table.sites().size();
    int count = (int) Math.round(all * share / 100.0);
    Random random = new Random(share);
    int better = 0;
    for (int i = 0; i < 200; i++) {
      PlanTable.Chosen other = table.predicted(randomSet(random, all, count));
      PlanTable.Chosen chosen = table.choose(new Budget(count, table.modelMillis() / other.millis(), null));
      assertEquals(count, Arrays.stream(chosen.choices()).filter(c -> c >= 0).count());
      assertTrue(chosen.millis() <= other.millis() * (1 + 1e-8), chosen + " " + other);
      assertTrue(chosen.error() <= other.error(), chosen.error() + " > " + other.error() + " of " + Arrays.toString(other.choices()));
      better += chosen.error() < other.error() ? 1 : 0;
    }
    assertTrue(better > 50, "random sets were as good as the plan " + (200 - better) + " times of 200: they say nothing");
  }

  private static int[] randomSet(Random random, int sites, int count) {
    List<Integer> order = new ArrayList<>(IntStream.range(0, sites).boxed().toList());
    Collections.shuffle(order, random);
    int[] set = new int[sites];
    Arrays.fill(set, -1);
    order.subList(0, count).forEach(s -> set[s] = random.nextInt(table.sites().get(s).choices().size()));
    return set;
  }

  @Test
  void whatAPlanPredictsCanBeAskedForAndNoMore() {
    PlanTable.Chosen best = table.choose(new Budget(6, null, null));
    double least = best.error();
    assertEquals(least, table.choose(new Budget(6, null, least)).error());
    assertEquals(least, table.choose(new Budget(6, table.modelMillis() / best.millis(), null)).error());
    HlaException e = assertThrows(HlaException.class, () -> table.choose(new Budget(6, null, 0.9 * least)));
    assertTrue(e.getMessage().contains("no set of choices is within the budget (6 sites converted, an output error of at most"), e.getMessage());
  }
}
