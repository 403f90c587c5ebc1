package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import org.junit.jupiter.api.Test;

class DifferenceTest {
  @Test
  void measuresWhatItSays() {
    Difference d = between(new float[] {3, 4, 0}, new float[] {3, 4, 1});
    assertEquals(1 / 5.0, d.relative(), 1e-12);
    assertEquals(25 / (5 * Math.sqrt(26)), d.cosine(), 1e-12);
    assertEquals(1, d.largest());
    assertTrue(d.finite());
  }

  @Test
  void equalTensorsDifferByNothingEvenWhereTheyAreZero() {
    assertEquals(new Difference(0, 1, 0, true), between(new float[3], new float[3]));
    assertEquals(new Difference(0, 1, 0, true), between(new float[] {1, -2, 3}, new float[] {1, -2, 3}));
  }

  @Test
  void nanIsNeverHidden() {
    Difference d = between(new float[] {1, 2, 3}, new float[] {Float.NaN, 2, 3});
    assertTrue(Double.isNaN(d.relative()) && Double.isNaN(d.largest()));
    assertFalse(d.finite());
  }

  @Test
  void differentShapesAreNamed() {
    HlaException e = assertThrows(HlaException.class,
        () -> Difference.between(Tensor.of(new float[2], 2), Tensor.of(new float[2], 1, 2), "the output y"));
    assertEquals("the output y: cannot be compared, the shapes differ: float32[2] and float32[1, 2]", e.getMessage());
  }

  private static Difference between(float[] a, float[] b) {
    return Difference.between(Tensor.of(a, a.length), Tensor.of(b, b.length), "x");
  }
}
