package dev.hla.cli;

import dev.hla.converter.ExternalData;
import dev.hla.converter.FeatureMaps;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.attention.Payoff;
import dev.hla.converter.attention.SiteReport;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Kept;
import dev.hla.converter.rewrite.Lowering;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.converter.rewrite.SiteSelection;
import dev.hla.distill.plan.PlanFile;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(name = "convert", description = "Rewrites chosen attention sites into Hadamard linear attention.")
final class ConvertCommand extends Verb {
  private static final String KEPT_BY_PLAN = "the plan keeps it";
  private static final String NOT_PLANNED = "the plan did not look at it (--kind and --sites of hla plan)";

  @Parameters(paramLabel = "MODEL", description = "the ONNX file to convert")
  Path model;

  @Option(names = {"-o", "--output"}, paramLabel = "OUT", description = "the file to write")
  Path output;

  @Option(names = "--maps", paramLabel = "FILE", description = "fitted feature maps (safetensors); sites without maps are kept")
  Path maps;

  @Option(names = "--plan", paramLabel = "FILE", description = "a plan of hla plan: converts its sites with its maps")
  Path plan;

  @Option(names = "--unfitted", description = "give sites without fitted maps random ones: such a file shows speed and shape, not quality")
  boolean unfitted;

  @Option(names = "--ranks", paramLabel = "SPEC", defaultValue = "16,16",
      description = "factors of unfitted maps: 16,16, or 16^2 for a power, or 16^2,1 with a gate (default ${DEFAULT-VALUE})")
  RankSpec ranks;

  @Option(names = "--sites", paramLabel = "GLOB", split = "\\s*,\\s*", splitSynopsisLabel = ",",
      description = "convert sites with matching names only; * stands for anything")
  List<String> sites = List.of();

  @Option(names = "--kind", paramLabel = "KIND", split = "\\s*,\\s*", splitSynopsisLabel = ",", description = "convert these kinds only: ${COMPLETION-CANDIDATES}")
  Set<Kind> kinds = Set.of();

  @Option(names = "--min-tokens", paramLabel = "N", defaultValue = "0", converter = OptionValues.Tokens.class,
      description = "keep sites with fewer keys; does not count for a site whose number of keys the model leaves open")
  long minTokens;

  @Option(names = "--external-data", paramLabel = "MODE", defaultValue = "reference",
      description = "weights in files of their own: refer to them, or put them beside the new file: ${COMPLETION-CANDIDATES}")
  ExternalData.Mode externalData;

  @Option(names = "--operator", paramLabel = "OPERATOR", defaultValue = "fused",
      description = "fused: maps and attention in one node where a site allows it; core: maps as ordinary nodes; portable: as --portable (default ${DEFAULT-VALUE})")
  Lowering operator;

  @Option(names = "--portable", description = "ordinary ONNX nodes alone, no function and no custom domain, for runtimes that know neither (opset 17 or newer)")
  boolean portable;

  @Option(names = "--dry-run", description = "say what would change, write nothing")
  boolean dryRun;

  @Option(names = "--force", description = "replace an existing file")
  boolean force;

  /** What changed, as docs/cli describes it; FLOP over the converted sites whose sizes are static. */
  record Document(String input, String output, List<Converted> converted, List<Kept> kept, int nodesBefore, int nodesAfter, double softmaxFlops,
      double hadamardFlops) {}

  record Converted(String name, int[] ranks, int[] powers, String maps, long state) {}

  @Override
  int execute() {
    if (output == null && !dryRun) {
      throw wrongUsage("name the file to write with -o OUT, or --dry-run to write none");
    }
    if (plan != null && (maps != null || unfitted || !sites.isEmpty() || !kinds.isEmpty() || minTokens > 0)) {
      throw wrongUsage("--plan says which sites to convert with which maps; leave out --maps, --unfitted, --sites, --kind and --min-tokens");
    }
    if (plan == null && maps == null && !unfitted) {
      throw wrongUsage("give fitted feature maps with --maps FILE, or say --unfitted for random ones, which show speed but not quality");
    }
    if (!unfitted && given("--ranks")) {
      throw wrongUsage("--ranks says what unfitted maps are like; add --unfitted, or leave it out: fitted maps have their own");
    }
    if (portable && given("--operator")) {
      throw wrongUsage("--portable writes no operator of ours; leave out --operator");
    }
    OnnxModel source = OnnxModel.load(existing(model));
    if (!dryRun) {
      OutputFile.at(output, force);
    }
    SiteReport report = AttentionFinder.find(source);
    if (report.sites().isEmpty()) {
      throw new HlaException(model + ": has no attention site" + (report.notAttention().isEmpty() ? "" : " (hla inspect says why its "
          + report.notAttention().size() + " softmax are none)") + "; nothing was written");
    }
    Plan decided = plan != null ? replayed(report) : selected(report);
    Rewriter.Rewritten rewritten = Rewriter.rewrite(source, decided, portable ? Lowering.PORTABLE : operator);
    if (!dryRun) {
      rewritten.write(output, externalData, force);
    }
    print(document(source, rewritten, decided), decided);
    return Exit.DONE;
  }

