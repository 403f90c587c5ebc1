package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class DimTest {
  private static final Dim F = Dim.symbol("frames");
  private static final Dim H = Dim.symbol("height");

  @Test
  void polynomialsAreEqualHoweverTheyWereMade() {
    assertEquals(F.plus(H).times(F), F.times(F).plus(H.times(F)));
    assertEquals(Dim.of(12).times(F), F.plus(F).times(Dim.of(6)));
    assertTrue(F.minus(F).is(0));
  }

  @Test
  void exactDivisionsAreExactAndOthersAreNamed() {
    assertEquals(H.times(Dim.of(3)), Dim.of(12).times(F).times(H).over(F.times(Dim.of(4))));
    assertEquals("floor(height/2)", H.over(Dim.of(2)).toString());
    assertEquals(H.over(Dim.of(2)), H.over(Dim.of(2)));
    assertEquals(-2, Dim.of(-3).over(Dim.of(2)).value(), "ONNX shapes divide downwards");
    assertFalse(Dim.of(4).over(Dim.of(0)).isStatic());
    assertTrue(F.times(Dim.of(6)).modulo(Dim.of(3)).is(0));
  }

  @Test
  void itReadsAsPeopleWriteIt() {
    assertEquals("12*frames*height + 1", Dim.of(12).times(H).times(F).plus(Dim.of(1)).toString());
    assertEquals("frames - 2", F.minus(Dim.of(2)).toString());
  }

  @Test
  void longExpressionsBecomeUnnamedSizesThatStayApart() {
    Dim a = F;
    Dim b = H;
    for (int i = 0; i < 12; i++) {
      a = a.plus(Dim.of(1)).times(a);
      b = b.plus(Dim.of(1)).times(b);
    }
    assertFalse(a.isNamed());
    assertTrue(a.toString().length() < 1000);
    assertNotEquals(a, b);
  }
}
