package dev.hla.cli;

import dev.hla.runtime.Denominators;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Verification;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Compares two models, or the two ways in which one converted model runs. */
@Command(name = "verify", description = {
    "Runs two models on the same inputs and compares every output and every converted attention.",
    "With one converted model, compares its run on the operator library with its run as plain ONNX.",
    "Exit code 3 where an output of the model or of a converted attention differs by more than its limit."})
final class VerifyCommand extends Verb {
  /** Where B approximates A. On the trained model of testdata fitted maps come to 0.03 and random ones to 0.07. */
  private static final double CONVERTED_LIMIT = 0.1;

  /** Of one converted attention: there fitted maps come to 0.08 .. 0.25, random ones to 0.28 and more. */
  static final double CONVERTED_SITE_LIMIT = 0.27;

  @Parameters(index = "0", paramLabel = "A", description = "the original model, or one converted model alone")
  Path a;

  @Parameters(index = "1", arity = "0..1", paramLabel = "B", description = "the converted model")
  Path b;

  @Mixin RunOptions.Inputs inputs;

  @Mixin RunOptions options;

  @Option(names = "--max-error", paramLabel = "E", converter = OptionValues.ErrorLimit.class,
      description = "the largest relative error that an output may have (default: " + CONVERTED_LIMIT + " where B has converted"
          + " attention that A has not; else by type, float 1e-3, float16 2e-2, bfloat16 1e-1)")
  Double maxError;

  @Option(names = "--max-site-error", paramLabel = "E", converter = OptionValues.ErrorLimit.class,
      description = "the same for the output of a converted attention (default: " + CONVERTED_SITE_LIMIT + ", or by type as above)")
  Double maxSiteError;

  /** What --json prints. */
  record Result(
      String a, String b, LibraryReport library, Map<String, Integer> dimensions, List<Output> outputs, List<Site> sites,
      boolean holds) {}

  /** @param limit for the relative error */
  record Output(String name, String type, double relativeError, double cosine, double largestDifference, double limit, boolean holds) {}

  /** Errors are null where the site could not be compared, which the note explains. */
  record Site(
      String name, String form, List<Integer> ranks, List<Integer> powers, String maps, Double relativeError, Double cosine,
      Double largestDifference, double limit, boolean holds, Double smallestDenominator, Double smallestDenominatorRelative,
      Long negativeDenominators, String note) {}

  @Override
  int execute() throws Exception {
    existing(a);
    boolean alone = b == null;
    if (!alone) {
      existing(b);
    } else if (options.noLibrary) {
      throw wrongUsage("one model is run with and without the library; --no-library leaves nothing to compare");
    }
    Verification.Side first = new Verification.Side(a, alone ? new ModelSession.Settings(false, options.threads) : options.settings());
    Verification.Side second = new Verification.Side(alone ? a : b, options.settings());
    RunOptions.Inputs.Given given = inputs.read();
    Verification verification = Verification.of(first, second, given.values(), given.others());
    if (alone && verification.sites().isEmpty() && verification.innerSites() == 0) {
      throw wrongUsage(a + " has no converted attention; name a second model to compare it with");
    }
    if (alone && verification.innerSites() == 0 && verification.sites().stream().noneMatch(s -> s.site().operator())) {
      throw wrongUsage(a + " has its converted attention as plain nodes, which run the same without the library; name a second model to compare it with");
    }
    Result result = judge(verification, alone);
    json(result);
    print(result, alone);
    if (verification.innerSites() > 0) {
      warn("of " + verification.innerSites() + " converted attentions in bodies of If, Loop and Scan or in functions, only what they do to the outputs was compared");
    }
    if (inputs.files.isEmpty() && verification.approximates()) {
      warn("the inputs were made up; how well the maps fit shows on inputs that the model is for (-i FILE.npz)");
    }
    return result.holds() ? Exit.DONE : Exit.CHECK_FAILED;
  }

