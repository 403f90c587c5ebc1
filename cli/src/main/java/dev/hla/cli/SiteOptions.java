package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.SiteSelection;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Option;

/** Which attention sites the verbs that fit feature maps look at. */
final class SiteOptions {
  @Option(names = "--sites", paramLabel = "GLOB", split = "\\s*,\\s*", splitSynopsisLabel = ",", description = "sites with matching names only; * stands for anything")
  List<String> names = List.of();

  @Option(names = "--kind", paramLabel = "KIND", split = "\\s*,\\s*", splitSynopsisLabel = ",", defaultValue = "self,joint",
      description = "sites of these kinds only: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE})")
  Set<Kind> kinds = Set.of();

  /** @throws HlaException where no site is left */
  Plan choose(OnnxModel model, RankSpec ranks) {
    Plan plan = new SiteSelection(null, ranks, names, kinds, 0).plan(AttentionFinder.find(model));
    if (plan.choices().isEmpty()) {
      throw new HlaException(model.path() + ": no attention site to fit maps for" + plan.kept().stream().findFirst()
          .map(k -> " (" + k.name() + ": " + k.reason() + ")").orElse("") + "; hla inspect lists them, --kind and --sites choose");
    }
    return plan;
  }
}
