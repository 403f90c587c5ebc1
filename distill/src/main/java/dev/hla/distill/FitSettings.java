package dev.hla.distill;

/**
 * How to fit the maps of a site.
 *
 * @param design what maps
 * @param steps of Adam
 * @param rate its peak learning rate
 * @param samplesPerStep samples that each step looks at
 * @param rowsPerStep random query rows of each sample; all keys take part
 * @param seed of everything random
 */
public record FitSettings(MapDesign design, int steps, double rate, int samplesPerStep, int rowsPerStep, long seed) {
  /** The recipe: a linear map learns at 1e-2, a map with softmax features at 2e-2. */
  public static FitSettings of(MapDesign design, int steps, long seed) {
    return new FitSettings(design, steps, design.squares() ? 1e-2 : 2e-2, 2, 64, seed);
  }
}
