package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.Calibration;
import dev.hla.distill.Distillation;
import dev.hla.distill.FitEngine;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.Refinement;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A {@link Distillation} of a verb: it shows how far the work has come and warns of what went wrong. */
final class Fitting implements AutoCloseable {
  private final Verb verb;
  private final int sites;
  private final FitEngine engine;
  private final Distillation distillation;

  /**
   * Opens the inputs and captures what the sites make of them.
   *
   * @param engine does the fits, and is closed after them
   * @param folder for captured attention and unfinished fits; what it has from an interrupted run is taken up
   */
  Fitting(Verb verb, OnnxModel model, List<AttentionSite> sites, CalibrationOptions options, FitEngine engine, Path folder)
      throws IOException {
    this.verb = verb;
    this.sites = sites.size();
    this.engine = engine;
    Distillation.Settings settings = options.settings();
    try (Progress progress = verb.progress("capture", settings.samples() + settings.heldOut())) {
      this.distillation = Distillation.open(model, sites, options.open(model.path(), settings.session()), settings, folder, progress::step);
    } catch (IOException | RuntimeException e) {
      engine.close();
      throw e;
    }
  }

  /** Fits to the captured samples, and errors of maps on those held out. */
  SiteFits fits() {
    return distillation.fits();
  }

  /**
   * Fits every design to every site.
   *
   * @param what is shown while it goes on
   * @return of each site, the result of each design
   */
  List<List<SiteResult>> fit(String what, List<MapDesign> designs, int steps) {
    try (Progress progress = verb.progress(what, (long) sites * designs.size())) {
      return distillation.fit(designs, steps, engine, progress::step);
    }
  }

  /** Does fits, and shows how far they have come. */
  List<SiteResult> fit(String what, List<SiteFits.Job> jobs) {
    try (Progress progress = verb.progress(what, jobs.size())) {
      return fits().fit(jobs, engine, progress::step);
    }
  }

  /** Gives back the machines that fits ran on; there are no more fits. */
  void noMoreFits() {
    engine.close();
  }

  /**
   * Moves maps together until the model's output agrees.
   *
   * @param maps by site; sites that have none keep their softmax
   */
  Refinement.Refined refined(Map<String, SiteMaps> maps, int steps) {
    try (Progress progress = verb.progress("refine", distillation.rounds(steps))) {
      Refinement.Refined refined = distillation.refine(maps, steps, progress::step);
      refined.notes().forEach(verb::warn);
      return refined;
    } catch (HlaException e) {
      throw new HlaException(e.getMessage() + " (--refine 0 does without)", e);
    }
  }

  /** Whether a refinement is to be kept, by the error of the model's output before and after it; warns where it is not. */
  boolean keeps(double before, double after) {
    if (after < before) {
      return true;
    }
    verb.warn("the refinement did not bring the model's output nearer to the original's (" + Table.number(after) + " against "
        + Table.number(before) + " before); the maps are those before it");
    return false;
  }

  /** To measure the output of the model with maps in place. */
  ModelError modelError() {
    return distillation.modelError();
  }

  Calibration inputs() {
    return distillation.inputs();
  }

  /** The inputs that nothing was fitted to. */
  List<Map<String, Tensor>> heldOut() {
    return distillation.heldOut();
  }

  @Override
  public void close() {
    engine.close();
    distillation.close();
  }
}
