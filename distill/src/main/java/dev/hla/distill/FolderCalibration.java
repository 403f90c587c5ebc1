package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * One set of inputs from each .npz file of a folder, in the order of their names. Arrays are named as the model's inputs,
 * or {@code in:NAME}; others are passed over. A model with a single input takes .npy files too.
 */
public final class FolderCalibration implements Calibration {
  private final Path folder;
  private final List<Path> files;
  private final List<Slot> slots;

  /** @throws HlaException where the folder has no such file */
  public FolderCalibration(Path folder, List<Slot> slots) {
    this.folder = folder;
    this.slots = List.copyOf(slots);
    String pattern = slots.size() == 1 ? ".*\\.np[yz]" : ".*\\.npz";
    if (!Files.isDirectory(folder)) {
      throw new HlaException(folder + ": no such folder; give one with a .npz file for each set of inputs");
    }
    try (Stream<Path> list = Files.list(folder)) {
      files = list.filter(file -> file.getFileName().toString().matches(pattern)).sorted().toList();
    } catch (IOException e) {
      throw new HlaException(folder + ": cannot be read (" + e.getMessage() + ")", e);
    }
    if (files.isEmpty()) {
      throw new HlaException(folder + ": has no .npz file; each set of inputs is one, with an array for each of "
          + slots.stream().map(Slot::name).toList());
    }
  }

  @Override
  public String identity() {
    StringBuilder text = new StringBuilder("folder");
    for (Path file : files) {
      text.append(' ').append(file.getFileName()).append(':').append(file.toFile().length());
    }
    return text.toString();
  }

  @Override
  public int size() {
    return files.size();
  }

  @Override
  public Map<String, Tensor> inputs(int index) {
    Path file = files.get(index);
    try {
      if (file.toString().endsWith(".npy")) {
        return Map.of(slots.get(0).name(), Npz.readReference(file.toString()));
      }
      Map<String, Tensor> arrays = Npz.readAll(file);
      Map<String, Tensor> inputs = new LinkedHashMap<>();
      for (Slot slot : slots) {
        Tensor array = arrays.getOrDefault(slot.name(), arrays.get("in:" + slot.name()));
        if (array == null) {
          throw new HlaException(file + ": has no array " + slot.name() + " " + slot.shapeText() + ", an input of the model; it has "
              + arrays.keySet());
        }
        inputs.put(slot.name(), array);
      }
      return inputs;
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be read (" + e.getMessage() + ")", e);
    }
  }

  @Override
  public String toString() {
    return folder.toString();
  }

  @Override
  public void close() {}
}
