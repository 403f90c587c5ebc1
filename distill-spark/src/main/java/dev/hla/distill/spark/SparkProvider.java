package dev.hla.distill.spark;

import dev.hla.converter.HlaException;
import dev.hla.distill.FitEngine;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Starts Spark. The address is a master of Spark's: {@code local[*]} for the cores of this machine, {@code
 * spark://HOST:7077} for a cluster. System properties that begin with {@code spark.} are Spark's settings.
 */
public final class SparkProvider implements FitEngine.Provider {
  private static final String WAIT = "spark.hla.waitSeconds";
  private static final int WAIT_SECONDS = 120;

  @Override
  public String name() {
    return "spark";
  }

  @Override
  public FitEngine open(String master) {
    boolean local = master.startsWith("local");
    SparkConf settings = new SparkConf().setMaster(master).setAppName("hla")
        .setIfMissing("spark.ui.enabled", "false")
        // Two attempts at one fit would write one checkpoint.
        .set("spark.speculation", "false");
    if (local) {
      // Nothing outside this process has to find it, and a machine's own name may lead nowhere.
      settings.setIfMissing("spark.driver.host", "localhost").setIfMissing("spark.driver.bindAddress", "127.0.0.1");
    } else if (!settings.contains("spark.jars")) {
      settings.set("spark.jars", String.join(",", ExecutorJars.find()));
    }
    try {
      JavaSparkContext spark = new JavaSparkContext(settings);
      if (!local) {
        awaitMachine(spark, master);
      }
      return new SparkEngine(spark, local);
    } catch (HlaException e) {
      throw e;
    } catch (IllegalAccessError e) {
      throw new HlaException("Spark needs options for the Java machine that this one was started without; start with ./hla, or add"
          + " @distill-spark/java.options to the java command", e);
    } catch (Exception e) {
      // Spark's methods throw checked exceptions that they do not declare.
      throw new HlaException(master + ": Spark does not start (" + SparkEngine.reason(e) + ")", e);
    }
  }

  /** Runs a job of nothing: without it, a cluster that is not there, or has no room, would show after the capture, or never. */
  private static void awaitMachine(JavaSparkContext spark, String master) throws InterruptedException {
    int seconds = spark.getConf().getInt(WAIT, WAIT_SECONDS);
    try {
      spark.parallelize(List.of(0), 1).countAsync().get(seconds, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      spark.close();
      throw new HlaException(master + ": no machine of the cluster has had room for " + seconds + " s, one core and "
          + spark.getConf().get("spark.executor.memory", "1g") + " of memory; wait longer with the system property " + WAIT + "=3600", e);
    } catch (ExecutionException | IllegalStateException e) {
      spark.close();
      throw new HlaException(master + ": no master answers there, or none of Spark " + spark.version() + " ("
          + SparkEngine.reason(e instanceof ExecutionException ? e.getCause() : e) + ")", e);
    }
  }
}
