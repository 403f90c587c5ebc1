package dev.hla.distill.spark;

import dev.hla.converter.HlaException;
import dev.hla.distill.FitEngine;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Starts Spark. The address is a master of Spark's: {@code local[*]} for the cores of this machine, {@code
 * spark://HOST:7077} for a cluster. System properties that begin with {@code spark.} are Spark's settings.
 */
public final class SparkProvider implements FitEngine.Provider {
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
      return new SparkEngine(new JavaSparkContext(settings), local);
    } catch (IllegalAccessError e) {
      throw new HlaException("Spark needs options for the Java machine that this one was started without; start with ./hla, or add"
          + " @distill-spark/java.options to the java command", e);
    } catch (Exception e) {
      // Spark's methods throw checked exceptions that they do not declare.
      throw new HlaException("--master " + master + ": Spark does not start (" + SparkEngine.reason(e) + ")", e);
    }
  }
}
