package dev.hla.cli;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.distill.FitEngine;
import dev.hla.distill.MapDesign;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Families of feature maps beside each other. */
@Command(name = "maps", description = {
    "Fits families of feature maps to a model's attention and prints the error of each, site by site, on held-out inputs: "
        + "plain linear attention (one factor), products of factors, and squares, with the size D of their state.",
    "Exit code 3 where plain linear attention is better at a site than every product of the same state or a smaller one."})
final class BenchMapsCommand extends Verb {
  @Parameters(paramLabel = "MODEL", description = "the original model")
  Path model;

  @Option(names = "--maps", paramLabel = "SPEC", split = "\\s*;\\s*", splitSynopsisLabel = ";",
      defaultValue = "64:softplus;64,1:softmax;8,8,1:softplus;8,8,1:softmax+64;8^2,1;11^2,1;8^2,2^2,1;256,1:softmax;16,16,1:softmax+64;8^2,3^2,1;8^2,4^2,1",
      description = "families, written as distill --ranks, with ; between them (default: ${DEFAULT-VALUE})")
  List<MapDesign> families;

  @Option(names = "--steps", paramLabel = "N", defaultValue = "400", converter = OptionValues.NoneOrMore.class,
      description = "steps of each fit (default: ${DEFAULT-VALUE})")
  int steps;

  @Option(names = "--work", paramLabel = "FOLDER", description = "where to keep captured attention and unfinished fits, and leave them"
      + " (default: a temporary folder)")
  Path work;

  @Mixin SiteOptions sites;

  @Mixin CalibrationOptions calibration;

  /** What --json prints. */
  record Document(String model, List<String> sites, List<Family> families, List<Contest> contests, boolean holds) {}

  /**
   * One family.
   *
   * @param degree of the similarity: the sum of the factors' powers, 1 for plain linear attention
   * @param state D
   * @param errors of each site; in the first row the mean of the values, in place of attention
   */
  record Family(String maps, int degree, long state, List<Double> errors, double mean) {}

  /**
   * A site at which a plain family meets the best family of degree 2 or more with the same state or a smaller one.
   *
   * @param holds whether the product has the smaller error
   */
  record Contest(String site, String plain, double plainError, String product, double productError, boolean holds) {}

  @Override
  int execute() throws Exception {
    if (families.isEmpty()) {
      throw wrongUsage("--maps names no family; write for example '8^2,1;16,16'");
    }
    OnnxModel source = OnnxModel.load(existing(model));
    List<AttentionSite> chosen = sites.choose(source, families.get(0).spec()).choices().stream().map(Choice::site).toList();
    Path folder = work != null ? work : WorkFolder.temporary();
    try {
      Document document = measured(source, chosen, families, folder);
      json(document);
      print(document);
      return document.holds() ? Exit.DONE : Exit.CHECK_FAILED;
    } finally {
      if (work == null) {
        WorkFolder.remove(folder);
      }
    }
  }

  private Document measured(OnnxModel source, List<AttentionSite> chosen, List<MapDesign> designs, Path folder) throws Exception {
    try (Fitting fitting = new Fitting(this, source, chosen, calibration, FitEngine.threads(calibration.workers()), folder)) {
      SiteFits fits = fitting.fits();
      List<Family> rows = new ArrayList<>();
      rows.add(family("mean of values", 0, 0, IntStream.range(0, chosen.size()).mapToObj(i -> fits.meanOfValues(i).all()).toList()));
      List<List<SiteResult>> results = fitting.fit("fit", designs, steps);
      for (int f = 0; f < designs.size(); f++) {
        int family = f;
        MapDesign design = designs.get(f);
        rows.add(family(design.toString(), design.degree(), design.spec().products(),
            results.stream().map(site -> site.get(family).error().all()).toList()));
      }
      List<String> names = chosen.stream().map(AttentionSite::name).toList();
      List<Contest> contests = contests(names, rows);
      return new Document(model.toString(), names, rows, contests, contests.stream().allMatch(Contest::holds));
    }
  }

  private static Family family(String maps, int degree, long state, List<Double> errors) {
    return new Family(maps, degree, state, errors, errors.stream().mapToDouble(e -> e).average().orElseThrow());
  }

  /** Every plain family at every site, where there is a product to meet it. */
  static List<Contest> contests(List<String> names, List<Family> rows) {
    List<Contest> contests = new ArrayList<>();
    for (Family plain : rows) {
      for (int i = 0; plain.degree() == 1 && i < names.size(); i++) {
        int site = i;
        rows.stream().filter(f -> f.degree() > 1 && f.state() <= plain.state())
            .min((a, b) -> Double.compare(a.errors().get(site), b.errors().get(site)))
            .ifPresent(best -> contests.add(new Contest(names.get(site), plain.maps(), plain.errors().get(site), best.maps(),
                best.errors().get(site), best.errors().get(site) < plain.errors().get(site))));
      }
    }
    return contests;
  }

  private void print(Document d) {
    List<String> heads = new ArrayList<>(List.of("maps", "degree", "D"));
    heads.addAll(d.sites());
    heads.add("mean");
    Table table = new Table(heads.toArray(String[]::new));
    for (Family f : d.families()) {
      List<String> cells = new ArrayList<>(List.of(f.maps(), f.degree() == 0 ? "" : Integer.toString(f.degree()), Long.toString(f.state())));
      f.errors().forEach(e -> cells.add(Table.number(e)));
      cells.add(Table.number(f.mean()));
      table.row(cells.toArray(String[]::new));
    }
    say(table.toString());
    d.contests().stream().filter(c -> !c.holds()).forEach(c -> say("%s: %s is better (%s) than %s (%s)", c.site(), c.plain(),
        Table.number(c.plainError()), c.product(), Table.number(c.productError())));
    if (d.holds() && !d.contests().isEmpty()) {
      say("at every site, products with the same state or a smaller one are better than plain linear attention");
    }
  }
}
