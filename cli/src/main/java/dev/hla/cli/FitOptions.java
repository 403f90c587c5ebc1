package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.distill.FitEngine;
import picocli.CommandLine.Option;

/** Where fits run: in threads of this process, or through Apache Spark where the build has it. */
final class FitOptions {
  @Option(names = "--spark", description = "fit the sites through Apache Spark, which the build has with -Pspark")
  boolean spark;

  @Option(names = "--master", paramLabel = "URL", description = "Spark's master, such as spark://HOST:7077 (default: local[*], the cores of"
      + " this machine); its machines must see the work folder under the same path")
  String master;

  /** @throws dev.hla.converter.HlaException where Spark is asked for and not there, or does not start */
  FitEngine open(CalibrationOptions calibration) {
    if (!spark && master == null) {
      return FitEngine.threads(calibration.workers());
    }
    EndSignals.shutDown();
    try {
      return FitEngine.of("spark", master != null ? master : calibration.threads > 0 ? "local[" + calibration.threads + "]" : "local[*]");
    } catch (HlaException e) {
      throw new HlaException((master != null ? "--master: " : "--spark: ") + e.getMessage(), e);
    }
  }
}
