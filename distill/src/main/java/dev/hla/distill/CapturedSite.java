package dev.hla.distill;

import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.wiring.Wiring;

/**
 * What a capture says of one site.
 *
 * @param name the site's name, as inspect prints it
 * @param heads H
 * @param headDim channels of a head
 * @param scale the factor on query times key before the softmax
 */
record CapturedSite(String name, int heads, int headDim, double scale) {
  static CapturedSite of(AttentionSite site) {
    double scale = Wiring.of(site).appliedScale();
    return new CapturedSite(site.name(), (int) site.heads(), (int) site.headDim(),
        Double.isFinite(scale) && scale > 0 ? scale : 1 / Math.sqrt(site.headDim()));
  }
}
