import ai.onnxruntime.OrtSession;
import dev.hla.converter.FeatureMaps;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.runtime.HlaOperators;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Verification;
import java.nio.file.Path;
import java.util.List;

/** Converts a model, runs it on the operator library that came with the dependency, and compares it with the original. */
final class Consumer {
  /** Arguments: the folder of the model, the file to write, the version that is expected. */
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    Path original = folder.resolve("shapes_wan.onnx");
    Path converted = Path.of(arguments[1]);
    OnnxModel model = OnnxModel.load(original);
    Plan plan = Plan.of(AttentionFinder.find(model), FeatureMaps.load(folder.resolve("shapes_wan_maps.safetensors")));
    Rewriter.rewrite(model, plan).write(converted);

    var inputs = Npz.readAll(folder.resolve("example_inputs.npz"));
    try (var options = new OrtSession.SessionOptions()) {
      HlaOperators.Registration library = HlaOperators.register(options);
      expect("the library's version", arguments[2], library.version());
      expect("where it was found", "extracted from the jar", library.foundBy());
      try (ModelSession session = ModelSession.open(converted, options)) {
        expect("the output's shape", List.of(2L, 3L, 8L, 24L, 24L).toString(), java.util.Arrays.toString(session.run(inputs).get("sample").shape()));
      }
    }
    double error = Verification.of(original, converted, inputs).outputs().get(0).difference().relative();
    expect("an error below 0.1", true, error > 0 && error < 0.1);
  }

  private static void expect(String what, Object expected, Object actual) {
    if (!expected.equals(actual)) {
      throw new AssertionError(what + ": " + expected + " was expected, but " + actual + " came");
    }
  }
}
