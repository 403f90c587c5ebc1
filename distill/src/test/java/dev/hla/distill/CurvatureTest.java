package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CurvatureTest {
  private static final String SITE = "site";
  private final MapWeights weights = new MapWeights(2, 5, MapDesign.parse("3^2,1"));
  private final Random random = new Random(3);

  /** Random numbers; those of the first row of each weight of head 0 are larger. */
  private Gradients random(double firstRow) {
    float[][] arrays = weights.arrays().stream().map(array -> new float[array.data().length]).toArray(float[][]::new);
    for (int a = 0; a < arrays.length; a++) {
      int columns = weights.arrays().get(a).shape()[2];
      for (int i = 0; i < arrays[a].length; i++) {
        arrays[a][i] = (float) (random.nextGaussian() * (a % 2 == 0 && i < columns ? firstRow : 1));
      }
    }
    Gradients gradients = new Gradients();
    gradients.put(SITE, arrays);
    return gradients;
  }

  @Test
  void directionsInWhichTheErrorGrowsFastAreTakenLess() {
    Curvature curvature = new Curvature(Map.of(SITE, weights));
    for (int i = 0; i < 2000; i++) {
      curvature.add(random(3));
    }
    Gradients gradient = random(1);
    Gradients direction = curvature.solve(gradient);
    float[] asked = gradient.of(SITE)[0];
    float[] taken = direction.of(SITE)[0];
    // The same matrix of columns for both rows: the second derivative of the first row is nine times the others'.
    double first = norm(taken, 0, 3) / norm(asked, 0, 3);
    double second = norm(taken, 4, 7) / norm(asked, 4, 7);
    assertEquals(9, second / first, 2);
    assertTrue(gradient.dot(direction) > 0, "uphill");
  }

  private static double norm(float[] values, int from, int to) {
    double sum = 0;
    for (int i = from; i < to; i++) {
      sum += (double) values[i] * values[i];
    }
    return Math.sqrt(sum);
  }

  @Test
  void aHeadThatIsNotFiniteStaysAndSpoilsNoOther() {
    Curvature curvature = new Curvature(Map.of(SITE, weights));
    for (int i = 0; i < 50; i++) {
      Gradients gradient = random(1);
      gradient.of(SITE)[0][2] = Float.NaN;
      curvature.add(gradient);
    }
    float[] taken = curvature.solve(random(1)).of(SITE)[0];
    int perHead = weights.arrays().get(0).perHead();
    assertEquals(0, norm(taken, 0, perHead));
    assertTrue(norm(taken, perHead, 2 * perHead) > 0);
  }

  @Test
  void fixedColumnsStay() {
    Curvature curvature = new Curvature(Map.of(SITE, weights));
    for (int i = 0; i < 50; i++) {
      curvature.add(random(1));
    }
    Gradients direction = curvature.solve(random(1));
    for (int a = 0; a < weights.arrays().size(); a++) {
      boolean[] fixed = weights.arrays().get(a).fixedColumns();
      for (int i = 0; i < weights.arrays().get(a).data().length; i++) {
        assertEquals(fixed[i % fixed.length], direction.of(SITE)[a][i] == 0, weights.arrays().get(a).name() + " " + i);
      }
    }
  }
}
