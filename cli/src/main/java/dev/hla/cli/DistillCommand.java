package dev.hla.cli;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Kept;
import dev.hla.converter.rewrite.Plan;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.Refinement;
import dev.hla.distill.SiteResult;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Fits feature maps to a model's own attention. */
@Command(name = "distill", description = {
    "Fits feature maps to what a model's softmax attention does, for convert --maps.",
    "Interrupted, it goes on from where it was when started again with the same options."})
final class DistillCommand extends Verb {
  /** Plain linear attention of many features takes long for a step, and little comes after these. */
  private static final int BASELINE_STEPS = 400;

  @Parameters(paramLabel = "MODEL", description = "the original model")
  Path model;

  @Option(names = {"-o", "--output"}, required = true, paramLabel = "MAPS", description = "the file of feature maps to write (.safetensors)")
  Path output;

  @Option(names = "--ranks", paramLabel = "SPEC", defaultValue = "8^2,3^2,1",
      description = "the maps: squares and a gate as in 8^2,3^2,1 (default), or softmax features and a hidden layer for peaky attention as in"
          + " 16,16,1:softmax+64")
  MapDesign ranks;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "800", converter = OptionValues.NoneOrMore.class,
      description = "steps of each site's fit (default: ${DEFAULT-VALUE})")
  int steps;

  @Option(names = "--refine", paramLabel = "N", defaultValue = "1000", converter = OptionValues.NoneOrMore.class,
      description = "steps that move the maps of all sites together, until the model's output agrees; 0 for none (default: ${DEFAULT-VALUE})")
  int refine;

  @Option(names = "--no-baseline", description = "do not fit plain linear attention (one factor) of the same size for comparison")
  boolean noBaseline;

  @Option(names = "--work", paramLabel = "FOLDER", description = "where to keep captured attention and unfinished fits, and leave them"
      + " (default: MAPS.work, removed in the end)")
  Path work;

  @Option(names = "--force", description = "replace an existing file")
  boolean force;

  @Mixin FitOptions engines;

  @Mixin SiteOptions sites;

  @Mixin CalibrationOptions calibration;

  /** What --json prints. */
  record Document(String model, String output, List<Fitted> sites, List<Kept> kept, double meanError, OutputErrors before,
      OutputErrors after, List<Refinement.Drift> drifts, double seconds) {}

  /**
   * One site. Errors are relative errors of its attention output on held-out inputs.
   *
   * @param state D, the products of features
   * @param meanOfValues error of the mean of the values in place of attention
   * @param plainLinear error of plain linear attention (one softplus factor) with as many features as D; null where it was not fitted
   */
  record Fitted(String name, String maps, long state, double error, double[] heads, double meanOfValues, Double plainLinear, double start,
      List<String> notes, double seconds) {}

  @Override
  int execute() throws Exception {
    OutputFile.at(output, force);
    OnnxModel source = OnnxModel.load(existing(model));
    Plan plan = sites.choose(source, ranks.spec());
    List<AttentionSite> chosen = plan.choices().stream().map(Choice::site).toList();
    Path folder = work != null ? work : output.resolveSibling(output.getFileName() + ".work");
    if (work == null) {
      WorkFolder.requireOwn(folder);
    }
    Document document = distill(source, chosen, plan.kept(), ranks, folder);
    if (work == null) {
      WorkFolder.remove(folder);
    }
    print(document);
    json(document);
    return Exit.DONE;
  }

  private Document distill(OnnxModel source, List<AttentionSite> chosen, List<Kept> kept, MapDesign design, Path folder) throws Exception {
    long begun = System.nanoTime();
    try (Fitting fitting = new Fitting(this, source, chosen, calibration, engines.open(calibration), folder)) {
      List<SiteResult> results = fit(fitting, design, steps, "fit");
      MapDesign plain = MapDesign.plainLinear(design.spec().products());
      List<SiteResult> linear = noBaseline ? List.of() : fit(fitting, plain, Math.min(steps, BASELINE_STEPS), "fit plain linear attention");
      fitting.noMoreFits();
      Map<String, SiteMaps> fittedMaps = new LinkedHashMap<>();
      results.forEach(r -> fittedMaps.put(r.site(), r.maps()));
      Map<String, SiteMaps> maps = fittedMaps;
      OutputErrors before;
      OutputErrors after = null;
      List<Refinement.Drift> drifts = List.of();
      try (ModelError error = fitting.modelError()) {
        before = OutputErrors.measure(error, maps, fitting, calibration, OutputErrors.TIMES);
        if (refine > 0) {
          Refinement.Refined refined = fitting.refined(maps, refine);
          after = OutputErrors.measure(error, refined.maps(), fitting, calibration, OutputErrors.TIMES);
          if (fitting.keeps(before.mean(), after.mean())) {
            maps = refined.maps();
            drifts = refined.drifts();
          }
        }
      }
      FeatureMaps.write(output, maps);
      List<Fitted> fitted = new ArrayList<>();
      for (int i = 0; i < results.size(); i++) {
        SiteResult r = results.get(i);
        fitted.add(new Fitted(r.site(), r.design().toString(), r.design().spec().products(), r.error().all(), r.error().heads(), r.mean().all(),
            noBaseline ? null : linear.get(i).error().all(), r.start().all(), r.notes(), r.seconds()));
      }
      double mean = fitted.stream().mapToDouble(Fitted::error).average().orElseThrow();
      return new Document(model.toString(), output.toString(), fitted, kept, mean, before, after, drifts, (System.nanoTime() - begun) / 1e9);
    }
  }

  private static List<SiteResult> fit(Fitting fitting, MapDesign design, int rounds, String what) {
    return fitting.fit(what, List.of(design), rounds).stream().map(site -> site.get(0)).toList();
  }

  private void print(Document d) {
    Table table = new Table("site", "maps", "state", "error", "plain linear", "mean of values", "seconds");
    d.sites().forEach(f -> table.row(f.name(), f.maps(), Long.toString(f.state()), Table.number(f.error()), Table.number(f.plainLinear()),
        Table.number(f.meanOfValues()), String.format(java.util.Locale.ROOT, "%.0f", f.seconds())));
    say(table.toString());
    d.sites().forEach(f -> f.notes().forEach(note -> warn(f.name() + ": " + note)));
    say("error of the model's output: %s%s", d.before().text(), d.after() == null ? "" : " before, " + d.after().text() + " after refinement");
    d.drifts().stream().findFirst().ifPresent(drift -> say("drift of the output from %s to %s: %.3f of the way before its correction, %.3f after; %d pairs of words",
        drift.said(), drift.other(), drift.before(), drift.after(), d.drifts().size()));
    say("mean attention error %.4f over %d sites, on held-out inputs; %s written in %.0f s", d.meanError(), d.sites().size(), d.output(), d.seconds());
  }
}
