package dev.hla.distill;

import dev.hla.converter.HlaException;
import java.io.Serializable;
import java.nio.file.Path;

/**
 * One fit, told so that any process can do it that sees the folder of the capture.
 *
 * @param folder of the capture
 * @param site number of the site in the capture
 * @param name the site's name
 * @param fitted samples to fit to, the first ones
 * @param total samples in all; those after the fitted ones are held out
 * @param checkpoint file for the state of an unfinished fit, or null to keep none
 * @param settings of the fit
 */
public record FitTask(String folder, int site, String name, int fitted, int total, String checkpoint, FitSettings settings)
    implements Serializable {

  /** Fits, in a thread of its own, so that it may be called from any. */
  public FitOutcome run() {
    try (Workers one = new Workers(1)) {
      return SiteFits.get(one.submit(this::fit));
    }
  }

  /** Fits in this thread, one of {@link Workers}. */
  FitOutcome fit() {
    try (CapturedData data = CapturedData.open(Path.of(folder), site)) {
      if (data.size() < total) {
        throw new HlaException(folder + ": holds " + data.size() + " samples, " + total + " are wanted; remove it, or name another folder");
      }
      FitCheckpoint kept = new FitCheckpoint(checkpoint == null ? null : Path.of(checkpoint));
      return FitOutcome.of(new SiteFit(data.range(0, fitted), data.range(fitted, total), settings).fit(kept));
    } catch (HlaException e) {
      return FitOutcome.failed(this, e.getMessage());
    } catch (RuntimeException e) {
      return FitOutcome.failed(this, "the fit failed (" + e + ")");
    }
  }
}
