package dev.hla.distill;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Threads that work side by side, each with PyTorch operators of one thread: those here are too small to be split, and sums
 * come out the same whatever the machine. Closing waits for what is being done; so does the end of the process, since
 * native code that still runs while its library is torn down crashes.
 */
final class Workers implements AutoCloseable {
  private static final long PATIENCE_SECONDS = 20;

  private final ExecutorService pool;
  private final Thread hook = new Thread(this::stop);

  Workers(int count) {
    pool = Executors.newFixedThreadPool(Math.max(1, count), work -> new Thread(work, "distill"));
    Runtime.getRuntime().addShutdownHook(hook);
  }

  <T> Future<T> submit(Callable<T> task) {
    return pool.submit(() -> {
      // Here, so that where PyTorch cannot be loaded the task fails: a thread that dies before it takes the task would leave it waiting.
      Torch.oneThread();
      return task.call();
    });
  }

  private void stop() {
    pool.shutdownNow();
    try {
      pool.awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    stop();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The process ends already: the hook does what was done here.
      return;
    }
  }
}
