package dev.hla.cli;

import java.io.PrintWriter;

/** One line on a terminal that counts up and is wiped at the end. */
final class Progress implements AutoCloseable {
  private static final long REDRAW_NANOS = 100_000_000L;

  private final PrintWriter err;
  private final String what;
  private final long total;
  private long done;
  private long drawn;

  /** @param err where to draw, or null for nowhere */
  Progress(PrintWriter err, String what, long total) {
    // The launcher knows whether standard error is a terminal; Java 17 does not.
    this.err = Boolean.getBoolean("hla.terminal") ? err : null;
    this.what = what;
    this.total = total;
  }

  void step() {
    done++;
    long now = System.nanoTime();
    if (err != null && (now - drawn > REDRAW_NANOS || done == total)) {
      drawn = now;
      err.print("\r" + what + " " + done + " of " + total + "\u001b[K");
      err.flush();
    }
  }

  /** For work whose steps cannot be counted beforehand: draws what comes next. */
  void step(String next) {
    if (err != null) {
      drawn = System.nanoTime();
      err.print("\r" + what + next + "\u001b[K");
      err.flush();
    }
  }

  @Override
  public void close() {
    if (err != null && drawn != 0) {
      err.print("\r\u001b[K");
      err.flush();
    }
  }
}
