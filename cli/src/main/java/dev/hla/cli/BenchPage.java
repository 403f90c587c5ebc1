package dev.hla.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What {@code bench op} measured as one HTML page that needs nothing beside it. */
final class BenchPage {
  private static final int STYLES = 4;

  private BenchPage() {}

  static String of(BenchOpCommand.Document d) throws IOException {
    BenchOpCommand.Described m = d.machine();
    BenchOpCommand.Problem p = d.problem();
    String page;
    try (InputStream in = BenchPage.class.getResourceAsStream("bench.html")) {
      page = new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
    return page
        .replace("{{problem}}", HtmlPage.escape(HtmlPage.format("%d heads of width %d, %s, %s", p.heads(), p.headDim(), p.type(),
            p.threads() == 0 ? "one thread per core" : p.threads() + (p.threads() == 1 ? " thread" : " threads"))))
        .replace("{{machine}}", HtmlPage.escape(HtmlPage.format("%s, %d cores, %s kernels, ONNX Runtime %s, Java %s", m.processor(), m.cores(),
            m.instructionSet(), m.onnxRuntime(), m.java()) + (m.loadBefore() == null ? "" : HtmlPage.format(", load %.1f before", m.loadBefore()))))
        .replace("{{peak}}", HtmlPage.format("%.0f", d.peakGflops()))
        .replace("{{best_peak}}", HtmlPage.format("%.0f", d.bestPeakGflops()))
        .replace("{{chart}}", d.rows().isEmpty() ? "" : LogChart.svg(lines(d.rows())))
        .replace("{{growth}}", growth(d.growth()))
        .replace("{{left_out}}", leftOut(d.leftOut()))
        .replace("{{rows}}", rows(d.rows()));
  }

  private static List<LogChart.Line> lines(List<BenchRun.Row> rows) {
    Map<String, List<double[]>> points = new LinkedHashMap<>();
    Map<String, String> operators = new LinkedHashMap<>();
    for (BenchRun.Row row : rows) {
      String label = (row.op() + " " + BenchOpCommand.ranks(row.ranks(), row.powers())).strip();
      points.computeIfAbsent(label, l -> new ArrayList<>()).add(new double[] {row.tokens(), row.ms()});
      operators.put(label, row.op());
    }
    Map<String, Integer> seen = new LinkedHashMap<>();
    List<LogChart.Line> lines = new ArrayList<>();
    points.forEach((label, list) -> {
      int nth = seen.merge(operators.get(label), 1, Integer::sum);
      lines.add(new LogChart.Line(label, operators.get(label) + " shade" + (nth - 1) % STYLES, list));
    });
    return lines;
  }

  private static String rows(List<BenchRun.Row> rows) {
    StringBuilder html = new StringBuilder();
    int tokens = 0;
    for (BenchRun.Row row : rows) {
      html.append(HtmlPage.format("<tr%s><td>%s</td><td>%s</td><td>%,d</td><td>%.2f</td><td>%.0f</td><td>%.1f %%</td><td>%s</td><td>%s</td></tr>\n",
          row.tokens() == tokens ? "" : " class=\"first\"", row.op(), BenchOpCommand.ranks(row.ranks(), row.powers()), row.tokens(), row.ms(),
          row.gflops(), 100 * row.shareOfPeak(), row.timesMha() == null ? "" : HtmlPage.format("%.2f", row.timesMha()),
          row.addedMb() == null ? "" : HtmlPage.format("%.0f", row.addedMb())));
      tokens = row.tokens();
    }
    return html.toString();
  }

  private static String growth(List<BenchRun.Growth> growth) {
    StringBuilder html = new StringBuilder();
    for (BenchRun.Growth g : growth) {
      html.append(HtmlPage.format("<li>%s %s: tokens to the power %.3f, from %,d to %,d</li>\n", g.op(),
          BenchOpCommand.ranks(g.ranks(), g.powers()), g.exponent(), g.fromTokens(), g.toTokens()));
    }
    return html.isEmpty() ? "" : "<p>Time grows with</p>\n<ul>\n" + html + "</ul>";
  }

  private static String leftOut(List<BenchRun.LeftOut> leftOut) {
    StringBuilder html = new StringBuilder();
    for (BenchRun.LeftOut out : leftOut) {
      html.append(HtmlPage.format("<li>%s from %,d tokens on: %s</li>\n", out.op(), out.tokens(), HtmlPage.escape(out.reason())));
    }
    return html.isEmpty() ? "" : "<p>Not measured:</p>\n<ul>\n" + html + "</ul>";
  }
}
