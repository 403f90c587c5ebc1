package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RankSpecTest {
  @ParameterizedTest
  @CsvSource(delimiter = ';', value = {
      "16,16; 16,16; 1,1; 256", "16^2; 16; 2; 136", "16^2,1; 16,1; 2,1; 136", "8^2,3^2,1; 8,3,1; 2,2,1; 216",
      "' 8 ^ 2 , 3'; 8,3; 2,1; 108", "1^4; 1; 4; 1", "45^2; 45; 2; 1035", "11^4; 11; 4; 1001", "64; 64; 1; 64"})
  void reads(String text, String ranks, String powers, long products) {
    RankSpec spec = RankSpec.parse(text);
    assertArrayEquals(numbers(ranks), spec.ranks());
    assertArrayEquals(numbers(powers), spec.powers());
    assertEquals(products, spec.products());
    assertEquals(spec, RankSpec.parse(spec.toString()));
  }

  @ParameterizedTest
  @CsvSource(delimiter = ';', value = {
      "''; \"\" is not a rank", "16,; \"\" is not a rank", "16^; \"16^\" is not a rank", "a; \"a\" is not a rank",
      "2^2^2; \"2^2^2\" is not a rank", "-4; \"-4\" is not a rank", "1.5; \"1.5\" is not a rank",
      "9999999999; \"9999999999\" is not a rank", "0; rank 0 of factor 1", "4,3^5; power 5 of factor 2",
      "4^0; power 0 of factor 1", "4^4,4^3; add up to 7", "1,1,1,1,1,1,1,1,1; 9 factors",
      "999999999,999999999,999999999; add up to more than"})
  void refusesInOneLine(String text, String complaint) {
    HlaException refused = assertThrows(HlaException.class, () -> RankSpec.parse(text));
    assertTrue(refused.getMessage().startsWith("ranks \"" + text + "\": "), refused.getMessage());
    assertTrue(refused.getMessage().contains(complaint), refused.getMessage());
  }

  @Test
  void gatesDoNotCountTowardsTheDegree() {
    assertEquals(1 * 20L * 20, RankSpec.parse("1^4,4^3,1^4,4^3").products());
  }

  @Test
  void productsThatFitNoNumberAreAsManyAsThereAre() {
    assertEquals(Long.MAX_VALUE, RankSpec.parse("100000^4,100000^2").products());
  }

  private static int[] numbers(String list) {
    return Arrays.stream(list.split(",")).mapToInt(Integer::parseInt).toArray();
  }
}
