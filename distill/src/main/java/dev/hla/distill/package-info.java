/**
 * Feature maps for Hadamard linear attention, fitted to what a model's own softmax attention does.
 *
 * <p>{@link dev.hla.distill.Distillation} does all of it. {@link dev.hla.distill.Capture} runs the original and keeps each site's queries, keys, values and outputs on disk;
 * {@link dev.hla.distill.SiteFit} fits the maps of one site to them; {@link dev.hla.distill.Refinement} then moves the
 * maps of all sites together so that the model's output agrees.
 */
package dev.hla.distill;
