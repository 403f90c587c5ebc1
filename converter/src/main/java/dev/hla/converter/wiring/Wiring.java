package dev.hla.converter.wiring;

import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;

/**
 * Where a site sits in its graph: all that the rewriter has to know.
 *
 * @param graph the scope
 * @param anchor the Softmax, the attention operator, or the Div that ends a decomposed softmax
 * @param query before any scale
 * @param key before any scale
 * @param value as it enters the product with the probabilities
 * @param output what the rest of the graph reads
 * @param mask the key mask, or null
 * @param appliedScale the factor on query times key of the operands above; NaN if it cannot be told
 * @param kvHeads heads of key and value, fewer than the query's in grouped-query attention
 * @param bias a bias of all three projections that the operator adds itself (com.microsoft), or null
 * @param weight the projection that the operator applies itself (com.microsoft.Attention), or null
 */
public record Wiring(Graph graph, Node anchor, Operand query, Operand key, Operand value, Operand output, MaskOperand mask,
    double appliedScale, long kvHeads, String bias, String weight) {
  /** Where a site sits. */
  public static Wiring of(AttentionSite site) {
    return ((WiredSite) site).wiring();
  }
}
