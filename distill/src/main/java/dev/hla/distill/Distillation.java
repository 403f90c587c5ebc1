package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Fits feature maps to a model's own attention, from its capture to maps that were moved together. The folder keeps what was
 * captured and how far fits have come: opened again with the same model, inputs and settings it goes on from there.
 */
public final class Distillation implements AutoCloseable {
  /**
   * How much to look at, and with what.
   *
   * @param samples sets of inputs to fit to, the first ones
   * @param heldOut further sets, to measure on
   * @param seed of everything random
   * @param threads to use; 0 for one per core
   */
  public record Settings(int samples, int heldOut, long seed, int threads) {
    /** Checks the numbers. */
    public Settings {
      if (samples < 1 || heldOut < 1) {
        throw new HlaException(samples + " samples to fit to and " + heldOut + " held out: at least one of each is needed");
      }
      if ((long) samples + heldOut > Integer.MAX_VALUE) {
        throw new HlaException(samples + " samples to fit to and " + heldOut + " held out: " + Integer.MAX_VALUE + " in all are the most");
      }
    }

    /** How models run here: as everybody can run them, without the operator library. */
    public ModelSession.Settings session() {
      return new ModelSession.Settings(false, threads);
    }

    /** Fits to do side by side. */
    public int workers() {
      return threads > 0 ? threads : Runtime.getRuntime().availableProcessors();
    }

    private int total() {
      return samples + heldOut;
    }
  }

  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final Calibration inputs;
  private final Settings settings;
  private final Path folder;
  private final Capture capture;

  private Distillation(OnnxModel model, List<AttentionSite> sites, Calibration inputs, Settings settings, Path folder, Capture capture) {
    this.model = model;
    this.sites = sites;
    this.inputs = inputs;
    this.settings = settings;
    this.folder = folder;
    this.capture = capture;
  }

  /**
   * Runs the model on its inputs and keeps what the sites make of them.
   *
   * @param sites to fit, all convertible
   * @param inputs are closed with this, or where this fails
   * @param folder is made where it is missing
   * @param onSample called after every set of inputs that was not captured before
   * @throws HlaException where the folder holds a capture of something else, or there are too few inputs
   */
  public static Distillation open(OnnxModel model, List<AttentionSite> sites, Calibration inputs, Settings settings, Path folder, Runnable onSample) {
    Capture capture;
    try {
      capture = Capture.open(model, sites, inputs, folder);
    } catch (RuntimeException e) {
      inputs.close();
      throw e;
    }
    try {
      capture.fill(settings.total(), settings.session(), onSample);
      return new Distillation(model, List.copyOf(sites), inputs, settings, folder, capture);
    } catch (RuntimeException e) {
      capture.close();
      throw e;
    }
  }

  /** Single fits to the captured samples, and errors of maps on those held out. */
  public SiteFits fits() {
    return new SiteFits(capture, settings.samples(), settings.total(), folder);
  }

  /**
   * Fits every design to every site.
   *
   * @param steps of each fit
   * @param engine does the fits; it stays open
   * @param onFit called as fits end, from one thread at a time
   * @return of each site, the result of each design
   * @throws HlaException where fits failed, when the others are done; it names their sites and the first reason
   */
  public List<List<SiteResult>> fit(List<MapDesign> designs, int steps, FitEngine engine, Runnable onFit) {
    List<SiteFits.Job> jobs = new ArrayList<>();
    for (int s = 0; s < sites.size(); s++) {
      for (MapDesign design : designs) {
        jobs.add(new SiteFits.Job(s, FitSettings.of(design, steps, settings.seed())));
      }
    }
    List<SiteResult> results = fits().fit(jobs, engine, onFit);
    return IntStream.range(0, sites.size()).mapToObj(s -> results.subList(s * designs.size(), (s + 1) * designs.size())).toList();
  }

  /** Fits one design to every site, in threads of this process, and returns the result of each site. */
  public List<SiteResult> fit(MapDesign design, int steps) {
    try (FitEngine engine = FitEngine.threads(settings.workers())) {
      return fit(List.of(design), steps, engine, () -> {}).stream().map(site -> site.get(0)).toList();
    }
  }

  /** The maps of results, by site. */
  public static Map<String, SiteMaps> maps(List<SiteResult> results) {
    Map<String, SiteMaps> maps = new LinkedHashMap<>();
    results.forEach(r -> maps.put(r.site(), r.maps()));
    return maps;
  }

  /**
   * Moves maps together so that the model's output comes nearer to the original's. Whether it did is for {@link #error} to
   * say, before and after. Where inputs have prompts made of words, the output's drifts from what they say are taken away in
   * the end, see {@link Refinement#correctWords}.
   *
   * @param maps by site; sites that have none keep their softmax
   * @param steps of the optimiser
   * @param onRound called {@link #rounds} times
   * @throws HlaException where gradients cannot pass from the model's output to the sites
   */
  public Refinement.Refined refine(Map<String, SiteMaps> maps, int steps, Runnable onRound) {
    List<AttentionSite> moved = sites.stream().filter(site -> maps.containsKey(site.name())).toList();
    Refinement.Settings how = Refinement.Settings.of(steps, settings.seed());
    // Steps run side by side, and each reads the original: a session of one thread is enough.
    try (Refinement refinement = new Refinement(model, moved, inputs, settings.samples(), how, new ModelSession.Settings(false, 1))) {
      Refinement.Refined refined = refinement.refine(maps, folder, settings.workers(), onRound);
      Refinement.Refined corrected = refinement.correctWords(refined.maps(), settings.workers(), onRound);
      return new Refinement.Refined(corrected.maps(), refined.notes(), corrected.drifts());
    }
  }

  /** How often {@link #refine} calls back: after every step, and after every clip that drifts are measured on. */
  public int rounds(int steps) {
    return steps + Refinement.clipsForWords(inputs, settings.samples());
  }

  /** To measure the output of the model with maps in place; the caller closes it. */
  public ModelError modelError() {
    return new ModelError(model, sites, settings.session());
  }

  /** The relative error of the model's output on {@link #heldOut} inputs, with maps in place of the softmax of their sites. */
  public double error(Map<String, SiteMaps> maps) {
    try (ModelError error = modelError()) {
      return error.of(maps, heldOut());
    }
  }

  /** All inputs. */
  public Calibration inputs() {
    return inputs;
  }

  /** The inputs that nothing was fitted to. */
  public List<Map<String, Tensor>> heldOut() {
    return IntStream.range(settings.samples(), settings.total()).mapToObj(inputs::inputs).toList();
  }

  @Override
  public void close() {
    capture.close();
  }
}
