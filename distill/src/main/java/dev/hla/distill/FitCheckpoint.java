package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The state of an unfinished fit of one or more sites in a .npz file: maps, what the optimiser remembers, and the steps taken. */
final class FitCheckpoint {
  /** Steps between two checkpoints. */
  static final int EVERY = 50;

  private final Path file;

  /** @param file where to keep the state, or null to keep none */
  FitCheckpoint(Path file) {
    this.file = file;
  }

  /** Fills optimisers and their weights with what the file has; returns the steps taken, 0 where there is no file. */
  int restore(List<Soap> sites) {
    if (file == null || !Files.exists(file)) {
      return 0;
    }
    try {
      Map<String, Tensor> state = Npz.readAll(file);
      for (int i = 0; i < sites.size(); i++) {
        Soap soap = sites.get(i);
        String prefix = i + ".";
        fill(state, prefix + "weights.", soap.weights());
        soap.state().forEach((name, values) -> fill(state, prefix + name, values));
        fill(state, prefix + "steps", soap.steps());
        fill(state, prefix + "skipped", soap.skipped());
      }
      return (int) require(state, "step", 1).get(0);
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be read (" + e.getMessage() + "); remove it to fit from the start", e);
    }
  }

  private void fill(Map<String, Tensor> state, String prefix, MapWeights into) {
    for (MapWeights.Array array : into.arrays()) {
      System.arraycopy(require(state, prefix + array.name(), array.data().length).floats(), 0, array.data(), 0, array.data().length);
    }
  }

  private void fill(Map<String, Tensor> state, String name, double[] into) {
    Tensor values = require(state, name, into.length);
    for (int i = 0; i < into.length; i++) {
      into[i] = values.get(i);
    }
  }

  private void fill(Map<String, Tensor> state, String name, int[] into) {
    Tensor values = require(state, name, into.length);
    for (int i = 0; i < into.length; i++) {
      into[i] = (int) values.get(i);
    }
  }

  private Tensor require(Map<String, Tensor> state, String name, int size) {
    Tensor tensor = state.get(name);
    if (tensor == null || tensor.size() != size) {
      throw new HlaException(file + ": is no checkpoint of this fit (" + name + " is " + tensor + "); remove it to fit from the start");
    }
    return tensor;
  }

  /** Replaces the file. */
  void save(List<Soap> sites, int step) {
    if (file == null) {
      return;
    }
    Map<String, Tensor> state = new LinkedHashMap<>();
    for (int i = 0; i < sites.size(); i++) {
      Soap soap = sites.get(i);
      String prefix = i + ".";
      put(state, prefix + "weights.", soap.weights());
      soap.state().forEach((name, values) -> state.put(prefix + name, doubles(values)));
      state.put(prefix + "steps", integers(soap.steps()));
      state.put(prefix + "skipped", integers(soap.skipped()));
    }
    state.put("step", integers(step));
    try {
      Path partial = file.resolveSibling(file.getFileName() + ".part");
      try (OutputStream out = Files.newOutputStream(partial)) {
        Npz.write(state, out);
      }
      Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new HlaException(file + ": the checkpoint cannot be written (" + e.getMessage() + ")", e);
    }
  }

  private static void put(Map<String, Tensor> state, String prefix, MapWeights from) {
    from.arrays().forEach(array -> state.put(prefix + array.name(),
        Tensor.of(array.data(), array.shape()[0], array.shape()[1], array.shape()[2])));
  }

  private static Tensor doubles(double[] values) {
    Tensor tensor = Tensor.zeros(ElementType.FLOAT64, values.length);
    for (int i = 0; i < values.length; i++) {
      tensor.set(i, values[i]);
    }
    return tensor;
  }

  private static Tensor integers(int... values) {
    Tensor tensor = Tensor.zeros(ElementType.INT64, values.length);
    for (int i = 0; i < values.length; i++) {
      tensor.set(i, values[i]);
    }
    return tensor;
  }
}
