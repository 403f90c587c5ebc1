package dev.hla.runtime;

import java.util.Random;

/** Masks on the keys of the fused operator. */
enum KeyMask {
  ABSENT, FOR_ALL, FOR_EACH_BATCH;

  /** Rows of the mask; 0 where there is none. */
  int rows(int batch) {
    return switch (this) {
      case ABSENT -> 0;
      case FOR_ALL -> 1;
      case FOR_EACH_BATCH -> batch;
    };
  }

  /** [rows, keys]: a third of the keys is left out, the weights of others are multiplied with numbers from e^-2 to e^2. */
  float[] numbers(Random random, int batch, int keys) {
    float[] mask = new float[rows(batch) * keys];
    for (int i = 0; i < mask.length; i++) {
      mask[i] = i % 3 == 1 ? Float.NEGATIVE_INFINITY : random.nextFloat() * 4 - 2;
    }
    return mask;
  }
}
