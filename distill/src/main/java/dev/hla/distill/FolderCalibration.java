package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;

/**
 * One set of inputs from each .npz file of a folder, in the order of their names. Arrays are named as the model's inputs,
 * or {@code in:NAME}; others are passed over. A model with a single input takes .npy files too.
 */
public final class FolderCalibration implements Calibration {
  private final Path folder;
  private final List<Path> files;
  private final List<Slot> slots;
  private final List<Slot> defaults;
  private String identity;

  /**
   * Inputs for a model that needs all of them.
   *
   * @throws HlaException where the folder has no such file
   */
  public FolderCalibration(Path folder, List<Slot> slots) {
    this(folder, slots, List.of());
  }

  /**
   * Inputs for a model.
   *
   * @param slots what each file has to give
   * @param defaults what the model has values for, which an array of a file replaces
   * @throws HlaException where the folder has no such file
   */
  public FolderCalibration(Path folder, List<Slot> slots, List<Slot> defaults) {
    this.folder = folder;
    this.slots = List.copyOf(slots);
    this.defaults = List.copyOf(defaults);
    String pattern = slots.size() == 1 ? ".*\\.np[yz]" : ".*\\.npz";
    if (!Files.isDirectory(folder)) {
      throw new HlaException(folder + ": no such folder; give one with a .npz file for each set of inputs");
    }
    try (Stream<Path> list = Files.list(folder)) {
      files = list.filter(file -> file.getFileName().toString().matches(pattern)).sorted().toList();
    } catch (IOException e) {
      throw new HlaException(folder + ": cannot be read (" + e.getMessage() + ")", e);
    }
    files.forEach(FolderCalibration::requireFile);
    if (files.isEmpty()) {
      throw new HlaException(folder + ": has no .npz file; each set of inputs is one, with an array for each of "
          + slots.stream().map(Slot::name).toList());
    }
  }

  private static void requireFile(Path file) {
    // Whoever opens a pipe waits for its other end.
    if (!Files.isRegularFile(file)) {
      throw new HlaException(file + ": is a " + (Files.isDirectory(file) ? "folder" : Files.exists(file) ? "device, a pipe or a socket" : "link to nothing")
          + ", not a set of inputs; take it out of the folder");
    }
  }

  /** Names, sizes and checksums: files that were written anew, in the same length, are other inputs. */
  @Override
  public synchronized String identity() {
    if (identity == null) {
      StringBuilder text = new StringBuilder("folder");
      for (Path file : files) {
        text.append(' ').append(file.getFileName()).append(':').append(file.toFile().length()).append(':').append(Long.toHexString(checksum(file)));
      }
      identity = text.toString();
    }
    return identity;
  }

  private static long checksum(Path file) {
    try {
      if (!file.toString().endsWith(".npy")) {
        return Npz.checksum(file);
      }
      CRC32 sum = new CRC32();
      try (InputStream in = new CheckedInputStream(Files.newInputStream(file), sum)) {
        in.transferTo(OutputStream.nullOutputStream());
      }
      return sum.getValue();
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  @Override
  public int size() {
    return files.size();
  }

  @Override
  public String name(int index) {
    return files.get(index).toString();
  }

  @Override
  public Set<String> names() {
    Set<String> names = new LinkedHashSet<>();
    slots.forEach(slot -> names.add(slot.name()));
    for (Path file : defaults.isEmpty() ? List.<Path>of() : files) {
      try (Npz npz = Npz.open(file)) {
        List<String> given = npz.names();
        defaults.stream().filter(slot -> named(slot, given) != null).forEach(slot -> names.add(slot.name()));
      } catch (IOException e) {
        throw unreadable(file, e);
      }
    }
    return names;
  }

  @Override
  public void check(int sets) {
    for (int i = 0; i < sets; i++) {
      inputs(i);
    }
  }

  @Override
  public Map<String, Tensor> inputs(int index) {
    Path file = files.get(index);
    try {
      if (file.toString().endsWith(".npy")) {
        return Map.of(slots.get(0).name(), finite(file, slots.get(0).name(), Npz.readReference(file.toString())));
      }
      Map<String, String> unreadable = new HashMap<>();
      Map<String, Tensor> arrays = Npz.readAll(file, unreadable::put);
      Map<String, Tensor> inputs = new LinkedHashMap<>();
      for (Slot slot : slots) {
        String name = named(slot, arrays.keySet());
        if (name == null) {
          String reason = unreadable.get(named(slot, unreadable.keySet()));
          throw new HlaException(reason != null ? reason + " (it is an input of the model)"
              : file + ": has no array " + slot.name() + " " + slot.shapeText() + ", an input of the model; it has " + arrays.keySet());
        }
        inputs.put(slot.name(), finite(file, slot.name(), arrays.get(name)));
      }
      for (Slot slot : defaults) {
        String name = named(slot, arrays.keySet());
        if (name != null) {
          inputs.put(slot.name(), finite(file, slot.name(), arrays.get(name)));
        }
      }
      return inputs;
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** What an input is called among names, or null. */
  private static String named(Slot slot, Collection<String> names) {
    return names.contains(slot.name()) ? slot.name() : names.contains("in:" + slot.name()) ? "in:" + slot.name() : null;
  }

  /** One number that is none would leave none of what is fitted; additive masks may be -Infinity. */
  private static Tensor finite(Path file, String name, Tensor array) {
    if (array.size() == 0) {
      throw new HlaException(file + ": the array " + name + " is " + array + ", which holds no numbers to fit to; mend the file, or take it out");
    }
    for (int i = 0; array.type().isFloat() && i < array.size(); i++) {
      double value = array.get(i);
      if (Double.isNaN(value) || value == Double.POSITIVE_INFINITY) {
        throw new HlaException(file + ": the array " + name + " has " + value + " at element " + i + "; numbers are wanted to fit to: mend the file, or take it out");
      }
    }
    return array;
  }

  private static HlaException unreadable(Path file, IOException e) {
    return new HlaException(file + ": cannot be read (" + e.getMessage() + ")", e);
  }

  @Override
  public String toString() {
    return folder.toString();
  }

  @Override
  public void close() {}
}
