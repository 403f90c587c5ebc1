package dev.hla.distill.plan;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.ModelError;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Measures what each choice of maps costs at each site, and finds the best set under a budget. */
public final class PlanSearch {
  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final List<List<SiteResult>> fits;
  private final List<Map<String, Tensor>> heldOut;
  private final SiteTimer timer;
  private final ModelSession.Settings settings;
  private final List<PlanFile.Site> measured = new ArrayList<>();
  private double modelMillis;

  /**
   * What is wanted; null for no such wish.
   *
   * @param sites how many are converted
   * @param speedup how many times as fast the model is at least
   * @param maxError how large the predicted error of its output is at most
   */
  public record Budget(Integer sites, Double speedup, Double maxError) {}

  /**
   * The chosen set.
   *
   * @param choices for each site the number of its fit, or -1 to keep softmax
   * @param millis predicted
   * @param error predicted
   */
  public record Chosen(int[] choices, double millis, double error) {}

  /**
   * @param fits of each site, one for each choice of maps
   * @param heldOut inputs to measure the model's output on; the first one gives the shapes to time
   */
  public PlanSearch(OnnxModel model, List<AttentionSite> sites, List<List<SiteResult>> fits, List<Map<String, Tensor>> heldOut,
      ModelSession.Settings settings, double seconds) {
    this.model = model;
    this.sites = List.copyOf(sites);
    this.fits = List.copyOf(fits);
    this.heldOut = List.copyOf(heldOut);
    this.settings = settings;
    this.timer = new SiteTimer(model, heldOut.get(0), new ModelSession.Settings(true, settings.threads()), seconds);
  }

  /** Measures every site: its effect on the output with its best maps in place, and the time of softmax and of each choice. */
  public void measure(Runnable onSite) {
    try (ModelError error = new ModelError(model, sites, settings)) {
      for (int s = 0; s < sites.size(); s++) {
        List<SiteResult> site = fits.get(s);
        SiteResult best = site.stream().min(Comparator.comparingDouble(r -> r.error().all())).orElseThrow();
        double effect;
        try (ModelSession converted = error.converted(Map.of(best.site(), best.maps()))) {
          effect = error.of(converted, heldOut) / best.error().all();
        }
        double[] millis = timer.site(sites.get(s), site.stream().map(SiteResult::maps).toList());
        List<PlanFile.Measured> choices = new ArrayList<>();
        for (int c = 0; c < site.size(); c++) {
          double e = site.get(c).error().all();
          choices.add(new PlanFile.Measured(site.get(c).design().toString(), site.get(c).design().spec().products(), e, e * effect, millis[c + 1]));
        }
        measured.add(new PlanFile.Site(best.site(), PlanFile.Site.SOFTMAX, effect, millis[0], "", choices));
        onSite.run();
      }
    }
    modelMillis = whole(new int[0])[0];
  }

  /** Time of all sites in the time of the model. */
  public double attentionShare() {
    return Math.min(1, measured.stream().mapToDouble(PlanFile.Site::softmaxMillis).sum() / modelMillis);
  }

  /** Time of the original model. */
  public double modelMillis() {
    return modelMillis;
  }

  /** Milliseconds of the original and of the model with a set of choices, measured in turns. */
  public double[] whole(int[] choices) {
    Map<AttentionSite, SiteMaps> maps = new LinkedHashMap<>();
    for (int s = 0; s < choices.length; s++) {
      if (choices[s] >= 0) {
        maps.put(sites.get(s), fits.get(s).get(choices[s]).maps());
      }
    }
    return timer.whole(maps);
  }

  /** @throws HlaException where no set is within the budget */
  public Chosen choose(Budget budget) {
    double allowed = budget.speedup() == null ? Double.POSITIVE_INFINITY : modelMillis / budget.speedup() - rest();
    boolean errorIsLimit = budget.maxError() != null && budget.speedup() == null;
    double limit = errorIsLimit ? budget.maxError() * budget.maxError() : allowed;
    int[] options = Knapsack.solve(options(errorIsLimit), limit, budget.sites()).orElseThrow(() -> new HlaException(nothing(budget)));
    int[] choices = Arrays.stream(options).map(o -> o - 1).toArray();
    Chosen chosen = chosen(choices);
    if (budget.maxError() != null && chosen.error() > budget.maxError() * (1 + 1e-12)) {
      throw new HlaException(nothing(budget) + String.format(Locale.ROOT, "; the least error at that speed is %.4f", chosen.error()));
    }
    return chosen;
  }

  private List<List<Knapsack.Option>> options(boolean errorIsLimit) {
    List<List<Knapsack.Option>> groups = new ArrayList<>();
    for (PlanFile.Site site : measured) {
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

  private Chosen chosen(int[] choices) {
    double millis = rest();
    double squared = 0;
    for (int s = 0; s < choices.length; s++) {
      PlanFile.Site site = measured.get(s);
      millis += choices[s] < 0 ? site.softmaxMillis() : site.choices().get(choices[s]).millis();
      squared += choices[s] < 0 ? 0 : Math.pow(site.choices().get(choices[s]).outputError(), 2);
    }
    return new Chosen(choices, millis, Math.sqrt(squared));
  }

  private String nothing(Budget budget) {
    double fastest = rest() + measured.stream().mapToDouble(s -> Math.min(s.softmaxMillis(),
        s.choices().stream().mapToDouble(PlanFile.Measured::millis).min().orElseThrow())).sum();
    return String.format(Locale.ROOT, "%s: no set of choices is within the budget (%s); the fastest set runs %.2f times as fast, and no attention at all"
        + " would be %.2f times; ask for less, or offer other maps with --choice", model.path(), words(budget), modelMillis / fastest,
        1 / Math.max(1e-9, 1 - attentionShare()));
  }

  /** A budget in words. */
  public static String words(Budget budget) {
    List<String> words = new ArrayList<>();
    if (budget.sites() != null) {
      words.add(budget.sites() + " sites converted");
    }
    if (budget.speedup() != null) {
      words.add("at least " + budget.speedup() + " times as fast");
    }
    if (budget.maxError() != null) {
      words.add("an output error of at most " + budget.maxError());
    }
    return String.join(", ", words);
  }

  /** The sites with the chosen maps, and the reasons of those that are kept. */
  public List<PlanFile.Site> decided(Chosen chosen) {
    List<PlanFile.Site> decided = new ArrayList<>();
    for (int s = 0; s < measured.size(); s++) {
      PlanFile.Site site = measured.get(s);
      int choice = chosen.choices()[s];
      decided.add(new PlanFile.Site(site.name(), choice < 0 ? PlanFile.Site.SOFTMAX : site.choices().get(choice).maps(), site.effect(),
          site.softmaxMillis(), choice < 0 ? reason(site) : "", site.choices()));
    }
    return decided;
  }

  private static String reason(PlanFile.Site site) {
    PlanFile.Measured fastest = site.choices().stream().min(Comparator.comparingDouble(PlanFile.Measured::millis)).orElseThrow();
    if (fastest.millis() >= site.softmaxMillis()) {
      return String.format(Locale.ROOT, "not worth converting: softmax takes %.3f ms here, the fastest maps (%s) %.3f ms", site.softmaxMillis(),
          fastest.maps(), fastest.millis());
    }
    return String.format(Locale.ROOT, "the budget is better spent elsewhere: its fastest maps (%s) would save %.3f ms for an output error of %.4f",
        fastest.maps(), site.softmaxMillis() - fastest.millis(), fastest.outputError());
  }
}
