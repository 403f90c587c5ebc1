package dev.hla.converter.rewrite;

/**
 * A site that stays as it is.
 *
 * @param name the site's
 * @param reason in words
 */
public record Kept(String name, String reason) {}
