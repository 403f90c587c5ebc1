package dev.hla.distill;

import java.io.Serializable;

/**
 * How to fit the maps of a site.
 *
 * @param design what maps
 * @param steps of the optimiser
 * @param rate its peak learning rate
 * @param samplesPerStep samples that each step looks at
 * @param rowsPerStep random query rows of each sample; all keys take part
 * @param seed of everything random
 */
public record FitSettings(MapDesign design, int steps, double rate, int samplesPerStep, int rowsPerStep, long seed) implements Serializable {
  /**
   * The recipe. Many samples with few rows each, for what varies between samples is most of the gradient's noise: on
   * shapes_wan 16 samples of 32 rows end at an error of 0.098 where 2 of 64 end at 0.127 after as many steps of Adam. SOAP
   * in its place took the mean of {@code 8^2,3^2,1} after 800 steps from 0.0823 to 0.0785. In a second implementation (and
   * another mean over heads) 400 steps of Adam end at 0.0949, 200, 400 and 1000 of SOAP at 0.0910, 0.0860 and 0.0835, and
   * peak rates of 1e-2 to 3e-2 end alike.
   */
  public static FitSettings of(MapDesign design, int steps, long seed) {
    return new FitSettings(design, steps, 2e-2, 16, 32, seed);
  }
}
