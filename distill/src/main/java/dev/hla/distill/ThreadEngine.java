package dev.hla.distill;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;

/** Fits in threads of this process, each fit in one. */
final class ThreadEngine implements FitEngine {
  private final int threads;

  ThreadEngine(int threads) {
    this.threads = threads;
  }

  @Override
  public List<FitOutcome> fit(List<FitTask> tasks, Runnable onFit) {
    try (Workers pool = new Workers(Math.min(threads, tasks.size()))) {
      List<Future<FitOutcome>> futures = new ArrayList<>();
      for (FitTask task : tasks) {
        futures.add(pool.submit(() -> {
          FitOutcome outcome = task.fit();
          synchronized (this) {
            onFit.run();
          }
          return outcome;
        }));
      }
      List<FitOutcome> outcomes = new ArrayList<>();
      for (Future<FitOutcome> future : futures) {
        outcomes.add(SiteFits.get(future));
      }
      return outcomes;
    }
  }

  @Override
  public void close() {}
}
