package dev.hla.testdata;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class HadamardReferenceTest {
  @Test
  void meetsACaseWorkedOutByHand() {
    // Factor 1 (rank 2, power 2): <(1,2),(3,-1)>^2 = 1, <(1,2),(0,1)>^2 = 4. Factor 2 (rank 1): 2*5 and 2*0.5.
    double[] query = {1, 2, 2};
    double[] key = {3, -1, 5, 0, 1, 0.5};
    double[] value = {7, -1};
    double[] y = HadamardReference.attend(1, 1, 1, 2, 1, new int[] {2, 1}, new int[] {2, 1}, 2, query, key, value);
    assertArrayEquals(new double[] {(10 * 7 - 4) / (10 + 4 + 2.0)}, y, 1e-15);
  }

  @Test
  void headsAndBatchesDoNotMix() {
    double[] query = {1, 1};
    double[] key = {1, 2, 3, 4};
    double[] value = {1, 2, 3, 4};
    double[] y = HadamardReference.attend(1, 2, 1, 2, 1, new int[] {1}, new int[] {1}, 0, query, key, value);
    assertArrayEquals(new double[] {5 / 3.0, 25 / 7.0}, y, 1e-15);
  }

  @Test
  void withoutKeysTheOutputIsZeroEvenWithoutEpsilon() {
    for (OperatorCase each : OperatorCase.WITHOUT_KEYS) {
      assertArrayEquals(new double[each.batch() * each.heads() * each.queries() * each.valueDim()], each.expected());
    }
  }

  @Test
  void featuresUseTheHeadsWeightsAndEachFactorsActivation() {
    double[] x = {1, -1, 2, 3};
    double[] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    double[] bias = {0.5, 0, 0, -4, 0, 1, -100, -129};
    double[] z = HadamardReference.features(
        1, 2, 1, 2, new int[] {1, 1, 1, 1}, new String[] {"identity", "relu", "softplus", "exp"}, x, weight, bias);
    double[] head0 = {-3.5, 0, Math.log(1 + Math.exp(-4)), Math.exp(-8)};
    double[] head1 = {18 + 39, 20 + 42 + 1, Math.log(1 + Math.exp(-33)), Math.exp(24 + 48 - 129)};
    assertArrayEquals(
        new double[] {head0[0], head0[1], head0[2], head0[3], head1[0], head1[1], head1[2], head1[3]}, z, 1e-12);
  }

  @Test
  void swappingTokensAndHeadsTwiceIsTheIdentity() {
    double[] x = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    double[] swapped = HadamardReference.swapTokensAndHeads(1, 3, 2, 2, x);
    assertArrayEquals(new double[] {0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11}, swapped);
    assertArrayEquals(x, HadamardReference.swapTokensAndHeads(1, 2, 3, 2, swapped));
  }

  @Test
  void wrongSizesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> HadamardReference.attend(
        1, 1, 1, 1, 1, new int[] {2}, new int[] {1}, 0, new double[2], new double[1], new double[1]));
  }

  @Test
  void errorIsInfiniteWhereOnlyOneIsNotANumber() {
    double nan = Double.NaN;
    double inf = Double.POSITIVE_INFINITY;
    assertEquals(0.25, HadamardReference.relativeError(new double[] {4, 0}, new double[] {4, 1}));
    assertEquals(0, HadamardReference.relativeError(new double[] {4, nan, inf}, new double[] {4, nan, inf}));
    assertEquals(inf, HadamardReference.relativeError(new double[] {4, nan}, new double[] {4, 1}));
    assertEquals(inf, HadamardReference.relativeError(new double[] {4, 1}, new double[] {4, nan}));
    assertEquals(inf, HadamardReference.relativeError(new double[] {inf}, new double[] {4}));
    assertEquals(inf, HadamardReference.relativeError(new double[] {1}, new double[] {1, 1}));
    assertEquals(inf, HadamardReference.relativeError(new double[] {0}, new double[] {1e-30}));
  }

  @Test
  void gridIsWellFormed() {
    Set<String> names = new HashSet<>();
    for (OperatorCase each : OperatorCase.GRID) {
      assertTrue(names.add(each.name()), each.name());
      assertEquals(each.ranks().length, each.powers().length, each.name());
      int degree = 0;
      for (int f = 0; f < each.ranks().length; f++) {
        assertTrue(each.powers()[f] >= 1 && each.powers()[f] <= 4, each.name());
        degree += each.ranks()[f] > 1 ? each.powers()[f] : 0;
      }
      assertTrue(degree <= 6, each.name());
      for (double y : each.expected()) {
        // A weighted mean of values between -1 and 1: weights of both signs would break this.
        assertTrue(Math.abs(y) <= 1, each.name());
      }
    }
  }

  @Test
  void inputsAreExactInEveryType() {
    for (OperatorCase each : OperatorCase.GRID.subList(0, 20)) {
      for (float[] input : new float[][] {each.queryFeatures(), each.keyFeatures(), each.value()}) {
        for (float x : input) {
          assertEquals(x, Precision.FLOAT16.value(Precision.FLOAT16.bits(x)));
          assertEquals(x, Precision.BFLOAT16.value(Precision.BFLOAT16.bits(x)));
        }
      }
    }
  }

  @Test
  void everySixteenBitNumberComesBack() {
    for (Precision type : new Precision[] {Precision.FLOAT16, Precision.BFLOAT16}) {
      for (int bits = 0; bits < 1 << 16; bits++) {
        float value = type.value((short) bits);
        if (Float.isNaN(value)) {
          assertTrue(Float.isNaN(type.value(type.bits(value))));
        } else {
          assertEquals((short) bits, type.bits(value));
        }
      }
    }
  }

  @Test
  void roundsToNearestTiesToEven() {
    assertEquals((short) 0x3C00, Precision.FLOAT16.bits(1 + 0x1p-11f));
    assertEquals((short) 0x3C02, Precision.FLOAT16.bits(1 + 3 * 0x1p-11f));
    assertEquals((short) 0x7C00, Precision.FLOAT16.bits(65520f));
    assertEquals((short) 0x7BFF, Precision.FLOAT16.bits(65519f));
    assertEquals((short) 0x0400, Precision.FLOAT16.bits(Math.nextDown(0x1p-14f)));
    assertEquals((short) 0x3F80, Precision.BFLOAT16.bits(1 + 0x1p-8f));
    assertEquals((short) 0x3F82, Precision.BFLOAT16.bits(1 + 3 * 0x1p-8f));
    assertEquals((short) 0x7F80, Precision.BFLOAT16.bits(Float.MAX_VALUE));
  }
}
