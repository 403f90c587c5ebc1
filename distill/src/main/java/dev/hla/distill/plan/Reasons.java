package dev.hla.distill.plan;

import java.util.Comparator;
import java.util.Locale;
import java.util.stream.Stream;

/** Why a plan keeps a site, in terms of what was asked for: no times where no time was meant. */
final class Reasons {
  private final Budget budget;
  private final PlanTable.Chosen chosen;
  private final int sites;

  /**
   * @param chosen the plan
   * @param sites how many there are in all
   */
  Reasons(Budget budget, PlanTable.Chosen chosen, int sites) {
    this.budget = budget;
    this.chosen = chosen;
    this.sites = sites;
  }

  String kept(PlanFile.Site site) {
    if (Integer.valueOf(0).equals(budget.sites())) {
      return "the plan was to convert no site";
    }
    if (budget.speedup() == null && budget.maxError() == null) {
      PlanFile.Measured best = least(site.choices().stream());
      return text("the plan was to convert %d of %d sites, and those chosen change the output less than this one, whose best maps (%s) make an error of %.4f there",
          budget.sites(), sites, best.maps(), best.outputError());
    }
    PlanFile.Measured fastest = site.choices().stream().min(Comparator.comparingDouble(PlanFile.Measured::millis)).orElseThrow();
    if (fastest.millis() >= site.softmaxMillis()) {
      return text("not worth converting: softmax takes %.3f ms, the fastest maps (%s) %.3f ms", site.softmaxMillis(), fastest.maps(), fastest.millis());
    }
    if (budget.speedup() != null) {
      return text("other sites give the speed asked for with less error; the fastest maps here (%s) would save %.3f ms for an error of the output of %.4f",
          fastest.maps(), site.softmaxMillis() - fastest.millis(), fastest.outputError());
    }
    PlanFile.Measured best = least(site.choices().stream().filter(m -> m.millis() < site.softmaxMillis()));
    double with = Math.hypot(chosen.error(), best.outputError());
    if (with > budget.maxError()) {
      return text("with it the output's error would be %.4f, more than the %s allowed; it would save %.3f ms (%s)", with, budget.maxError(),
          site.softmaxMillis() - best.millis(), best.maps());
    }
    return text("the plan was to convert %d of %d sites, and others save more time; this one would save %.3f ms (%s)", budget.sites(), sites,
        site.softmaxMillis() - best.millis(), best.maps());
  }

  private static PlanFile.Measured least(Stream<PlanFile.Measured> choices) {
    return choices.min(Comparator.comparingDouble(PlanFile.Measured::outputError)).orElseThrow();
  }

  private static String text(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
