package dev.hla.converter.attention;

import java.util.List;

/**
 * All attention of a model.
 *
 * @param sites in graph order
 * @param notAttention every other Softmax, attention operator and decomposed softmax, with the reason
 */
public record SiteReport(List<AttentionSite> sites, List<NotAttention> notAttention) {}
