package dev.hla.cli;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** What {@code report} measured as one HTML page that needs nothing beside it. */
final class ReportPage {
  private ReportPage() {}

  static String of(ReportCommand.Measured measured) throws IOException {
    ReportCommand.Document d = measured.document();
    SampledClips.Summary clips = d.clips();
    Map<String, String> parts = new LinkedHashMap<>();
    parts.put("model", HtmlPage.escape(d.model()));
    parts.put("maps", HtmlPage.escape(d.maps()));
    parts.put("sites", sites(d));
    parts.put("site_error", percent(d.sites().stream().mapToDouble(ReportCommand.Site::error).average().orElseThrow()));
    parts.put("output_error", percent(d.output().mean()));
    parts.put("psnr", clips == null ? "–" : HtmlPage.format("%.1f dB", clips.meanPsnr()));
    parts.put("clip_note", clips == null ? "Inputs came from a folder; no clips were sampled." : HtmlPage.format(
        "%d prompts, the same noise for both: original on the left, converted on the right, and the peak signal-to-noise ratio between the two"
            + " (%.1f to %.1f dB). Guidance amplifies small differences over the steps, so that a clip may take another turn.",
        clips.clips().size(), clips.lowestPsnr(), clips.highestPsnr()));
    parts.put("followed", clips == null || clips.followed() == null ? "" : followed(clips));
    parts.put("over", d.output().atTime() == null ? "all inputs" : "time");
    parts.put("output_note", d.output().atTime() == null ? "With all of these attentions converted, over the inputs that were held out."
        : "With all of these attentions converted, on finished clips with noise; t is the share of the noise.");
    parts.put("times_of", d.output().atTime() == null ? "" : "t");
    parts.put("times", times(d.output()));
    parts.put("pairs", DemoPage.pairs(measured.clips()));
    parts.put("seconds", HtmlPage.format("%.0f", d.seconds()));
    return HtmlPage.fill("report.html", parts);
  }

  private static String sites(ReportCommand.Document d) {
    StringBuilder rows = new StringBuilder();
    double longest = d.sites().stream().mapToDouble(s -> Math.max(s.error(), s.plainLinear())).max().orElseThrow();
    for (ReportCommand.Site s : d.sites()) {
      rows.append(HtmlPage.row(HtmlPage.code(s.name()), HtmlPage.escape(s.maps()), Long.toString(s.state()), bar(s.error(), longest),
          bar(s.plainLinear(), longest), percent(s.meanOfValues())));
    }
    return rows.toString();
  }

  private static String times(OutputErrors errors) {
    if (errors.atTime() == null) {
      return HtmlPage.row("all inputs", percent(errors.mean()));
    }
    StringBuilder rows = new StringBuilder();
    double longest = errors.atTime().values().stream().mapToDouble(e -> e).max().orElseThrow();
    errors.atTime().forEach((t, error) -> rows.append(HtmlPage.row(t, bar(error, longest))));
    return rows.toString();
  }

  private static String followed(SampledClips.Summary clips) {
    StringBuilder rows = new StringBuilder();
    int n = clips.clips().size();
    clips.followed().forEach((word, f) -> rows.append(HtmlPage.row(word, percent((double) f.original() / n), percent((double) f.converted() / n))));
    return "<h2>Prompts followed</h2><p class=\"note\">How many of the clips show the shape and the colour that the prompt names.</p>"
        + "<table><thead><tr><th></th><th>original</th><th>converted</th></tr></thead><tbody>" + rows + "</tbody></table>";
  }

  /** The longest bar has its full width. */
  private static String bar(double error, double longest) {
    double width = longest > 0 && error >= 0 ? 90 * error / longest : 0;
    return HtmlPage.format("<span class=\"bar\" style=\"--w:%.0fpx\"></span>", width) + percent(error);
  }

  private static String percent(double value) {
    return HtmlPage.format("%.1f %%", 100 * value);
  }
}