  private boolean given(String option) {
    return spec.commandLine().getParseResult().hasMatchedOption(option);
  }

  private Plan selected(SiteReport report) {
    FeatureMaps fitted = maps == null ? null : FeatureMaps.load(existing(maps));
    return new SiteSelection(fitted, unfitted ? ranks : null, sites, kinds, minTokens).plan(report);
  }

  /** The sites that the plan keeps are kept for its reasons. */
  private Plan replayed(SiteReport report) {
    PlanFile file = PlanFile.read(existing(plan));
    FeatureMaps fitted = FeatureMaps.load(existing(plan.toAbsolutePath().resolveSibling(file.maps())));
    Map<String, String> reasons = new HashMap<>();
    Set<String> converted = new HashSet<>();
    for (PlanFile.Site site : file.sites()) {
      boolean converts = !site.choice().equals(PlanFile.Site.SOFTMAX);
      Optional<SiteMaps> its = fitted.forSite(site.name());
      if (report.sites().stream().noneMatch(s -> s.name().equals(site.name())) || converts && its.isEmpty()) {
        throw new HlaException(plan + ": plans for the site " + site.name() + ", which " + (converts && its.isEmpty()
            ? fitted.file() + " has no maps for" : model + " does not have") + "; plan anew for this model");
      }
      if (converts && !its.get().spec().toString().equals(site.choice().replaceFirst(":.*", ""))) {
        throw new HlaException(plan + ": plans " + site.choice() + " for the site " + site.name() + ", but " + fitted.file() + " has "
            + its.get().spec() + " for it; write " + PlanFile.Site.SOFTMAX + " to keep the site, or plan anew");
      }
      if (reasons.put(site.name(), site.reason() == null || site.reason().isEmpty() ? KEPT_BY_PLAN : site.reason()) != null) {
        throw new HlaException(plan + ": plans for the site " + site.name() + " twice; leave one");
      }
      if (converts) {
        converted.add(site.name());
      }
    }
    List<Choice> choices = converted.isEmpty() ? List.of()
        : Plan.of(report, fitted).choices().stream().filter(c -> converted.contains(c.site().name())).toList();
    List<Kept> kept = report.sites().stream().filter(s -> choices.stream().noneMatch(c -> c.site() == s))
        .map(s -> new Kept(s.name(), !s.convertible() ? s.reason() : reasons.getOrDefault(s.name(), NOT_PLANNED))).toList();
    return new Plan(choices, kept);
  }

  private Document document(OnnxModel source, Rewriter.Rewritten rewritten, Plan plan) {
    double softmax = 0;
    double hadamard = 0;
    for (Choice c : plan.choices()) {
      Payoff payoff = Payoff.of(c.site(), c.maps().spec().width(), c.maps().spec().products());
      softmax += Double.isNaN(payoff.softmax()) ? 0 : payoff.softmax();
      hadamard += Double.isNaN(payoff.hadamard()) ? 0 : payoff.hadamard();
    }
    List<Converted> converted = plan.choices().stream().map(c -> new Converted(c.site().name(), c.maps().ranks(), c.maps().powers(),
        c.fitted() ? "fitted" : "unfitted", c.maps().spec().products())).toList();
    return new Document(model.toString(), dryRun ? null : output.toString(), converted, plan.kept(), source.proto().getGraph().getNodeCount(),
        rewritten.model().proto().getGraph().getNodeCount(), softmax, hadamard);
  }

  private void print(Document d, Plan plan) {
    for (Converted c : d.converted()) {
      say("  %-28s converted: ranks %s, state %d, %s maps", c.name(), new RankSpec(c.ranks(), c.powers()), c.state(), c.maps());
    }
    for (Kept k : d.kept()) {
      say("  %-28s kept: %s", k.name(), k.reason());
    }
    if (minTokens > 0) {
      plan.choices().stream().map(Choice::site).filter(s -> s.keyTokens() == null || !s.keyTokens().isStatic()).forEach(s ->
          warn(s.name() + ": converted although --min-tokens asks for " + minTokens + ": the model leaves its number of keys open (" + SiteText.size(s.keyTokens())
              + "); --sites chooses by name"));
    }
    say("%s: %d of %d sites converted, %d nodes before and %d after", dryRun ? "dry run" : output, d.converted().size(),
        d.converted().size() + d.kept().size(), d.nodesBefore(), d.nodesAfter());
    if (!d.converted().isEmpty() && d.converted().stream().anyMatch(c -> c.maps().equals("unfitted"))) {
      warn("maps are unfitted: the output shows speed and shape, not what the model was trained for");
    }
    json(d);
  }
}
