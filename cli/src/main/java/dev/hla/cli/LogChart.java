package dev.hla.cli;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Lines of milliseconds over tokens, both on logarithmic axes, as SVG. */
final class LogChart {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 460;
  private static final int LEFT = 70;
  private static final int RIGHT = 170;
  private static final int TOP = 16;
  private static final int BOTTOM = 46;
  private static final double LINE_OF_TEXT = 16;

  private final double minX;
  private final double maxX;
  private final double minY;
  private final double maxY;

  /** @param style class of the line, its dots and its label */
  record Line(String label, String style, List<double[]> points) {
    double[] last() {
      return points.get(points.size() - 1);
    }
  }

  private LogChart(List<Line> lines) {
    List<double[]> points = lines.stream().flatMap(line -> line.points().stream()).toList();
    double left = points.stream().mapToDouble(p -> p[0]).min().orElse(1);
    double right = points.stream().mapToDouble(p -> p[0]).max().orElse(1);
    // A single length stands in the middle.
    minX = left < right ? left : left / 2;
    maxX = left < right ? right : right * 2;
    minY = Math.pow(10, Math.floor(Math.log10(points.stream().mapToDouble(p -> p[1]).min().orElse(1))));
    maxY = Math.max(10 * minY, Math.pow(10, Math.ceil(Math.log10(points.stream().mapToDouble(p -> p[1]).max().orElse(1)))));
  }

  static String svg(List<Line> lines) {
    return new LogChart(lines).draw(lines);
  }

  private String draw(List<Line> lines) {
    StringBuilder svg = new StringBuilder(HtmlPage.format(
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"milliseconds over tokens\">\n", WIDTH, HEIGHT));
    for (double y = minY; y <= maxY * 1.001; y *= 10) {
      svg.append(HtmlPage.format("<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, y(y), y(y)));
      svg.append(HtmlPage.format("<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 9, y(y) + 4, time(y)));
    }
    lines.stream().flatMap(line -> line.points().stream()).mapToDouble(p -> p[0]).distinct().forEach(tokens -> svg.append(HtmlPage.format(
        "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%,.0f</text>\n", x(tokens), HEIGHT - 24, tokens)));
    svg.append(HtmlPage.format("<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">tokens</text>\n",
        (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 5));
    double[] labels = labels(lines);
    for (int i = 0; i < lines.size(); i++) {
      Line line = lines.get(i);
      svg.append("<polyline class=\"").append(line.style()).append("\" points=\"");
      line.points().forEach(p -> svg.append(HtmlPage.format("%.1f,%.1f ", x(p[0]), y(p[1]))));
      svg.append("\"/>");
      line.points().forEach(p -> svg.append(HtmlPage.format(
          "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>", line.style(), x(p[0]), y(p[1]))));
      svg.append(HtmlPage.format("<text class=\"label %s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
          line.style(), x(line.last()[0]) + 10, labels[i] + 4, line.label()));
    }
    return svg.append("</svg>").toString();
  }

  /** Labels stand at the ends of their lines, and move up where those that end at the same length would meet. */
  private double[] labels(List<Line> lines) {
    double[] labels = new double[lines.size()];
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < labels.length; i++) {
      order.add(i);
    }
    order.sort(Comparator.comparingDouble(i -> lines.get(i).last()[1]));
    List<double[]> placed = new ArrayList<>();
    for (int i : order) {
      double x = lines.get(i).last()[0];
      labels[i] = y(lines.get(i).last()[1]);
      for (double[] other : placed) {
        if (other[0] == x && labels[i] > other[1] - LINE_OF_TEXT) {
          labels[i] = other[1] - LINE_OF_TEXT;
        }
      }
      placed.add(new double[] {x, labels[i]});
    }
    return labels;
  }

  private static String time(double millis) {
    return millis >= 1000 ? HtmlPage.format("%.0f s", millis / 1000) : millis >= 1 ? HtmlPage.format("%.0f ms", millis)
        : HtmlPage.format("%s ms", java.math.BigDecimal.valueOf(millis).round(new java.math.MathContext(1)).stripTrailingZeros().toPlainString());
  }

  private double x(double tokens) {
    return LEFT + (WIDTH - LEFT - RIGHT) * Math.log(tokens / minX) / Math.log(maxX / minX);
  }

  private double y(double millis) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * Math.log(millis / minY) / Math.log(maxY / minY);
  }
}
