package dev.hla.distill.plan;

import dev.hla.converter.HlaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * What was measured of every site, and the best set of choices under a budget. The output's error is predicted as if the
 * squared errors that sites make there added up, its time as if sites did not know of each other.
 *
 * @param model its name, for messages
 * @param sites with all choices
 * @param modelMillis of the whole original model
 */
public record PlanTable(String model, List<PlanFile.Site> sites, double modelMillis) {
  /** Sums in another order differ by rounding: what was predicted may be asked for. */
  private static final double SLACK = 1 + 1e-9;

  /**
   * The chosen set.
   *
   * @param choices for each site the number of its fit, or -1 to keep softmax
   * @param millis predicted
   * @param error predicted
   */
  public record Chosen(int[] choices, double millis, double error) {}

  /** Keeps a copy. */
  public PlanTable {
    sites = List.copyOf(sites);
  }

  /** Time of all sites in the time of the model. */
  public double attentionShare() {
    return Math.min(1, sites.stream().mapToDouble(PlanFile.Site::softmaxMillis).sum() / modelMillis);
  }

  /** @throws HlaException where no set is within the budget */
  public Chosen choose(Budget budget) {
    double allowed = budget.speedup() == null ? Double.POSITIVE_INFINITY : SLACK * modelMillis / budget.speedup() - rest();
    boolean errorIsLimit = budget.maxError() != null && budget.speedup() == null;
    double limit = errorIsLimit ? SLACK * budget.maxError() * budget.maxError() : allowed;
    int[] options = Knapsack.solve(options(errorIsLimit), limit, budget.sites()).orElseThrow(() -> new HlaException(nothing(budget)));
    Chosen chosen = predicted(choices(options));
    if (budget.maxError() != null && chosen.error() > SLACK * budget.maxError()) {
      throw new HlaException(nothing(budget) + String.format(Locale.ROOT, "; the least error at that speed is %.4f", chosen.error()));
    }
    return chosen;
  }

  private List<List<Knapsack.Option>> options(boolean errorIsLimit) {
    List<List<Knapsack.Option>> groups = new ArrayList<>();
    for (PlanFile.Site site : sites) {
      List<Knapsack.Option> group = new ArrayList<>();
      group.add(errorIsLimit ? new Knapsack.Option(0, site.softmaxMillis(), false) : new Knapsack.Option(site.softmaxMillis(), 0, false));
      for (PlanFile.Measured m : site.choices()) {
        double squared = m.outputError() * m.outputError();
        group.add(errorIsLimit ? new Knapsack.Option(squared, m.millis(), true) : new Knapsack.Option(m.millis(), squared, true));
      }
      groups.add(group);
    }
    return groups;
  }

  /** Time of the model outside its attention. */
  private double rest() {
    return modelMillis * (1 - attentionShare());
  }

  /** What is predicted for a set; for each site the number of its choice, or -1. */
  public Chosen predicted(int[] choices) {
    double millis = rest();
    double squared = 0;
    for (int s = 0; s < choices.length; s++) {
      PlanFile.Site site = sites.get(s);
      millis += choices[s] < 0 ? site.softmaxMillis() : site.choices().get(choices[s]).millis();
      squared += choices[s] < 0 ? 0 : Math.pow(site.choices().get(choices[s]).outputError(), 2);
    }
    return new Chosen(choices, millis, Math.sqrt(squared));
  }

  /** What there is instead, of what was asked for. */
  private String nothing(Budget budget) {
    String asked = model + ": no set of choices is within the budget (" + budget.words() + "); ";
    if (budget.speedup() == null) {
      return asked + String.format(Locale.ROOT, "the least error of %s is %.4f; allow more, or offer other maps", budget.converted(),
          least(budget.sites(), false).error());
    }
    return asked + String.format(Locale.ROOT, "the fastest set%s runs %.2f times as fast, and no attention at all would be %.2f times; ask for less, or offer"
        + " other maps", budget.sites() == null ? "" : " of as many sites", modelMillis / least(budget.sites(), true).millis(),
        1 / Math.max(1e-9, 1 - attentionShare()));
  }

  /** The set of so many sites, or of any, with the least time or else the least error, whatever the other is. */
  private Chosen least(Integer count, boolean time) {
    return predicted(choices(Knapsack.solve(options(time), Double.POSITIVE_INFINITY, count).orElseThrow()));
  }

  private static int[] choices(int[] options) {
    return Arrays.stream(options).map(o -> o - 1).toArray();
  }

  /** The sites with the chosen maps, and the reasons of those that are kept. */
  public List<PlanFile.Site> decided(Chosen chosen, Budget budget) {
    Reasons reasons = new Reasons(budget, chosen, sites.size());
    List<PlanFile.Site> decided = new ArrayList<>();
    for (int s = 0; s < sites.size(); s++) {
      PlanFile.Site site = sites.get(s);
      int choice = chosen.choices()[s];
      decided.add(new PlanFile.Site(site.name(), choice < 0 ? PlanFile.Site.SOFTMAX : site.choices().get(choice).maps(), site.softmaxMillis(),
          choice < 0 ? reasons.kept(site) : "", site.choices()));
    }
    return decided;
  }
}
