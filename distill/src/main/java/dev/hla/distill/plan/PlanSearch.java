package dev.hla.distill.plan;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.ModelError;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Measures what each choice of maps costs at each site. */
public final class PlanSearch {
  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final List<List<SiteResult>> fits;
  private final List<Map<String, Tensor>> heldOut;
  private final SiteTimer timer;
  private final ModelSession.Settings settings;

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

  /** Measures every site: the error of the output with each choice in place and all else left alone, and the time of softmax and of each choice. */
  public PlanTable measure(Runnable onSite) {
    List<PlanFile.Site> measured = new ArrayList<>();
    try (ModelError output = new ModelError(model, sites, settings)) {
      ModelError.Known known = output.known(heldOut);
      for (int s = 0; s < sites.size(); s++) {
        List<SiteResult> site = fits.get(s);
        double[] millis = timer.site(sites.get(s), site.stream().map(SiteResult::maps).toList());
        List<PlanFile.Measured> choices = new ArrayList<>();
        for (int c = 0; c < site.size(); c++) {
          SiteResult fit = site.get(c);
          choices.add(new PlanFile.Measured(fit.design().toString(), fit.design().spec().products(), fit.error().all(),
              known.error(Map.of(fit.site(), fit.maps())), millis[c + 1]));
        }
        measured.add(new PlanFile.Site(sites.get(s).name(), PlanFile.Site.SOFTMAX, millis[0], "", choices));
        onSite.run();
      }
    }
    return new PlanTable(model.path().toString(), measured, whole(new int[0])[0]);
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
}
