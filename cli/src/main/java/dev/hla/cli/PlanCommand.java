package dev.hla.cli;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.SiteResult;
import dev.hla.distill.plan.Budget;
import dev.hla.distill.plan.PlanFile;
import dev.hla.distill.plan.PlanSearch;
import dev.hla.distill.plan.PlanTable;
import dev.hla.runtime.Machine;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Chooses sites and maps under a budget. */
@Command(name = "plan", description = {
    "Fits several choices of maps to each site, measures the error and the time of each, and chooses the best set under a budget.",
    "The budget is --convert, --speedup, --max-error, or several of them. Writes the plan, and its maps beside it, for convert --plan.",
    "Interrupted, it goes on from where it was when started again with the same options."})
final class PlanCommand extends Verb {
  private static final List<MapDesign> CHOICES = Stream.of("11^2,1", "8^2,3^2,1", "8^2,4^2,1", "16,16,1:softmax+64", "32,32,1:softmax+64")
      .map(MapDesign::parse).toList();

  @Parameters(paramLabel = "MODEL", description = "the original model")
  Path model;

  @Option(names = {"-o", "--output"}, required = true, paramLabel = "PLAN", description = "the plan to write (.json); its maps are written beside it")
  Path output;

  @Option(names = "--convert", paramLabel = "N", description = "convert that many sites, or that share of them as in 50%%")
  String convert;

  @Option(names = "--speedup", paramLabel = "X", converter = OptionValues.AboveZero.class, description = "make the model at least X times as fast")
  Double speedup;

  @Option(names = "--max-error", paramLabel = "E", converter = OptionValues.ErrorLimit.class,
      description = "keep the predicted relative error of the model's output at E at most")
  Double maxError;

