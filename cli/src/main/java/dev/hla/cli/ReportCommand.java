package dev.hla.cli;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Kept;
import dev.hla.converter.rewrite.Plan;
import dev.hla.distill.FitEngine;
import dev.hla.distill.FitSettings;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.ModelSession;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What maps are worth, in one document and one page. */
@Command(name = "report", description = {
    "Measures what feature maps are worth, attention by attention, in the model's output and in sampled clips.",
    "That is the error of each attention, against plain linear attention of the same size and the mean of the values; the error of the "
        + "model's output over time; and clips of both models from the same noise, side by side.",
    "Writes report.json and report.html, which needs nothing beside it."})
final class ReportCommand extends Verb {
  private static final List<Float> TIMES = List.of(0.05f, 0.1f, 0.25f, 0.4f, 0.55f, 0.7f, 0.85f, 0.95f);

  @Parameters(paramLabel = "MODEL", description = "the original model")
  Path model;

  @Option(names = "--maps", required = true, paramLabel = "FILE", description = "fitted feature maps (.safetensors)")
  Path maps;

  @Option(names = {"-o", "--output"}, required = true, paramLabel = "FOLDER", description = "where to write report.json and report.html")
  Path output;

  @Option(names = "--clips", paramLabel = "N", defaultValue = "12", converter = OptionValues.OneOrMore.class,
      description = "prompts to sample with both models (default: ${DEFAULT-VALUE})")
  int clips;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "400", converter = OptionValues.OneOrMore.class,
      description = "steps of the fit of plain linear attention (default: ${DEFAULT-VALUE})")
  int steps;

  @Option(names = "--force", description = "replace an existing report")
  boolean force;

  @Mixin CalibrationOptions calibration;

  /**
   * What --json prints and report.json holds.
   *
   * @param output errors of the model's output
   * @param clips null where inputs come from a folder: nothing is sampled then
   */
  record Document(String model, String maps, List<Site> sites, List<Kept> kept, OutputErrors output, SampledClips.Summary clips, double seconds) {}

  /**
   * Relative errors of one attention's output, given the original's queries, keys and values.
   *
   * @param state D
   * @param plainLinear one factor of D softplus features
   */
  record Site(String name, String maps, long state, double error, double[] heads, double plainLinear, double meanOfValues) {}

  /** The document and what only the page shows. */
  record Measured(Document document, List<Demo.Clip> clips) {}

  @Override
  int execute() throws Exception {
    existing(maps);
    OnnxModel source = OnnxModel.load(existing(model));
    FeatureMaps file = FeatureMaps.load(maps);
    Plan plan = Plan.of(AttentionFinder.find(source), file);
    if (plan.choices().isEmpty()) {
      throw new HlaException(maps + ": has maps for none of the model's attention sites; hla inspect lists them");
    }
    OutputFolder.at(output);
    OutputFile json = OutputFile.at(output.resolve("report.json"), force);
    OutputFile page = OutputFile.at(output.resolve("report.html"), force);
    Path work = WorkFolder.temporary();
    try {
      Measured measured = measure(source, plan, work);
      String html = ReportPage.of(measured);
      OutputFile.writeAll(Map.of(json, out -> out.write((Json.write(measured.document()) + "\n").getBytes(StandardCharsets.UTF_8)),
          page, out -> out.write(html.getBytes(StandardCharsets.UTF_8))));
      json(measured.document());
      print(measured.document());
      return Exit.DONE;
    } finally {
      WorkFolder.remove(work);
    }
  }

  private Measured measure(OnnxModel source, Plan plan, Path work) throws IOException {
    long begun = System.nanoTime();
    List<AttentionSite> chosen = plan.choices().stream().map(Choice::site).toList();
    Map<String, SiteMaps> fitted = new LinkedHashMap<>();
    plan.choices().forEach(choice -> fitted.put(choice.site().name(), choice.maps()));
    try (Fitting fitting = new Fitting(this, source, chosen, calibration, FitEngine.threads(calibration.workers()), work); ModelError error = fitting.modelError()) {
      List<Site> sites = sites(fitting, chosen, fitted);
      OutputErrors errors = OutputErrors.measure(error, fitted, fitting, calibration, TIMES);
      SampledClips sampled = null;
      if (calibration.inputs == null) {
        try (ModelSession original = ModelSession.open(model, calibration.session()); ModelSession converted = error.converted(fitted);
            Progress progress = progress("sample prompt", clips)) {
          sampled = SampledClips.of(original, converted, calibration.prompts(model), calibration, clips, progress::step);
        }
      }
      Document document = new Document(model.toString(), maps.toString(), sites, plan.kept(), errors, sampled == null ? null : sampled.summary(),
          (System.nanoTime() - begun) / 1e9);
      return new Measured(document, sampled == null ? List.of() : sampled.clips());
    }
  }

  private List<Site> sites(Fitting fitting, List<AttentionSite> chosen, Map<String, SiteMaps> fitted) {
    List<SiteFits.Job> jobs = IntStream.range(0, chosen.size()).mapToObj(i -> new SiteFits.Job(i,
        FitSettings.of(MapDesign.plainLinear(fitted.get(chosen.get(i).name()).spec().products()), steps, calibration.seed))).toList();
    List<SiteResult> plain = fitting.fit("fit plain linear attention", jobs);
    SiteFits fits = fitting.fits();
    List<Site> sites = new ArrayList<>();
    for (int i = 0; i < chosen.size(); i++) {
      SiteMaps m = fitted.get(chosen.get(i).name());
      var error = fits.error(i, m);
      sites.add(new Site(chosen.get(i).name(), m.spec().toString(), m.spec().products(), error.all(), error.heads(), plain.get(i).error().all(),
          plain.get(i).mean().all()));
    }
    return sites;
  }

  private void print(Document d) {
    Table table = new Table("site", "maps", "state", "error", "plain linear", "mean of values");
    d.sites().forEach(s -> table.row(s.name(), s.maps(), Long.toString(s.state()), Table.number(s.error()), Table.number(s.plainLinear()),
        Table.number(s.meanOfValues())));
    say(table.toString());
    say("error of the model's output: %s", d.output().text());
    if (d.clips() != null) {
      say("%d clips: %.1f dB against the original's from the same noise, %.1f to %.1f", d.clips().clips().size(), d.clips().meanPsnr(),
          d.clips().lowestPsnr(), d.clips().highestPsnr());
      if (d.clips().followed() != null) {
        d.clips().followed().forEach((word, f) -> say("%s as prompted: original %d, converted %d of %d", word, f.original(), f.converted(),
            d.clips().clips().size()));
      }
    }
    say("wrote %s in %.0f s", output.resolve("report.html"), d.seconds());
  }
}
