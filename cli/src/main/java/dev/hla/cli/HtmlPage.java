package dev.hla.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;

/** What the pages that the verbs write have in common: templates, their style, and pieces of HTML. */
final class HtmlPage {
  private HtmlPage() {}

  /** A template with its {{parts}} put in, and the style that all pages share as {{style}}. */
  static String fill(String template, Map<String, String> parts) throws IOException {
    String page = resource(template).replace("{{style}}", resource("page.css"));
    for (Map.Entry<String, String> part : parts.entrySet()) {
      page = page.replace("{{" + part.getKey() + "}}", part.getValue());
    }
    return page;
  }

  private static String resource(String name) throws IOException {
    try (InputStream in = HtmlPage.class.getResourceAsStream(name)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  static String row(String... cells) {
    return "<tr><td>" + String.join("</td><td>", cells) + "</td></tr>\n";
  }

  static String code(String text) {
    return "<code>" + escape(text) + "</code>";
  }

  static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
  }
}
