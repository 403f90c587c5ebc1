package dev.hla.conversion;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import dev.hla.converter.OnnxModel;
import java.nio.file.Path;

/** Models as ONNX Runtime's own optimiser leaves them. */
final class Optimised {
  private Optimised() {}

  /** Opens the model so that the runtime writes what it made of it, and loads that. */
  static OnnxModel of(Path model, OptLevel level, Path target) {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      options.setOptimizationLevel(level);
      options.setOptimizedModelFilePath(target.toString());
      OrtEnvironment.getEnvironment().createSession(model.toString(), options).close();
      return OnnxModel.load(target);
    } catch (OrtException e) {
      throw new IllegalStateException(model + " at " + level, e);
    }
  }
}
