package dev.hla.converter.rewrite;

import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;

/**
 * A site to convert.
 *
 * @param maps its feature maps
 * @param fitted whether they were fitted to the model; false for a random start
 */
public record Choice(AttentionSite site, SiteMaps maps, boolean fitted) {}
