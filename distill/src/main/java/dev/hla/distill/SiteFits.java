package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.converter.SiteMaps;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.Consumer;

/**
 * Fits maps to many sites, as many at a time as there are threads. A fit takes one thread and depends on nothing but its
 * own samples, settings and seed, so the maps are the same whatever else runs.
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
   * @param onResult called with every result as it comes, from one thread at a time
   * @return the results, in the order of the jobs
   */
  public List<SiteResult> fit(List<Job> jobs, int threads, Consumer<SiteResult> onResult) {
    try (Workers pool = new Workers(Math.min(threads, jobs.size()))) {
      List<Future<SiteResult>> futures = new ArrayList<>();
      for (Job job : jobs) {
        futures.add(pool.submit(() -> {
          SiteResult result = fit(job);
          synchronized (this) {
            onResult.accept(result);
          }
          return result;
        }));
      }
      List<SiteResult> results = new ArrayList<>();
      for (Future<SiteResult> future : futures) {
        results.add(get(future));
      }
      return results;
    }
  }

  /** The error of maps that are there already, on the held-out samples of site number {@code site}. */
  public SiteError error(int site, SiteMaps maps) {
    return SiteMeasure.of(heldOut(site), MapWeights.of(maps));
  }

  /** The error of the mean of the values in place of attention, on the held-out samples of site number {@code site}. */
  public SiteError meanOfValues(int site) {
    return SiteMeasure.ofMean(heldOut(site));
  }

  private SiteData heldOut(int site) {
    return capture.sites().get(site).range(fitted, total);
  }

  private SiteResult fit(Job job) {
    SiteData data = capture.sites().get(job.site());
    FitSettings settings = job.settings();
    // The text's hash is the same in every process, which an enum's is not.
    String name = "fit-" + job.site() + "-" + Integer.toHexString(settings.toString().hashCode()) + "-" + fitted + ".npz";
    FitCheckpoint checkpoint = new FitCheckpoint(checkpoints == null ? null : checkpoints.resolve(name));
    return new SiteFit(data.range(0, fitted), data.range(fitted, total), settings).fit(checkpoint);
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