  private Result judge(Verification verification, boolean alone) {
    List<Output> outputs = verification.outputs().stream().map(output -> {
      Difference d = output.difference();
      double limit = maxError != null ? maxError : verification.approximates() ? CONVERTED_LIMIT : Math.max(limitOf(output.typeA()), limitOf(output.typeB()));
      return new Output(output.name(), output.typeB().toString(), d.relative(), d.cosine(), d.largest(), limit, d.finite() && d.relative() <= limit);
    }).toList();
    double siteLimit = maxSiteError != null ? maxSiteError : verification.approximates() ? CONVERTED_SITE_LIMIT
        : verification.outputs().stream().mapToDouble(o -> Math.max(limitOf(o.typeA()), limitOf(o.typeB()))).max().orElse(0);
    List<Site> sites = verification.sites().stream().map(site -> site(site, siteLimit)).toList();
    return new Result(a.toString(), (alone ? a : b).toString(), LibraryReport.of(verification.library()), verification.dimensions(),
        outputs, sites, outputs.stream().allMatch(Output::holds) && sites.stream().allMatch(Site::holds));
  }

  /** What rounding alone may add up to over a whole model. */
  private static double limitOf(ElementType type) {
    return switch (type) {
      case FLOAT16 -> 2e-2;
      case BFLOAT16 -> 1e-1;
      default -> 1e-3;
    };
  }

  static Site site(Verification.Site verified, double limit) {
    Difference d = verified.difference();
    Denominators n = verified.denominators();
    var site = verified.site();
    return new Site(site.name(), site.form(), site.ranks(), site.powers(), site.maps(),
        d == null ? null : d.relative(), d == null ? null : d.cosine(), d == null ? null : d.largest(),
        limit, d == null || d.finite() && d.relative() <= limit,
        n == null ? null : n.smallest(), n == null ? null : n.relative(), n == null ? null : n.negative(),
        verified.note().isEmpty() ? null : verified.note());
  }

  private void print(Result result, boolean alone) {
    say(alone ? result.a() + ": as plain ONNX, and with the " + LibraryReport.text(result.library())
        : "%s against %s, %s".formatted(result.b(), result.a(), LibraryReport.text(result.library())));
    Table outputs = new Table("output", "type", "relative error", "limit", "cosine", "largest difference");
    result.outputs().forEach(o -> outputs.row(o.name(), o.type(), Table.number(o.relativeError()), Table.number(o.limit()),
        cosine(o.cosine()), Table.number(o.largestDifference())));
    say(outputs.toString());
    Table sites = siteTable(result.sites());
    if (!sites.isEmpty()) {
      say(sites.toString());
    }
    result.sites().stream().filter(site -> site.note() != null).forEach(site -> say("  %s: %s", site.name(), site.note()));
    result.sites().stream().filter(site -> site.negativeDenominators() != null && site.negativeDenominators() > 0)
        .forEach(site -> warn(site.name() + ": " + site.negativeDenominators() + " denominators are negative; its output may explode"));
    say(result.holds() ? "holds" : "does not hold: " + String.join(", ", beyond(result)) + " beyond the limit");
  }

  private static List<String> beyond(Result result) {
    return Stream.concat(result.outputs().stream().filter(o -> !o.holds()).map(Output::name),
        result.sites().stream().filter(s -> !s.holds()).map(Site::name)).toList();
  }

  static Table siteTable(List<Site> sites) {
    Table table = new Table("site", "ranks", "powers", "maps", "relative error", "limit", "cosine", "largest difference", "smallest denominator");
    for (Site s : sites) {
      table.row(s.name(), list(s.ranks()), list(s.powers()), s.maps(), Table.number(s.relativeError()), Table.number(s.limit()), cosine(s.cosine()),
          Table.number(s.largestDifference()),
          s.smallestDenominator() == null ? "" : Table.number(s.smallestDenominatorRelative()) + " of the mean");
    }
    return table;
  }

  static String cosine(Double cosine) {
    return cosine == null ? "" : String.format(java.util.Locale.ROOT, "%.5f", cosine);
  }

  static String list(List<Integer> numbers) {
    return String.join(",", numbers.stream().map(String::valueOf).toList());
  }
}
