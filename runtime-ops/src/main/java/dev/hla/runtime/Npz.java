package dev.hla.runtime;

import dev.hla.converter.HlaException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** numpy's .npz files: a zip archive of .npy arrays, each under its name. */
public final class Npz implements AutoCloseable {
  private static final String SUFFIX = ".npy";

  private final Path file;
  private final ZipFile zip;

  private Npz(Path file, ZipFile zip) {
    this.file = file;
    this.zip = zip;
  }

  /** Opens a file; throws {@link HlaException} where it is no zip archive. */
  public static Npz open(Path file) throws IOException {
    try {
      return new Npz(file, new ZipFile(file.toFile()));
    } catch (ZipException | EOFException e) {
      throw new HlaException(file + ": not a .npz archive (" + e.getMessage() + ")", e);
    }
  }

  /** The names of the arrays, in the file's order. */
  public List<String> names() {
    List<String> names = new ArrayList<>();
    zip.stream().map(ZipEntry::getName).filter(name -> name.endsWith(SUFFIX))
        .forEach(name -> names.add(name.substring(0, name.length() - SUFFIX.length())));
    return names;
  }

  /** One array; throws {@link HlaException} where there is none of this name or it cannot be read. */
  public Tensor get(String name) throws IOException {
    ZipEntry entry = zip.getEntry(name + SUFFIX);
    if (entry == null) {
      throw new HlaException(file + ": has no array " + name + "; it has " + names());
    }
    try (InputStream in = zip.getInputStream(entry)) {
      return Npy.read(in, file + ":" + name);
    } catch (ZipException | EOFException e) {
      throw new HlaException(file + ":" + name + ": the archive is damaged (" + e.getMessage() + ")", e);
    }
  }

  /** All arrays that can be read as numbers; texts and objects, which numpy files may hold too, are passed over. */
  public static Map<String, Tensor> readAll(Path file) throws IOException {
    return readAll(file, (name, reason) -> {});
  }

  /**
   * All arrays that can be read as numbers.
   *
   * @param passedOver is told the name of each other one, and why it cannot be read
   */
  public static Map<String, Tensor> readAll(Path file, BiConsumer<String, String> passedOver) throws IOException {
    try (Npz npz = open(file)) {
      Map<String, Tensor> arrays = new LinkedHashMap<>();
      for (String name : npz.names()) {
        try {
          arrays.put(name, npz.get(name));
        } catch (UnreadableType e) {
          passedOver.accept(name, e.getMessage());
        }
      }
      return arrays;
    }
  }

  /** A checksum of the names and the contents of all arrays, from the file's table of contents. */
  public static long checksum(Path file) throws IOException {
    try (Npz npz = open(file)) {
      long sum = 0;
      for (ZipEntry entry : npz.zip.stream().toList()) {
        sum = sum * 31 + entry.getName().hashCode() * 31L + entry.getCrc();
      }
      return sum;
    }
  }

  /**
   * Reads {@code FILE.npy}, {@code FILE.npz:NAME}, or {@code FILE.npz} that holds a single array.
   */
  public static Tensor readReference(String reference) throws IOException {
    if (reference.endsWith(SUFFIX)) {
      return Npy.read(existing(Path.of(reference)));
    }
    int colon = reference.lastIndexOf(".npz:");
    Path file = existing(Path.of(colon < 0 ? reference : reference.substring(0, colon + 4)));
    try (Npz npz = open(file)) {
      if (colon >= 0) {
        return npz.get(reference.substring(colon + 5));
      }
      if (npz.names().size() != 1) {
        throw new HlaException(file + ": holds the arrays " + npz.names() + "; choose one as " + file + ":NAME");
      }
      return npz.get(npz.names().get(0));
    }
  }

  /** Writes arrays under their names; equal arrays give equal bytes. */
  public static void write(Map<String, Tensor> arrays, OutputStream out) throws IOException {
    ZipOutputStream zip = new ZipOutputStream(out);
    zip.setLevel(Deflater.BEST_SPEED);
    for (Map.Entry<String, Tensor> array : arrays.entrySet()) {
      ZipEntry entry = new ZipEntry(array.getKey() + SUFFIX);
      entry.setTimeLocal(LocalDateTime.of(1980, 1, 1, 0, 0));
      zip.putNextEntry(entry);
      Npy.write(array.getValue(), zip);
      zip.closeEntry();
    }
    zip.finish();
  }

  @Override
  public void close() throws IOException {
    zip.close();
  }

  private static Path existing(Path file) {
    if (!file.toFile().isFile()) {
      throw new HlaException(file + ": " + (file.toFile().exists() ? "is a folder, a device or a pipe; a file is wanted" : "no such file"));
    }
    return file;
  }

  /** An array of text, complex numbers, objects or records. */
  static final class UnreadableType extends HlaException {
    UnreadableType(String message) {
      super(message);
    }
  }
}
