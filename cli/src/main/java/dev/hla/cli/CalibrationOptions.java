package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.distill.Calibration;
import dev.hla.distill.Distillation;
import dev.hla.distill.FolderCalibration;
import dev.hla.distill.Prompts;
import dev.hla.distill.SamplerCalibration;
import dev.hla.runtime.FlowSampler;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Vocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Option;

/** Where calibration inputs come from, shared by the verbs that look at a model's attention. */
final class CalibrationOptions {
  private static final int FREE_FRAMES = 8;
  private static final int FREE_SIZE = 24;

  @Option(names = "--inputs", paramLabel = "FOLDER",
      description = "a folder with a .npz file for each set of inputs (default: clips that the model samples itself)")
  Path inputs;

  @Option(names = "--prompts", paramLabel = "FILE", description = "where prompts for sampling come from: a vocabulary (.json), or a .npz"
      + " with the embedding [tokens, width] of each (default: vocabulary.json beside MODEL)")
  Path prompts;

  @Option(names = "--dim", paramLabel = "NAME=N", converter = {OptionValues.AxisName.class, OptionValues.OneOrMore.class},
      description = "size of an axis of the clip that the model leaves open")
  Map<String, Integer> dimensions = Map.of();

  @Option(names = "--samples", paramLabel = "N", defaultValue = "96", converter = OptionValues.OneOrMore.class,
      description = "sets of inputs to fit to (default: ${DEFAULT-VALUE})")
  int samples;

  @Option(names = "--held-out", paramLabel = "N", defaultValue = "16", converter = OptionValues.OneOrMore.class,
      description = "further sets to measure on (default: ${DEFAULT-VALUE})")
  int heldOut;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "seed of everything random (default: ${DEFAULT-VALUE})")
  long seed;

  @Option(names = "--threads", paramLabel = "N", defaultValue = "0", converter = OptionValues.Threads.class, description = "threads to use (default: one per core)")
  int threads;

  /** What was asked for. */
  Distillation.Settings settings() {
    return new Distillation.Settings(samples, heldOut, seed, threads);
  }

  /** How the original and converted models run. */
  ModelSession.Settings session() {
    return settings().session();
  }

  /** Fits to do side by side. */
  int workers() {
    return settings().workers();
  }

  /** Opens the inputs for a model. */
  Calibration open(Path model, ModelSession.Settings settings) throws IOException {
    if (inputs != null) {
      try (ModelSession session = ModelSession.open(model, settings)) {
        return new FolderCalibration(inputs, session.inputs(), session.defaults());
      }
    }
    ModelSession session = ModelSession.open(model, settings);
    try {
      return new SamplerCalibration(session, prompts(model), shape(new FlowSampler(session).latents()), seed);
    } catch (HlaException | IOException e) {
      session.close();
      throw e;
    }
  }

  /** Random prompts for sampling. */
  Prompts prompts(Path model) throws IOException {
    Path file = prompts != null ? prompts : model.resolveSibling("vocabulary.json");
    if (prompts == null && !Files.exists(file)) {
      throw new HlaException("there is no vocabulary.json beside " + model + "; name prompts with --prompts, or give inputs with --inputs");
    }
    Verb.existing(file);
    try {
      return file.toString().endsWith(".npz") ? Prompts.of(file) : Prompts.of(Vocabulary.read(file), file);
    } catch (HlaException e) {
      throw new HlaException(e.getMessage() + " (--prompts)", e);
    }
  }

  /** The shape of one clip. */
  long[] shape(Slot latents) {
    List<String> names = latents.dimensions();
    dimensions.keySet().stream().filter(name -> !names.contains(name)).findFirst().ifPresent(name -> {
      throw new HlaException("--dim " + name + ": the model's clip is " + latents.shapeText());
    });
    long[] shape = new long[names.size()];
    for (int axis = 0; axis < shape.length; axis++) {
      int free = axis == 0 ? 1 : axis == shape.length - 3 ? FREE_FRAMES : FREE_SIZE;
      shape[axis] = latents.shape().get(axis) >= 0 ? latents.shape().get(axis) : dimensions.getOrDefault(names.get(axis), free);
    }
    return shape;
  }
}
