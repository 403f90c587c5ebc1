package dev.hla.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the pages that the verbs write have in common: templates, their style, and pieces of HTML. */
final class HtmlPage {
  private static final Pattern PART = Pattern.compile("\\{\\{(\\w+)}}");

  private HtmlPage() {}

  /** A template with its {{parts}} put in, and the style that all pages share as {{style}}. What a part says is not looked at again. */
  static String fill(String template, Map<String, String> parts) throws IOException {
    String page = resource(template).replace("{{style}}", resource("page.css"));
    return PART.matcher(page).replaceAll(part -> Matcher.quoteReplacement(parts.getOrDefault(part.group(1), part.group())));
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
