package dev.hla.converter.rewrite;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.attention.SiteReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Which sites to convert, and with what.
 *
 * @param maps fitted feature maps, or null
 * @param ranks ranks of unfitted maps, for sites without fitted ones; null to keep those sites
 * @param globs names to convert, with * for any characters; empty for all
 * @param kinds kinds to convert; empty for all
 * @param minTokens sites with fewer keys are kept; symbolic sizes pass
 */
public record SiteSelection(FeatureMaps maps, RankSpec ranks, List<String> globs, Set<Kind> kinds, long minTokens) {
  /** Unfitted maps are the same for the same site. */
  private static final long SEED = 20260212;

  /**
   * Decides for each site of a model.
   *
   * @throws HlaException if a glob matches nothing, or the maps are for another model
   */
  public Plan plan(SiteReport report) {
    for (String glob : globs) {
      if (report.sites().stream().noneMatch(s -> pattern(glob).matcher(s.name()).matches())) {
        throw new HlaException(report.model() + ": no attention site matches '" + glob + "'; it has " + names(report));
      }
    }
    if (maps != null && report.sites().stream().noneMatch(s -> maps.forSite(s.name()).isPresent())) {
      throw new HlaException(maps.file() + ": holds maps for other sites than " + report.model() + " has (for " + first(maps.names()) + "; the model has "
          + names(report) + "); give the maps that were fitted to this model");
    }
    List<Choice> choices = new ArrayList<>();
    List<Kept> kept = new ArrayList<>();
    for (AttentionSite site : report.sites()) {
      String reason = reasonToKeep(site);
      Optional<SiteMaps> fitted = maps == null ? Optional.empty() : maps.forSite(site.name());
      if (reason.isEmpty() && fitted.isEmpty() && ranks == null) {
        reason = "there are no feature maps for it";
      }
      if (!reason.isEmpty()) {
        kept.add(new Kept(site.name(), reason));
      } else {
        fitted.ifPresent(m -> requireFit(site, m));
        choices.add(new Choice(site, fitted.orElseGet(() -> unfitted(site)), fitted.isPresent()));
      }
    }
    return new Plan(List.copyOf(choices), List.copyOf(kept));
  }

  private String reasonToKeep(AttentionSite site) {
    if (!site.convertible()) {
      return site.reason();
    }
    if (!globs.isEmpty() && globs.stream().noneMatch(g -> pattern(g).matcher(site.name()).matches())) {
      return "not among the sites asked for";
    }
    if (!kinds.isEmpty() && !kinds.contains(site.kind())) {
      return "its kind is " + site.kind() + ", not among the kinds asked for";
    }
    boolean few = site.keyTokens() != null && site.keyTokens().isStatic() && site.keyTokens().value() < minTokens;
    return few ? "it has " + site.keyTokens() + " keys, fewer than the " + minTokens + " asked for" : "";
  }

  private void requireFit(AttentionSite site, SiteMaps m) {
    if (m.query().heads() != site.heads() || m.query().headDim() != site.headDim()) {
      throw new HlaException(maps.file() + ": the maps of " + site.name() + " are for " + m.query().heads() + " heads of " + m.query().headDim()
          + ", the site has " + site.heads() + " of " + site.headDim() + "; give the maps that were fitted to this model");
    }
  }

  private SiteMaps unfitted(AttentionSite site) {
    return SiteMaps.unfitted((int) site.heads(), (int) site.headDim(), ranks.ranks(), ranks.powers(),
        SiteMaps.positiveActivations(ranks.ranks(), ranks.powers()), SEED + site.name().hashCode());
  }

  private static String names(SiteReport report) {
    return report.sites().isEmpty() ? "none" : first(report.sites().stream().map(AttentionSite::name).toList());
  }

  private static String first(java.util.Collection<String> names) {
    return names.stream().limit(3).collect(Collectors.joining(", ")) + (names.size() > 3 ? ", ... (" + names.size() + ")" : "");
  }

  private static Pattern pattern(String glob) {
    StringBuilder regex = new StringBuilder();
    for (char c : glob.toCharArray()) {
      regex.append(c == '*' ? ".*" : c == '?' ? "." : Pattern.quote(String.valueOf(c)));
    }
    return Pattern.compile(regex.toString());
  }
}
