package dev.hla.cli;

import java.util.List;
import java.util.function.ToDoubleFunction;

/** Milliseconds over tokens, both on logarithmic axes, as SVG. */
final class TimingChart {
  private static final int WIDTH = 660;
  private static final int HEIGHT = 340;
  private static final int LEFT = 62;
  private static final int RIGHT = 158;
  private static final int TOP = 16;
  private static final int BOTTOM = 42;

  private final List<Demo.Timing> timings;
  private final double minX;
  private final double maxX;
  private final double minY;
  private final double maxY;

  private TimingChart(List<Demo.Timing> timings) {
    this.timings = timings;
    this.minX = timings.get(0).tokens();
    this.maxX = timings.get(timings.size() - 1).tokens();
    double least = timings.stream().mapToDouble(t -> Math.min(t.original(), Math.min(t.plain(), t.library()))).min().orElse(1);
    double most = timings.stream().mapToDouble(t -> Math.max(t.original(), Math.max(t.plain(), t.library()))).max().orElse(1);
    this.minY = Math.pow(10, Math.floor(Math.log10(least)));
    this.maxY = Math.pow(10, Math.ceil(Math.log10(most)));
  }

  static String svg(List<Demo.Timing> timings) {
    return new TimingChart(timings).draw();
  }

  private String draw() {
    StringBuilder svg = new StringBuilder(HtmlPage.format(
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"milliseconds of one run over tokens\">", WIDTH, HEIGHT));
    for (double y = minY; y <= maxY * 1.001; y *= 10) {
      svg.append(HtmlPage.format("<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, y(y), y(y)));
      svg.append(HtmlPage.format("<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 9, y(y) + 4, millis(y)));
    }
    for (Demo.Timing t : timings) {
      svg.append(HtmlPage.format("<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%,d</text>", x(t.tokens()), HEIGHT - 22, t.tokens()));
    }
    svg.append(HtmlPage.format("<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">video tokens</text>",
        (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 4));
    double[] ends = {last(Demo.Timing::original), last(Demo.Timing::plain), last(Demo.Timing::library)};
    svg.append(line("softmax", "original", Demo.Timing::original, y(ends[0])));
    svg.append(line("plain", "converted, plain", Demo.Timing::plain, apart(y(ends[1]), y(ends[2]))));
    svg.append(line("library", "converted", Demo.Timing::library, y(ends[2])));
    return svg.append("</svg>").toString();
  }

  /** Moves a label off another one, on the side that it is on. */
  private static double apart(double y, double other) {
    return y <= other ? Math.min(y, other - 16) : Math.max(y, other + 16);
  }

  private double last(ToDoubleFunction<Demo.Timing> value) {
    return value.applyAsDouble(timings.get(timings.size() - 1));
  }

  private String line(String style, String label, ToDoubleFunction<Demo.Timing> value, double labelY) {
    StringBuilder points = new StringBuilder();
    StringBuilder dots = new StringBuilder();
    for (Demo.Timing t : timings) {
      points.append(HtmlPage.format("%.1f,%.1f ", x(t.tokens()), y(value.applyAsDouble(t))));
      dots.append(HtmlPage.format("<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>", style, x(t.tokens()), y(value.applyAsDouble(t))));
    }
    return HtmlPage.format("<polyline class=\"%s\" points=\"%s\"/>%s<text class=\"label %s\" x=\"%d\" y=\"%.1f\">%s</text>",
        style, points.toString().strip(), dots, style, WIDTH - RIGHT + 10, labelY + 4, label);
  }

  private static String millis(double value) {
    return value >= 1000 ? HtmlPage.format("%.0f s", value / 1000) : HtmlPage.format("%.0f ms", value);
  }

  private double x(double tokens) {
    return LEFT + (WIDTH - LEFT - RIGHT) * Math.log(tokens / minX) / Math.log(maxX / minX);
  }

  private double y(double millis) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * Math.log(millis / minY) / Math.log(maxY / minY);
  }
}
