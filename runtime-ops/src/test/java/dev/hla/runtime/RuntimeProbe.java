package dev.hla.runtime;

import ai.onnxruntime.OrtEnvironment;
import dev.hla.converter.HlaException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Runs models in the ONNX Runtime that is on the class path, with the operator library and without it, for {@link RuntimeVersionsTest}:
 * {@code RuntimeProbe OUTPUTS MODEL...}, each model with its inputs beside it (NAME.npz). Prints the runtime's version, then a line
 * {@code NAME library|function: ok} or {@code NAME library|function: error: MESSAGE} for each run, and leaves the outputs as
 * OUTPUTS/NAME.library.npz and OUTPUTS/NAME.function.npz.
 */
final class RuntimeProbe {
  private RuntimeProbe() {}

  public static void main(String[] args) throws Exception {
    System.out.println(OrtEnvironment.getEnvironment().getVersion());
    for (int i = 1; i < args.length; i++) {
      for (boolean library : new boolean[] {true, false}) {
        Path model = Path.of(args[i]);
        String name = model.getFileName().toString().replace(".onnx", "");
        String how = library ? "library" : "function";
        try (OutputStream out = Files.newOutputStream(Path.of(args[0], name + "." + how + ".npz"))) {
          Npz.write(run(model, model.resolveSibling(name + ".npz"), library), out);
          System.out.println(name + " " + how + ": ok");
        } catch (HlaException e) {
          System.out.println(name + " " + how + ": error: " + e.getMessage());
        }
      }
    }
  }

  /** A model that gives a state runs twice, the second time with the state of the first. */
  private static Map<String, Tensor> run(Path model, Path inputs, boolean library) throws Exception {
    try (ModelSession session = ModelSession.open(model, new ModelSession.Settings(library, 2))) {
      Map<String, Tensor> feeds = new HashMap<>(Npz.readAll(inputs));
      Map<String, Tensor> results = session.run(feeds);
      if (results.containsKey("next_state")) {
        feeds.put("state", results.get("next_state"));
        results = session.run(feeds);
      }
      return results;
    }
  }
}
