package dev.hla.distill;

import dev.hla.converter.SiteMaps;
import java.io.Serializable;
import java.util.List;

/**
 * The maps of a site, and what they are worth.
 *
 * @param site its name
 * @param design what was fitted
 * @param maps the result
 * @param error of the result, on samples held out from the fit
 * @param mean error of the mean of the values on the same samples
 * @param start error of what the fit started from
 * @param notes what went wrong in which head, in words
 * @param seconds spent
 */
public record SiteResult(String site, MapDesign design, SiteMaps maps, SiteError error, SiteError mean, SiteError start, List<String> notes,
    double seconds) implements Serializable {}
