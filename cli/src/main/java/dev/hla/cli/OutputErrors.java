package dev.hla.cli;

import dev.hla.converter.SiteMaps;
import dev.hla.distill.ModelError;
import dev.hla.distill.SamplerCalibration;
import dev.hla.runtime.ModelSession;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Relative errors of the converted model's output on held-out inputs.
 *
 * @param atTime of finished clips with noise, by its share t; null where inputs come from a folder
 * @param mean over those times, or over all held-out inputs
 */
record OutputErrors(Map<String, Double> atTime, double mean) {
  /** Shares of noise at which the model's output is compared. */
  static final List<Float> TIMES = List.of(0.1f, 0.4f, 0.7f, 0.95f);

  static OutputErrors measure(ModelError error, Map<String, SiteMaps> maps, Fitting fitting, CalibrationOptions options, List<Float> times) {
    try (ModelSession converted = error.converted(maps)) {
      if (!(fitting.inputs() instanceof SamplerCalibration sampler)) {
        return new OutputErrors(null, error.of(converted, fitting.heldOut()));
      }
      List<Integer> held = IntStream.range(options.samples, options.samples + options.heldOut).boxed().toList();
      Map<String, Double> atTime = new LinkedHashMap<>();
      for (float t : times) {
        atTime.put(Float.toString(t), error.of(converted, held.stream().map(i -> sampler.noised(i, t)).toList()));
      }
      return new OutputErrors(atTime, atTime.values().stream().mapToDouble(e -> e).average().orElseThrow());
    }
  }

  String text() {
    return Table.number(mean) + (atTime == null ? "" : " (" + String.join(", ", atTime.entrySet().stream()
        .map(e -> Table.number(e.getValue()) + " at t = " + e.getKey()).toList()) + ")");
  }
}
