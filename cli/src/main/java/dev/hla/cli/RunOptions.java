package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.RandomInputs;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Option;

/** How a model is opened, shared by the verbs that run one. */
final class RunOptions {
  @Option(names = "--no-library", description = "do not register the operator library: converted attention runs as plain ONNX")
  boolean noLibrary;

  @Option(names = "--threads", paramLabel = "N", defaultValue = "0", converter = OptionValues.Threads.class,
      description = "threads of one operator (default: one per core)")
  int threads;

  ModelSession.Settings settings() {
    return new ModelSession.Settings(!noLibrary, threads);
  }

  /** Where a model's inputs come from, shared by run and verify. */
  static final class Inputs {
    @Option(names = {"-i", "--input"}, paramLabel = "[NAME=]FILE",
        description = "a .npz file with inputs under their names (or in:NAME), or one input as NAME=FILE.npy or NAME=FILE.npz:ARRAY;"
            + " inputs that are not given are made up from their shapes")
    List<String> files = List.of();

    @Option(names = "--dim", paramLabel = "NAME=N", converter = {OptionValues.AxisName.class, OptionValues.OneOrMore.class},
        description = "size of an axis that the model leaves open, for inputs that are made up")
    Map<String, Integer> dimensions = Map.of();

    @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "seed of what is made up (default: 0)")
    long seed;

    /** What the files give, and the rest to be made up. */
    record Given(Map<String, Tensor> values, RandomInputs others) {}

    Given read() throws IOException {
      Map<String, Tensor> given = new LinkedHashMap<>();
      Map<String, String> unreadable = new LinkedHashMap<>();
      for (String file : files) {
        int equals = file.indexOf('=');
        if (equals > 0) {
          given.put(file.substring(0, equals), Npz.readReference(file.substring(equals + 1)));
        } else {
          given.putAll(arrays(Verb.existing(Path.of(file)), unreadable));
        }
      }
      return new Given(given, new RandomInputs(dimensions, seed, unreadable));
    }

    private static Map<String, Tensor> arrays(Path file, Map<String, String> unreadable) throws IOException {
      Map<String, Tensor> arrays = new LinkedHashMap<>();
      Map<String, String> passedOver = new LinkedHashMap<>();
      Npz.readAll(file, (name, reason) -> passedOver.put(input(name), reason)).forEach((name, value) -> {
        // Files that hold a whole test case keep its outputs as out:NAME.
        if (!name.startsWith("out:")) {
          arrays.put(input(name), value);
        }
      });
      if (arrays.isEmpty()) {
        throw new HlaException(passedOver.isEmpty() ? file + ": gives no input; a .npz archive with an array NAME.npy for each input is wanted"
            : String.join("; ", passedOver.values()));
      }
      unreadable.putAll(passedOver);
      return arrays;
    }

    private static String input(String name) {
      return name.startsWith("in:") ? name.substring(3) : name;
    }
  }
}
