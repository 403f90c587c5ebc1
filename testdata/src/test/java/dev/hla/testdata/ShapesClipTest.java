package dev.hla.testdata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class ShapesClipTest {
  private static final int SIZE = 24;

  /** A bar or a full square of one colour, at a place that wraps around the border. */
  private static float[] clip(float[] colour, int halfWidth, int halfHeight) {
    float[] clip = new float[3 * 2 * SIZE * SIZE];
    java.util.Arrays.fill(clip, -1);
    for (int c = 0; c < 3; c++) {
      for (int f = 0; f < 2; f++) {
        for (int y = -halfHeight; y <= halfHeight; y++) {
          for (int x = -halfWidth; x <= halfWidth; x++) {
            clip[((c * 2 + f) * SIZE + Math.floorMod(y + 11, SIZE)) * SIZE + Math.floorMod(x + 1 + f, SIZE)] = colour[c];
          }
        }
      }
    }
    return clip;
  }

  @Test
  void aDrawnShapeIsFoundWithItsColourAcrossTheBorder() {
    assertEquals(new ShapesClip("square", "blue"), ShapesClip.of(clip(new float[] {-0.6f, -0.3f, 1}, 3, 3), 2, SIZE));
    assertEquals("cross", ShapesClip.of(clip(new float[] {1, -0.7f, -0.8f}, 1, 4), 2, SIZE).shape());
    assertEquals("red", ShapesClip.of(clip(new float[] {1, -0.7f, -0.8f}, 1, 4), 2, SIZE).colour());
  }

  @Test
  void otherWordsAreNotKnown() {
    assertTrue(ShapesClip.knows(List.of("disc", "ring"), List.of("red")));
    assertFalse(ShapesClip.knows(List.of("disc", "star"), List.of("red")));
    assertFalse(ShapesClip.knows(null, List.of("red")));
  }
}
