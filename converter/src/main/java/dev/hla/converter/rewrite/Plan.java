package dev.hla.converter.rewrite;

import java.util.List;

/**
 * What to do with each site of a model.
 *
 * @param choices the sites to convert, with their feature maps
 * @param kept the others, with the reason
 */
public record Plan(List<Choice> choices, List<Kept> kept) {}
