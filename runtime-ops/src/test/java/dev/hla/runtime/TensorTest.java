package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TensorTest {
  @Test
  void everyHalfIsReadAsItsDefinitionSays() {
    Tensor half = Tensor.zeros(ElementType.FLOAT16, 1);
    for (int bits = 0; bits < 1 << 16; bits++) {
      half.bytes().putShort(0, (short) bits);
      int exponent = bits >> 10 & 31;
      int fraction = bits & 1023;
      double size = exponent == 31 ? fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN
          : exponent == 0 ? fraction * Math.pow(2, -24) : (1024 + fraction) * Math.pow(2, exponent - 25);
      assertEquals(bits < 0x8000 ? size : -size, half.get(0), 0, "bits " + bits);
    }
  }

  @Test
  void halvesAndBfloat16AreRoundedToTheNearest() {
    Random random = new Random(1);
    Tensor value = Tensor.zeros(ElementType.FLOAT16, 1);
    Tensor brain = Tensor.zeros(ElementType.BFLOAT16, 1);
    for (int i = 0; i < 100_000; i++) {
      double x = random.nextGaussian() * Math.pow(2, random.nextInt(20) - 10);
      value.set(0, x);
      brain.set(0, x);
      assertTrue(Math.abs(value.get(0) - x) <= Math.max(Math.abs(x) * 0x1p-11, 0x1p-25) * 1.0001, "half of " + x + " is " + value.get(0));
      assertTrue(Math.abs(brain.get(0) - x) <= Math.abs(x) * 0x1p-8 * 1.0001, "bfloat16 of " + x + " is " + brain.get(0));
    }
    // Ties go to the even neighbour.
    value.set(0, 1 + 0x1p-11);
    assertEquals(1, value.get(0));
    value.set(0, 1 + 3 * 0x1p-11);
    assertEquals(1 + 0x1p-9, value.get(0));
    brain.set(0, 1 + 0x1p-8);
    assertEquals(1, brain.get(0));
    brain.set(0, 1 + 3 * 0x1p-8);
    assertEquals(1 + 0x1p-6, brain.get(0));
  }

  @Test
  void overflowBecomesInfinityAndNanStays() {
    for (ElementType type : new ElementType[] {ElementType.FLOAT16, ElementType.BFLOAT16}) {
      Tensor tensor = Tensor.zeros(type, 3);
      tensor.set(0, 1e39);
      tensor.set(1, Double.NEGATIVE_INFINITY);
      tensor.set(2, Double.NaN);
      assertEquals(Double.POSITIVE_INFINITY, tensor.get(0));
      assertEquals(Double.NEGATIVE_INFINITY, tensor.get(1));
      assertTrue(Double.isNaN(tensor.get(2)));
    }
  }

  @Test
  void convertingKeepsShapeAndValues() {
    Tensor tensor = Tensor.of(new float[] {-2, -1, 0, 1, 2, 3}, 2, 3);
    for (ElementType type : new ElementType[] {ElementType.FLOAT16, ElementType.FLOAT64, ElementType.INT8, ElementType.INT64}) {
      assertEquals(type + "[2, 3]", tensor.as(type).toString());
      assertArrayEquals(tensor.floats(), tensor.as(type).floats());
    }
  }

  @Test
  void moreThanTwoGibibytesAreRefused() {
    HlaException e = assertThrows(HlaException.class, () -> Tensor.zeros(ElementType.FLOAT64, 1 << 14, 1 << 14, 1));
    assertTrue(e.getMessage().contains("2 GiB"), e.getMessage());
  }
}
