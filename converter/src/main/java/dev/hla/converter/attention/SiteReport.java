package dev.hla.converter.attention;

import java.nio.file.Path;
import java.util.List;

/**
 * All attention of a model.
 *
 * @param model the file that it came from
 * @param sites in graph order
 * @param notAttention every other Softmax, attention operator and decomposed softmax, with the reason
 */
public record SiteReport(Path model, List<AttentionSite> sites, List<NotAttention> notAttention) {}
