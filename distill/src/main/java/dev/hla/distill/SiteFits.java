package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.converter.SiteMaps;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Fits maps to many sites, side by side in a {@link FitEngine}. A fit takes one thread and depends on nothing but its own
 * samples, settings and seed, so the maps are the same whatever else runs.
 */
public final class SiteFits {
  /**
   * One fit to do.
   *
   * @param site number of the site in the capture
   * @param settings of the fit
   */
  public record Job(int site, FitSettings settings) {}

  private final Capture capture;
  private final int fitted;
  private final int total;
  private final Path checkpoints;

  /**
   * @param capture has the samples
   * @param fitted samples to fit to, the first ones
   * @param total samples in all; those after the fitted ones are held out
   * @param checkpoints a folder for the states of unfinished fits, or null to keep none
   */
  public SiteFits(Capture capture, int fitted, int total, Path checkpoints) {
    this.capture = capture;
    this.fitted = fitted;
    this.total = total;
    this.checkpoints = checkpoints;
  }

  /**
   * Does all jobs.
   *
   * @param onFit called as fits end, from one thread at a time
   * @return the results, in the order of the jobs
   * @throws HlaException where fits failed, when the others are done; the message names their sites and the first reason
   */
  public List<SiteResult> fit(List<Job> jobs, FitEngine engine, Runnable onFit) {
    List<FitTask> tasks = jobs.stream().map(this::task).toList();
    return results(tasks, engine.fit(tasks, onFit));
  }

  static List<SiteResult> results(List<FitTask> tasks, List<FitOutcome> outcomes) {
    List<Integer> failed = IntStream.range(0, tasks.size()).filter(i -> outcomes.get(i).failure() != null).boxed().toList();
    if (!failed.isEmpty()) {
      String others = failed.stream().skip(1).map(i -> tasks.get(i).name()).distinct().collect(Collectors.joining(", "));
      boolean kept = tasks.get(0).checkpoint() != null && failed.size() < tasks.size();
      throw new HlaException(outcomes.get(failed.get(0)).failure() + (others.isEmpty() ? "" : "; these sites failed as well: " + others)
          + (kept ? "; the other fits are kept for a start with the same options" : ""));
    }
    return outcomes.stream().map(FitOutcome::result).toList();
  }

  private FitTask task(Job job) {
    // The text's hash is the same in every process, which an enum's is not.
    String name = "fit-" + job.site() + "-" + Integer.toHexString(job.settings().toString().hashCode()) + "-" + fitted + ".npz";
    return new FitTask(capture.folder().toAbsolutePath().toString(), job.site(), capture.observed().get(job.site()).name(), fitted, total,
        checkpoints == null ? null : checkpoints.resolve(name).toAbsolutePath().toString(), job.settings());
  }

  /** The error of maps that are there already, on the held-out samples of site number {@code site}. */
  public SiteError error(int site, SiteMaps maps) {
    try (CapturedData data = CapturedData.open(capture.folder(), site)) {
      return SiteMeasure.of(data.range(fitted, total), MapWeights.of(maps));
    }
  }

  /** The error of the mean of the values in place of attention, on the held-out samples of site number {@code site}. */
  public SiteError meanOfValues(int site) {
    try (CapturedData data = CapturedData.open(capture.folder(), site)) {
      return SiteMeasure.ofMean(data.range(fitted, total));
    }
  }

  /** What a task gave; throws what it threw. */
  static <T> T get(Future<T> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (e.getCause() instanceof Error cause) {
        throw cause;
      }
      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new HlaException("the fit was interrupted; it goes on from its last checkpoint when started again", e);
    }
  }
}
