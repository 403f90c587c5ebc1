package dev.hla.converter.attention;

/**
 * A softmax that is no attention site, with the nearest miss.
 *
 * @param node its label
 * @param op its operator
 * @param reason the first node that broke the form, and what was expected there
 */
public record NotAttention(String node, String op, String reason) {}
