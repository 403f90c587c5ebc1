package dev.hla.converter.attention;

import dev.hla.converter.shape.Dim;

/**
 * One attention of a model, whatever form its exporter gave it.
 *
 * @param name the scope of the node in the exporter's terms; the key of the feature-map file
 * @param node the Softmax, the attention operator, or the Div that ends a decomposed softmax
 * @param form how the exporter wrote it (see docs)
 * @param kind what attends to what
 * @param heads number of query heads, 0 if it cannot be told
 * @param headDim channels of a query head, 0 if it cannot be told
 * @param queryTokens N, static or symbolic; null if unknown
 * @param keyTokens M, static or symbolic; null if unknown
 * @param batch static or symbolic; null if unknown
 * @param mask how the mask acts
 * @param scale the factor on the scores; NaN if it cannot be told
 * @param dtype TensorProto.DataType of the values, 0 if unknown
 * @param reason why it does not convert, or "" if it does
 * @param wiring where it sits; null for a site that does not convert
 */
public record AttentionSite(String name, String node, String form, Kind kind, long heads, long headDim, Dim queryTokens,
    Dim keyTokens, Dim batch, MaskKind mask, double scale, int dtype, String reason, Wiring wiring) {
  /** Whether the rewrite is exact up to the feature maps; it says nothing of speed. */
  public boolean convertible() {
    return reason.isEmpty();
  }

  AttentionSite named(String unique) {
    return new AttentionSite(unique, node, form, kind, heads, headDim, queryTokens, keyTokens, batch, mask, scale, dtype, reason, wiring);
  }
}
