package dev.hla.conversion;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The models beside the project, in ../shared, each with the truth about its attention sites and with inputs. */
final class Corpus {
  private static final Path FOLDER = Path.of("..", "..", "shared", "models", "visible");

  private Corpus() {}

  /** Tests run in the module's folder; the models lie beside the project's. */
  static boolean isThere() {
    return Files.isDirectory(FOLDER);
  }

  static List<Path> models() {
    if (!isThere()) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(FOLDER)) {
      return files.filter(f -> f.toString().endsWith(".onnx")).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path beside(Path model, String ending) {
    return model.resolveSibling(model.getFileName().toString().replace(".onnx", ending));
  }

  static JsonNode truth(Path model) {
    try {
      return new JsonMapper().readTree(beside(model, ".json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** One set of inputs, and a second shape where the model is open and one is given. */
  static List<Map<String, Tensor>> inputs(Path model) {
    return Stream.of(beside(model, ".npz"), beside(model, ".alt.npz")).filter(Files::exists).map(Corpus::inputsOf).toList();
  }

  private static Map<String, Tensor> inputsOf(Path file) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    try {
      Npz.readAll(file).forEach((name, tensor) -> {
        if (name.startsWith("in:")) {
          inputs.put(name.substring(3), tensor);
        }
      });
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return inputs;
  }
}
