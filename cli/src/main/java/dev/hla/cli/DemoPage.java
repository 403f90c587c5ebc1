package dev.hla.cli;

import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Kept;
import dev.hla.runtime.Animation;
import dev.hla.runtime.Picture;
import dev.hla.runtime.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The demo as one HTML page that needs nothing beside it: pictures are data in the page, the chart is SVG. */
final class DemoPage {
  private DemoPage() {}

  static String of(Demo demo, double seconds) throws IOException {
    Map<String, String> parts = new LinkedHashMap<>();
    Demo.Clip hero = demo.clips().get(0);
    Demo.Timing last = demo.timings().get(demo.timings().size() - 1);
    parts.put("prompt", HtmlPage.escape(hero.prompt()));
    parts.put("original", animation(hero.original()));
    parts.put("converted", animation(hero.converted()));
    parts.put("original_frames", frames(hero.original()));
    parts.put("converted_frames", frames(hero.converted()));
    parts.put("speedup", HtmlPage.format("%.1f", last.original() / last.library()));
    parts.put("longest", HtmlPage.format("%,d", last.tokens()));
    parts.put("error", HtmlPage.format("%.1f %%", 100 * DemoCommand.error(demo.comparison())));
    parts.put("agreement", power(DemoCommand.error(demo.agreement())));
    parts.put("psnr", HtmlPage.format("%.1f", hero.psnr()));
    parts.put("pairs", pairs(demo.clips().subList(1, demo.clips().size())));
    parts.put("site_count", Integer.toString(demo.report().sites().size()));
    parts.put("converted_count", Integer.toString(demo.plan().choices().size()));
    parts.put("inspected", inspected(demo));
    parts.put("sites", sites(demo));
    parts.put("nodes", demo.nodesBefore() + " nodes before, " + demo.nodesAfter() + " after");
    parts.put("chart", TimingChart.svg(demo.timings()));
    parts.put("timings", timings(demo.timings()));
    parts.put("steps", Integer.toString(Demo.SETTINGS.steps()));
    parts.put("guidance", HtmlPage.format("%.0f", Demo.SETTINGS.guidance()));
    parts.put("machine", machine(demo));
    parts.put("seconds", HtmlPage.format("%.0f", seconds));
    return HtmlPage.fill("demo.html", parts);
  }

  /** One pixel a pixel: the page scales it up, sharply. */
  private static String animation(Tensor video) throws IOException {
    return png(Picture.frames(video, 1));
  }

  private static String frames(Tensor video) throws IOException {
    return png(List.of(Picture.row(Picture.frames(video, 8), 8)));
  }

  private static String png(List<Picture> frames) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Animation.png(frames, DemoCommand.FRAME_MILLIS, bytes);
    return "data:image/png;base64," + Base64.getEncoder().encodeToString(bytes.toByteArray());
  }

  static String pairs(List<Demo.Clip> clips) throws IOException {
    StringBuilder html = new StringBuilder();
    for (Demo.Clip clip : clips) {
      html.append("<figure class=\"pair\"><div><img src=\"").append(animation(clip.original())).append("\" alt=\"original\"><img src=\"")
          .append(animation(clip.converted())).append("\" alt=\"converted\"></div><figcaption>").append(HtmlPage.escape(clip.prompt()))
          .append("<span>").append(HtmlPage.format("%.1f dB", clip.psnr())).append("</span></figcaption></figure>\n");
    }
    return html.toString();
  }

  private static String inspected(Demo demo) {
    Map<String, String> kept = new LinkedHashMap<>();
    for (Kept k : demo.plan().kept()) {
      kept.put(k.name(), k.reason());
    }
    StringBuilder rows = new StringBuilder();
    for (AttentionSite site : demo.report().sites()) {
      String reason = kept.get(site.name());
      rows.append(HtmlPage.row(HtmlPage.code(site.name()), HtmlPage.escape(site.kind().toString()), site.heads() + " × " + site.headDim(), HtmlPage.code(site.form()),
          reason == null ? "<b>converted</b>" : "kept: " + HtmlPage.escape(reason)));
    }
    return rows.toString();
  }

  private static String sites(Demo demo) {
    StringBuilder rows = new StringBuilder();
    for (VerifyCommand.Site site : demo.sites()) {
      rows.append(HtmlPage.row(HtmlPage.code(site.name()), factors(site.ranks(), site.powers()), Long.toString(Demo.state(site.ranks(), site.powers())),
          site.relativeError() == null ? "" : bar(site.relativeError()), VerifyCommand.cosine(site.cosine()),
          Table.number(site.smallestDenominatorRelative())));
    }
    return rows.toString();
  }

  /** Such as 8² · 3² · 1. */
  private static String factors(List<Integer> ranks, List<Integer> powers) {
    StringBuilder text = new StringBuilder();
    for (int f = 0; f < ranks.size(); f++) {
      text.append(f == 0 ? "" : " · ").append(ranks.get(f)).append(powers.get(f) == 1 ? "" : "<sup>" + powers.get(f) + "</sup>");
    }
    return text.toString();
  }

  private static String bar(double error) {
    return HtmlPage.format("<span class=\"bar\" style=\"--w:%.1f%%\"></span>%.1f %%", Math.min(100, 400 * error), 100 * error);
  }

  private static String timings(List<Demo.Timing> timings) {
    StringBuilder rows = new StringBuilder();
    for (Demo.Timing t : timings) {
      rows.append(HtmlPage.row(HtmlPage.format("%,d", t.tokens()), HtmlPage.format("%.1f", t.original()), HtmlPage.format("%.1f", t.library()), HtmlPage.format("%.1f", t.plain()),
          HtmlPage.format("<b>%.1f ×</b>", t.original() / t.library())));
    }
    return rows.toString();
  }

  private static String machine(Demo demo) {
    var m = demo.machine();
    String library = m.library() == null ? "no operator library" : m.library().instructionSet() + " kernels";
    return HtmlPage.escape(m.processor() + ", " + m.cores() + " cores, " + library + ", ONNX Runtime " + m.onnxRuntime() + ", Java " + m.java());
  }

  /** Such as 2 · 10⁻⁷. */
  private static String power(double value) {
    if (value == 0) {
      return "0";
    }
    int exponent = (int) Math.floor(Math.log10(value));
    return HtmlPage.format("%.0f · 10<sup>%d</sup>", value / Math.pow(10, exponent), exponent).replace("-", "−");
  }
}
