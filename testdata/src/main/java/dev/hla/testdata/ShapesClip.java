package dev.hla.testdata;

import java.util.List;
import java.util.Map;

/**
 * What a clip of shapes_wan shows, found by comparison with drawn shapes as the model's authors score it; nothing is learned.
 *
 * @param shape disc, square, ring or cross: the drawn one that overlaps best at the measured centres
 * @param colour the nearest one to the mean of what is not black
 */
public record ShapesClip(String shape, String colour) {
  /** Red, green and blue in 0..1, as in the data that the model was trained on. */
  private static final Map<String, double[]> COLOURS = Map.of(
      "red", new double[] {1, 0.15, 0.1}, "green", new double[] {0.15, 0.9, 0.2}, "blue", new double[] {0.2, 0.35, 1},
      "yellow", new double[] {1, 0.9, 0.15}, "white", new double[] {0.95, 0.95, 0.95}, "magenta", new double[] {0.95, 0.2, 0.9});
  private static final List<String> SHAPES = List.of("disc", "square", "ring", "cross");
  private static final double RADIUS = 3.6;

  /** Whether these are words that {@link #of} can find. */
  public static boolean knows(List<String> shapes, List<String> colours) {
    return shapes != null && colours != null && SHAPES.containsAll(shapes) && COLOURS.keySet().containsAll(colours);
  }

  /**
   * Measures a clip.
   *
   * @param clip [3, frames, size, size], red, green and blue in -1..1
   */
  public static ShapesClip of(float[] clip, int frames, int size) {
    int pixels = frames * size * size;
    double[] cover = new double[pixels];
    double[] colour = new double[3];
    double weight = 0;
    for (int i = 0; i < pixels; i++) {
      double brightest = Math.max(clip[i], Math.max(clip[pixels + i], clip[2 * pixels + i]));
      cover[i] = Math.min(1, Math.max(0, (brightest + 1) / 1.9));
      if (cover[i] > 0.5) {
        weight += cover[i];
        for (int c = 0; c < 3; c++) {
          colour[c] += clip[c * pixels + i] * cover[i];
        }
      }
    }
    for (int c = 0; c < 3; c++) {
      colour[c] /= Math.max(weight, 1e-6);
    }
    return new ShapesClip(shape(cover, frames, size), nearest(colour));
  }

  private static String nearest(double[] colour) {
    String best = "";
    double least = Double.POSITIVE_INFINITY;
    for (Map.Entry<String, double[]> each : COLOURS.entrySet()) {
      double distance = 0;
      for (int c = 0; c < 3; c++) {
        distance += Math.abs(each.getValue()[c] * 2 - 1 - colour[c]);
      }
      if (distance < least) {
        least = distance;
        best = each.getKey();
      }
    }
    return best;
  }

  private static String shape(double[] cover, int frames, int size) {
    double[] errors = new double[SHAPES.size()];
    for (int f = 0; f < frames; f++) {
      double px = centre(cover, f, size, false);
      double py = centre(cover, f, size, true);
      for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
          double ax = Math.abs(wrapped(x - px, size));
          double ay = Math.abs(wrapped(y - py, size));
          for (int s = 0; s < errors.length; s++) {
            double drawn = Math.min(1, Math.max(0, edge(SHAPES.get(s), ax, ay) + 0.5));
            errors[s] += Math.abs(drawn - cover[(f * size + y) * size + x]);
          }
        }
      }
    }
    int best = 0;
    for (int s = 1; s < errors.length; s++) {
      best = errors[s] < errors[best] ? s : best;
    }
    return SHAPES.get(best);
  }

  /** How far inside the shape a point is, in pixels. */
  private static double edge(String shape, double ax, double ay) {
    return switch (shape) {
      case "disc" -> RADIUS - Math.hypot(ax, ay);
      case "square" -> RADIUS * 0.9 - Math.max(ax, ay);
      case "ring" -> 1.1 - Math.abs(Math.hypot(ax, ay) - (RADIUS - 0.6));
      default -> Math.max(Math.min(1.1 - ax, RADIUS + 0.3 - ay), Math.min(1.1 - ay, RADIUS + 0.3 - ax));
    };
  }

  /** The frame's circular mean along x or y: shapes that leave at one side come in at the other. */
  private static double centre(double[] cover, int frame, int size, boolean vertical) {
    double re = 0;
    double im = 0;
    for (int y = 0; y < size; y++) {
      for (int x = 0; x < size; x++) {
        double c = cover[(frame * size + y) * size + x];
        double angle = 2 * Math.PI * (vertical ? y : x) / size;
        re += c * c * Math.cos(angle);
        im += c * c * Math.sin(angle);
      }
    }
    return Math.atan2(im, re) * size / (2 * Math.PI);
  }

  private static double wrapped(double x, int size) {
    double shifted = (x + size / 2.0) % size;
    return (shifted < 0 ? shifted + size : shifted) - size / 2.0;
  }
}
