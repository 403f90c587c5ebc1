package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.PrintWriter;
import java.io.StringWriter;

/** What one command line did. */
public record Ran(int code, String out, String err) {
  public static Ran hla(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int code = Hla.run(new PrintWriter(out), new PrintWriter(err), arguments);
    return new Ran(code, out.toString(), err.toString());
  }

  /** The one line on standard error; fails where there are more or none. */
  public String errorLine() {
    assertEquals(1, err.lines().count(), "one line was expected on standard error, but: " + err);
    return err.strip();
  }
}
