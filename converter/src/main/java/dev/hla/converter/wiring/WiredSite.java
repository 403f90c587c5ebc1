package dev.hla.converter.wiring;

import dev.hla.converter.Dim;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.converter.attention.MaskKind;

/**
 * A site as it was found, and where it sits.
 *
 * @param wiring for the rewriter; callers of the toolkit see only the interface
 */
public record WiredSite(String name, String node, String form, Kind kind, long heads, long headDim, Dim queryTokens, Dim keyTokens, Dim batch,
    MaskKind mask, double scale, int dtype, String reason, Wiring wiring) implements AttentionSite {
  /** The same site under the name that it has in the whole model. */
  public WiredSite named(String unique) {
    return new WiredSite(unique, node, form, kind, heads, headDim, queryTokens, keyTokens, batch, mask, scale, dtype, reason, wiring);
  }
}