  @Option(names = "--choice", paramLabel = "SPEC", description = "maps to choose from, may be repeated (default: 11^2,1  8^2,3^2,1  8^2,4^2,1"
      + "  16,16,1:softmax+64  32,32,1:softmax+64)")
  List<MapDesign> choices = CHOICES;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "400", converter = OptionValues.NoneOrMore.class,
      description = "steps of each fit (default: ${DEFAULT-VALUE})")
  int steps;

  @Option(names = "--refine", paramLabel = "N", defaultValue = "200", converter = OptionValues.NoneOrMore.class,
      description = "steps that move the chosen maps together in the end; 0 for none (default: ${DEFAULT-VALUE})")
  int refine;

  @Option(names = "--work", paramLabel = "FOLDER", description = "where to keep captured attention and fits (default: PLAN.work); it stays, so that"
      + " another budget costs no new fits")
  Path work;

  @Option(names = "--seconds", paramLabel = "S", defaultValue = "1", converter = OptionValues.AboveZero.class,
      description = "time for the timing of each site (default: ${DEFAULT-VALUE})")
  double seconds;

  @Option(names = "--force", description = "replace existing files")
  boolean force;

  @Mixin FitOptions engines;

  @Mixin SiteOptions sites;

  @Mixin CalibrationOptions calibration;

  @Override
  int execute() throws Exception {
    if (convert == null && speedup == null && maxError == null) {
      throw wrongUsage("give a budget: --convert N or 50%, --speedup X, --max-error E");
    }
    OutputFile file = OutputFile.at(output, force);
    Path maps = output.resolveSibling(output.getFileName().toString().replaceAll("\\.json$", "") + ".safetensors");
    OutputFile.at(maps, force);
    OnnxModel source = OnnxModel.load(existing(model));
    List<AttentionSite> chosen = sites.choose(source, RankSpec.parse("1")).choices().stream().map(Choice::site).toList();
    Budget budget = new Budget(count(chosen.size()), speedup, maxError);
    Path folder = work != null ? work : output.resolveSibling(output.getFileName() + ".work");
    try (Fitting fitting = new Fitting(this, source, chosen, calibration, engines.open(calibration), folder)) {
      List<List<SiteResult>> fits = fitting.fit("fit", choices, steps);
      fitting.noMoreFits();
      PlanSearch search = new PlanSearch(source, chosen, fits, fitting.heldOut(), calibration.session(), seconds);
      PlanTable table;
      try (Progress progress = progress("measure", chosen.size())) {
        table = search.measure(progress::step);
      }
      PlanFile plan = decided(fitting, fits, search, table, budget, maps);
      file.write(out -> out.write((plan.json() + "\n").getBytes(StandardCharsets.UTF_8)));
      print(plan);
      json(plan);
    }
    return Exit.DONE;
  }

  private Integer count(int all) {
    if (convert == null) {
      return null;
    }
    boolean share = convert.endsWith("%");
    String digits = share ? convert.substring(0, convert.length() - 1) : convert;
    int number = digits.matches("[0-9]{1,6}") ? Integer.parseInt(digits) : -1;
    if (number < 0 || number > (share ? 100 : all)) {
      throw wrongUsage("--convert " + convert + ": a number of sites, 0 to " + all + ", or a share such as 50% is wanted");
    }
    return share ? (int) Math.round(all * number / 100.0) : number;
  }

  private PlanFile decided(Fitting fitting, List<List<SiteResult>> fits, PlanSearch search, PlanTable table,
      Budget budget, Path file) {
    PlanTable.Chosen chosen = chosen(table, budget);
    Map<String, SiteMaps> maps = new LinkedHashMap<>();
    for (int s = 0; s < fits.size(); s++) {
      if (chosen.choices()[s] >= 0) {
        SiteResult taken = fits.get(s).get(chosen.choices()[s]);
        maps.put(taken.site(), taken.maps());
      }
    }
    double error = 0;
    Double refined = null;
    if (!maps.isEmpty()) {
      try (ModelError measure = fitting.modelError()) {
        error = measure.of(maps, fitting.heldOut());
        if (refine > 0) {
          Map<String, SiteMaps> moved = fitting.refined(maps, refine).maps();
          refined = measure.of(moved, fitting.heldOut());
          if (fitting.keeps(error, refined)) {
            maps = moved;
          }
        }
      }
    }
    Machine machine = Machine.look();
    double share = table.attentionShare();
    PlanFile plan = new PlanFile(PlanFile.FORMAT, model.toString(), file.getFileName().toString(), budget.words(),
        machine.processor() + ", " + machine.cores() + " cores, ONNX Runtime " + machine.onnxRuntime(), table.modelMillis(), share,
        1 / Math.max(1e-9, 1 - share), chosen.millis(), search.whole(chosen.choices())[1], chosen.error(), error, refined, table.decided(chosen, budget));
    // Last: what fails before leaves no file behind.
    FeatureMaps.write(file, maps);
    return plan;
  }

  private static PlanTable.Chosen chosen(PlanTable table, Budget budget) {
    try {
      return table.choose(budget);
    } catch (HlaException e) {
      throw new HlaException(e.getMessage() + " (--choice)", e);
    }
  }

  private void print(PlanFile plan) {
    Table table = new Table("site", "choice", "maps", "error", "of the output", "ms", "softmax ms");
    for (PlanFile.Site site : plan.sites()) {
      for (PlanFile.Measured m : site.choices()) {
        table.row(site.name(), m.maps().equals(site.choice()) ? "taken" : "", m.maps(), Table.number(m.error()), Table.number(m.outputError()),
            Table.number(m.millis()), Table.number(site.softmaxMillis()));
      }
    }
    say(table.toString());
    plan.sites().stream().filter(s -> !s.reason().isEmpty()).forEach(s -> say("  %s kept: %s", s.name(), s.reason()));
    say(String.format(Locale.ROOT, "attention takes %.0f %% of the model's %.2f ms: without it the model would be %.2f times as fast, no plan can do more (%s)",
        100 * plan.attentionShare(), plan.modelMillis(), plan.mostSpeedup(), plan.machine()));
    say(String.format(Locale.ROOT, "the plan (%s): %.2f times as fast predicted, %.2f measured; error of the output %.4f predicted, %.4f measured%s",
        plan.budget(), plan.modelMillis() / plan.predictedMillis(), plan.modelMillis() / plan.convertedMillis(), plan.predictedError(),
        plan.measuredError(), plan.refinedError() == null ? "" : String.format(Locale.ROOT, ", %.4f after refinement", plan.refinedError())));
    say("%s written, with %s beside it", output, plan.maps());
  }
}
