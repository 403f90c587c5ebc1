package dev.hla.distill;

import java.util.Random;
import java.util.SplittableRandom;

/** Randomness for many pieces of work, each from a seed of its own. */
final class Seeds {
  private Seeds() {}

  /**
   * Random numbers that have nothing to do with those of the seeds beside it. {@link Random} alone will not do: its first
   * numbers hardly differ between neighbouring seeds, so that the first word of every clip's prompt would be the same.
   */
  static Random random(long seed) {
    return new Random(new SplittableRandom(seed).nextLong());
  }
}
