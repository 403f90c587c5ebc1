package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DenominatorsTest {
  /** The last case has more products than a state is formed of, and few enough queries that all are looked at. */
  @ParameterizedTest
  @CsvSource({"3, 1", "4, 2", "3 2 1, 2 2 1", "8 3 1, 2 2 1", "2 5, 4 1", "1, 3", "40 40 4, 1 2 1"})
  void agreeWithTheSumOverPairs(String ranksText, String powersText) {
    int[] ranks = integers(ranksText);
    int[] powers = integers(powersText);
    int width = Arrays.stream(ranks).sum();
    Tensor query = FlowSampler.noise(1, 2, 3, 7, width);
    Tensor key = FlowSampler.noise(2, 2, 3, 11, width);
    double smallest = Double.POSITIVE_INFINITY;
    double sum = 0;
    int negative = 0;
    for (int group = 0; group < 6; group++) {
      for (int i = 0; i < 7; i++) {
        double denominator = 1e-6;
        for (int j = 0; j < 11; j++) {
          double product = 1;
          for (int f = 0, start = 0; f < ranks.length; start += ranks[f++]) {
            double inner = 0;
            for (int r = start; r < start + ranks[f]; r++) {
              inner += query.get((group * 7 + i) * width + r) * key.get((group * 11 + j) * width + r);
            }
            product *= Math.pow(inner, powers[f]);
          }
          denominator += product;
        }
        smallest = Math.abs(denominator) < Math.abs(smallest) ? denominator : smallest;
        sum += Math.abs(denominator);
        negative += denominator < 0 ? 1 : 0;
      }
    }
    Denominators found = Denominators.of(query, key, ranks, powers, 1e-6);
    assertEquals(smallest, found.smallest(), 1e-9 * sum);
    assertEquals(Math.abs(smallest) / (sum / 42), found.relative(), 1e-9);
    assertEquals(negative, found.negative());
    assertEquals(42, found.count());
  }

  @org.junit.jupiter.api.Test
  void aNanIsTheWorst() {
    Tensor query = Tensor.of(new float[] {1, Float.NaN, 1}, 1, 1, 3, 1);
    Tensor key = Tensor.of(new float[] {1}, 1, 1, 1, 1);
    assertTrue(Double.isNaN(Denominators.of(query, key, new int[] {1}, new int[] {1}, 0).smallest()));
  }

  private static int[] integers(String text) {
    return Arrays.stream(text.split(" ")).mapToInt(Integer::parseInt).toArray();
  }
}
