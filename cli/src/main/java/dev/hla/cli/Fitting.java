package dev.hla.cli;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.Calibration;
import dev.hla.distill.Capture;
import dev.hla.distill.FitEngine;
import dev.hla.distill.FitSettings;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.Refinement;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** What the verbs that fit maps do alike: they observe attention on calibration inputs, fit maps to it, and move maps together. */
final class Fitting implements AutoCloseable {
  private final Verb verb;
  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final CalibrationOptions options;
  private final Calibration inputs;
  private final FitEngine engine;
  private final Path folder;
  private final Capture capture;

  /**
   * Opens the inputs and captures what the sites make of them.
   *
   * @param engine does the fits, and is closed after them
   * @param folder for captured attention and unfinished fits; what it has from an interrupted run is taken up
   */
  Fitting(Verb verb, OnnxModel model, List<AttentionSite> sites, CalibrationOptions options, FitEngine engine, Path folder)
      throws IOException {
    this.verb = verb;
    this.model = model;
    this.sites = List.copyOf(sites);
    this.options = options;
    this.engine = engine;
    this.folder = folder;
    try {
      this.inputs = options.open(model.path(), options.session());
      this.capture = captured();
    } catch (IOException | RuntimeException e) {
      engine.close();
      throw e;
    }
  }

  private Capture captured() {
    Capture opened;
    try {
      opened = Capture.open(model, sites, inputs, folder);
    } catch (RuntimeException e) {
      inputs.close();
      throw e;
    }
    try (Progress progress = verb.progress("capture", total())) {
      opened.fill(total(), options.session(), progress::step);
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  private int total() {
    return options.samples + options.heldOut;
  }

  /** Fits to the captured samples, and errors of maps on those held out. */
  SiteFits fits() {
    return new SiteFits(capture, options.samples, total(), folder);
  }

  /**
   * Fits every design to every site.
   *
   * @param what is shown while it goes on
   * @return of each site, the result of each design
   */
  List<List<SiteResult>> fit(String what, List<MapDesign> designs, int steps) {
    List<SiteFits.Job> jobs = new ArrayList<>();
    for (int s = 0; s < sites.size(); s++) {
      for (MapDesign design : designs) {
        jobs.add(new SiteFits.Job(s, FitSettings.of(design, steps, options.seed)));
      }
    }
    return grouped(fit(what, jobs), designs.size());
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

  private List<List<SiteResult>> grouped(List<SiteResult> results, int each) {
    return IntStream.range(0, sites.size()).mapToObj(s -> results.subList(s * each, (s + 1) * each)).toList();
  }

  /**
   * Moves maps together until the model's output agrees.
   *
   * @param maps by site; sites that have none keep their softmax
   */
  Map<String, SiteMaps> refined(Map<String, SiteMaps> maps, int steps) {
    List<AttentionSite> moved = sites.stream().filter(site -> maps.containsKey(site.name())).toList();
    Refinement.Settings how = Refinement.Settings.of(steps, options.seed);
    // Steps run side by side, and each reads the original: a session of one thread is enough.
    try (Refinement refinement = new Refinement(model, moved, inputs, options.samples, how, new ModelSession.Settings(false, 1));
        Progress progress = verb.progress("refine", steps)) {
      Refinement.Refined refined = refinement.refine(maps, folder, options.workers(), progress::step);
      refined.notes().forEach(verb::warn);
      return refined.maps();
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
    return new ModelError(model, sites, options.session());
  }

  Calibration inputs() {
    return inputs;
  }

  /** The inputs that nothing was fitted to. */
  List<Map<String, Tensor>> heldOut() {
    return IntStream.range(options.samples, total()).mapToObj(inputs::inputs).toList();
  }

  @Override
  public void close() {
    engine.close();
    capture.close();
  }
}
