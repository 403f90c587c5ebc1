package dev.hla.distill;

import java.io.Serializable;

/**
 * How a fit ended.
 *
 * @param result what it gave, or null where it failed
 * @param failure why it failed, in a line that names the site; null where it did not
 */
public record FitOutcome(SiteResult result, String failure) implements Serializable {
  static FitOutcome of(SiteResult result) {
    return new FitOutcome(result, null);
  }

  /** A failure for the given reason. */
  public static FitOutcome failed(FitTask task, String reason) {
    return new FitOutcome(null, reason.startsWith(task.name()) ? reason : task.name() + ": " + reason);
  }
}
