package dev.hla.distill.spark;

import dev.hla.converter.HlaException;
import dev.hla.distill.FitEngine;
import dev.hla.distill.FitOutcome;
import dev.hla.distill.FitTask;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.spark.api.java.JavaFutureAction;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Fits as jobs of Spark, each of one task, so that each ends and fails for itself. A fit of which a machine is lost starts
 * again on another one, from its checkpoint.
 */
final class SparkEngine implements FitEngine {
  private final JavaSparkContext spark;
  private final boolean local;

  /** @param local whether fits run in this process */
  SparkEngine(JavaSparkContext spark, boolean local) {
    this.spark = spark;
    this.local = local;
  }

  @Override
  public List<FitOutcome> fit(List<FitTask> tasks, Runnable onFit) {
    boolean here = local;
    List<JavaFutureAction<List<FitOutcome>>> jobs = new ArrayList<>();
    try {
      for (FitTask task : tasks) {
        jobs.add(spark.parallelize(List.of(task), 1).map(t -> outcome(t, here)).collectAsync());
      }
    } catch (IllegalStateException e) {
      throw new HlaException("Spark has stopped (" + reason(e) + "); the fits go on from their last checkpoints when started again", e);
    }
    List<FitOutcome> outcomes = new ArrayList<>();
    for (int i = 0; i < jobs.size(); i++) {
      outcomes.add(outcome(tasks.get(i), jobs.get(i)));
      onFit.run();
    }
    return outcomes;
  }

  /** Runs on the machine that fits. */
  private static FitOutcome outcome(FitTask task, boolean here) {
    FitOutcome outcome = task.run();
    return here || outcome.failure() == null ? outcome : FitOutcome.failed(task, outcome.failure() + " (on " + host() + ")");
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "a machine without a name";
    }
  }

  private static FitOutcome outcome(FitTask task, JavaFutureAction<List<FitOutcome>> job) {
    try {
      return job.get().get(0);
    } catch (ExecutionException e) {
      return FitOutcome.failed(task, "the fit failed in Spark (" + reason(e.getCause()) + ")");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new HlaException("the fits were interrupted; they go on from their last checkpoints when started again", e);
    }
  }

  /** The first line: Spark's messages go on with stack traces. */
  static String reason(Throwable e) {
    String message = e.getMessage();
    return message == null ? e.toString() : message.strip().lines().findFirst().orElse(e.toString());
  }

  @Override
  public void close() {
    spark.close();
  }
}
