package dev.hla.converter.rewrite;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.hla.converter.graph.TensorReader;
import java.util.Random;
import org.junit.jupiter.api.Test;

class HalfTest {
  @Test
  void everyHalfSurvivesTheWayThereAndBack() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      float value = TensorReader.half((short) bits);
      if (!Float.isNaN(value)) {
        assertEquals((short) bits, Half.ofFloat(value), "bits " + Integer.toHexString(bits));
      }
    }
  }

  @Test
  void floatsRoundToTheNearest() {
    Random random = new Random(1);
    for (int i = 0; i < 100_000; i++) {
      float value = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(12) - 7));
      short bits = Half.ofFloat(value);
      double error = Math.abs(TensorReader.half(bits) - value);
      for (int step : new int[] {-1, 1}) {
        float neighbour = TensorReader.half((short) (bits + step));
        if (Float.isFinite(neighbour) && Float.isFinite(TensorReader.half(bits))) {
          assertEquals(true, error <= Math.abs(neighbour - value), value + " became " + TensorReader.half(bits));
        }
      }
    }
    assertEquals((short) 0x7c00, Half.ofFloat(65520f));
    assertEquals((short) 0x7bff, Half.ofFloat(65519f));
    assertEquals((short) 0x3f80, Half.bfloat16(1f));
    assertEquals((short) 0x3f80, Half.bfloat16(1.00390625f), "a tie goes to even");
    assertEquals((short) 0x3f82, Half.bfloat16(1.01171875f), "a tie goes to even");
  }
}
