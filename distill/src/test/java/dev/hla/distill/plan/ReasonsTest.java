package dev.hla.distill.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.hla.converter.HlaException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What a plan says of sites that it keeps, and where it finds nothing. */
class ReasonsTest {
  /** Of 30 ms attention takes 21. */
  private static final PlanTable TABLE = new PlanTable("m.onnx", List.of(
      site("broad", 10, choice("11^2,1", 0.1, 4), choice("8^2,4^2,1", 0.02, 8)), site("peaky", 10, choice("11^2,1", 0.3, 5)),
      site("short", 1, choice("11^2,1", 0.01, 2))), 30);

  private static PlanFile.Site site(String name, double millis, PlanFile.Measured... choices) {
    return new PlanFile.Site(name, PlanFile.Site.SOFTMAX, millis, "", List.of(choices));
  }

  private static PlanFile.Measured choice(String maps, double error, double millis) {
    return new PlanFile.Measured(maps, 66, 2 * error, error, millis);
  }

  /** Each site's maps, or why it has none. */
  private static List<String> decided(Budget budget) {
    return TABLE.decided(TABLE.choose(budget), budget).stream().flatMap(s -> Stream.of(s.choice(), s.reason())).filter(t -> !t.isEmpty() && !t.equals("softmax"))
        .toList();
  }

  @Test
  void aNumberOfSitesIsAMatterOfErrorAlone() {
    assertEquals(List.of("the plan was to convert 1 of 3 sites, and those chosen change the output less than this one, whose best maps (8^2,4^2,1) make an"
        + " error of 0.0200 there", "the plan was to convert 1 of 3 sites, and those chosen change the output less than this one, whose best maps (11^2,1)"
        + " make an error of 0.3000 there", "11^2,1"), decided(new Budget(1, null, null)));
    assertEquals("the plan was to convert no site", decided(new Budget(0, null, null)).get(2));
  }

  @Test
  void aLimitOfTheErrorBuysTime() {
    assertEquals(List.of("11^2,1", "with it the output's error would be 0.3162, more than the 0.12 allowed; it would save 5.000 ms (11^2,1)",
        "not worth converting: softmax takes 1.000 ms, the fastest maps (11^2,1) 2.000 ms"), decided(new Budget(null, null, 0.12)));
    assertEquals("the plan was to convert 1 of 3 sites, and others save more time; this one would save 5.000 ms (11^2,1)",
        decided(new Budget(1, null, 0.4)).get(1));
  }

  @Test
  void aSpeedIsReachedWithTheLeastError() {
    assertEquals("other sites give the speed asked for with less error; the fastest maps here (11^2,1) would save 5.000 ms for an error of the output of"
        + " 0.3000", decided(new Budget(null, 1.2, null)).get(1));
  }

  @Test
  void whereThereIsNothingItSaysWhatThereIsOfWhatWasAskedFor() {
    assertEquals("m.onnx: no set of choices is within the budget (2 sites converted, an output error of at most 0.02); the least error of 2 sites converted"
        + " is 0.0224; allow more, or offer other maps", nothing(new Budget(2, null, 0.02)));
    assertEquals("m.onnx: no set of choices is within the budget (2 sites converted, at least 3.0 times as fast); the fastest set of as many sites runs 1.58"
        + " times as fast, and no attention at all would be 3.33 times; ask for less, or offer other maps", nothing(new Budget(2, 3.0, null)));
  }

  private static String nothing(Budget budget) {
    return assertThrows(HlaException.class, () -> TABLE.choose(budget)).getMessage();
  }

  @Test
  void oneSiteIsOne() {
    assertEquals("1 site converted, at least 2.0 times as fast", new Budget(1, 2.0, null).words());
    assertEquals("0 sites converted", new Budget(0, null, null).words());
  }
}
