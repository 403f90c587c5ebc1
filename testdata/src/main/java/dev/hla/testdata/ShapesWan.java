package dev.hla.testdata;

import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The files of shapes_wan, a trained video diffusion transformer with the architecture of Wan; its README, beside them,
 * says what they hold. They are read where the sources lie and are not part of the jar.
 */
public final class ShapesWan {
  private static final Path FOLDER = folder();

  private ShapesWan() {}

  /** The float32 model. */
  public static Path model() {
    return FOLDER.resolve("shapes_wan.onnx");
  }

  /** The same model with float16 weights and tensors. */
  public static Path modelFp16() {
    return FOLDER.resolve("shapes_wan_fp16.onnx");
  }

  /** Feature maps of its four self-attentions. */
  public static Path maps() {
    return FOLDER.resolve("shapes_wan_maps.safetensors");
  }

  /** The words of its prompts and their embeddings. */
  public static Path vocabulary() {
    return FOLDER.resolve("vocabulary.json");
  }

  /** {@code noise} and {@code video}, both float32 [1, 3, 8, 24, 24]: a sample of the original model. */
  public static Path reference() {
    return FOLDER.resolve("reference.npz");
  }

  /** {@code video}, float32 [1, 3, 8, 24, 24]: what the model converted with {@link #maps} makes of the same noise. */
  public static Path convertedReference() {
    return FOLDER.resolve("reference_hla.npz");
  }

  /** One set of the model's inputs, batch 2. */
  public static Path exampleInputs() {
    return FOLDER.resolve("example_inputs.npz");
  }

  private static Path folder() {
    try {
      // Either target/classes or target/testdata-VERSION.jar.
      Path code = Path.of(ShapesWan.class.getProtectionDomain().getCodeSource().getLocation().toURI());
      Path folder = code.getParent().resolveSibling("models").resolve("shapes_wan");
      if (!Files.isDirectory(folder)) {
        throw new IllegalStateException(folder + " is missing: shapes_wan is read from a checkout of the project");
      }
      return folder;
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
