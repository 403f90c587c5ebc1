package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What names of models and sites do to a page. */
class HtmlPageTest {
  private static final String ODD = "a<b>&\"c\" {{seconds}} $1 \\ \u00fc";

  @Test
  void aNameIsTextAndNothingElse() throws IOException {
    String page = page(new OutputErrors(Map.of("0.1", 0.2), 0.2), 0.1);
    String shown = "<code>a&lt;b&gt;&amp;&quot;c&quot; {{seconds}} $1 \\ \u00fc</code>";
    // The model and the maps in the first paragraph, the site in its table.
    assertEquals(3, page.split(java.util.regex.Pattern.quote(shown), -1).length - 1, page);
    assertFalse(page.contains("a<b>"), page);
    assertFalse(page.matches("(?s).*(https?:|src=\"(?!data:)).*"), "the page asks for something");
  }

  @Test
  void thePageSaysWhatTheErrorsAreOf() throws IOException {
    String clips = page(new OutputErrors(Map.of("0.1", 0.2), 0.2), 0.1);
    assertTrue(clips.contains("mean over time") && clips.contains("t is the share of the noise"), clips);
    String folder = page(new OutputErrors(null, 0.2), 0);
    assertTrue(folder.contains("mean over all inputs") && !folder.contains("share of the noise"), folder);
    assertFalse(folder.contains("NaN"), folder);
  }

  private static String page(OutputErrors output, double error) throws IOException {
    ReportCommand.Site site = new ReportCommand.Site(ODD, "8^2", 36, error, new double[] {error}, error, 0.5);
    return ReportPage.of(new ReportCommand.Measured(new ReportCommand.Document(ODD, ODD, List.of(site), List.of(), output, null, 7), List.of()));
  }
}
