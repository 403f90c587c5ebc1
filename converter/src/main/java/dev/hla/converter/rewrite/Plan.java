package dev.hla.converter.rewrite;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.RankSpec;
import dev.hla.converter.attention.SiteReport;
import java.util.List;
import java.util.Set;

/**
 * What to do with each site of a model.
 *
 * @param choices the sites to convert, with their feature maps
 * @param kept the others, with the reason
 */
public record Plan(List<Choice> choices, List<Kept> kept) {
  /**
   * Converts every site that can be and that {@code maps} has maps for; {@link SiteSelection} chooses more finely.
   *
   * @throws dev.hla.converter.HlaException if the maps are for another model: for none of its sites, or for other sizes
   */
  public static Plan of(SiteReport report, FeatureMaps maps) {
    return new SiteSelection(maps, null, List.of(), Set.of(), 0).plan(report);
  }

  /** Converts every site that can be, with random maps of these ranks, which show speed and shape but not quality. */
  public static Plan unfitted(SiteReport report, RankSpec ranks) {
    return new SiteSelection(null, ranks, List.of(), Set.of(), 0).plan(report);
  }
}
