package dev.hla.converter.files;

import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Output files that appear whole or not at all, and take the place of files alone. Each is filled beside its place under
 * another name; {@link #moveIntoPlace} renames them all, {@link #close} removes those that were not renamed.
 */
public final class OutputFiles implements AutoCloseable {
  private static final FileAttribute<?> PRIVATE = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  /** By their target, in the order in which they were begun. */
  private final Map<Path, Partial> partials = new LinkedHashMap<>();

  /**
   * A file under its first name.
   *
   * @param own whether it is a file of its own, whose permissions may be changed, not another name for one
   */
  private record Partial(Path file, boolean own) {}

  /**
   * Refuses a place that no file may take.
   *
   * @param force replace a file, or a link to one; never a device, a pipe, a folder or a link to nothing
   * @throws HlaException saying what is there
   */
  public static void requireFree(Path target, boolean force) {
    if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    if (!Files.isRegularFile(target)) {
      String what = Files.isDirectory(target) ? "is a folder"
          : Files.exists(target) ? "is a device, a pipe or a socket, which no file may replace" : "is a link to nothing";
      throw new HlaException(target + ": " + what + "; give the name of a file to write");
    }
    if (!force) {
      throw new HlaException(target + ": exists already; give another name, or --force to replace it");
    }
  }

  /** A new file beside the target, to be filled. */
  public Path begin(Path target) throws IOException {
    // What replaces a private file is not to be read by others meanwhile; all else has the permissions that a new file gets here.
    boolean replaces = posix(target.toAbsolutePath().getParent()) && Files.exists(target);
    return make(target, true, partial -> {
      if (replaces) {
        Files.createFile(partial, PRIVATE);
      } else {
        Files.createFile(partial);
      }
    });
  }

  /** A copy of a file, with those of its permissions that the umask leaves. */
  public void copy(Path file, Path target) throws IOException {
    make(target, true, partial -> Files.copy(file, partial));
  }

  /** Another name for a file. */
  public void link(Path file, Path target) throws IOException {
    make(target, false, partial -> Files.createLink(partial, file));
  }

  /** Makes a file under a name that it refuses if it is taken. */
  @FunctionalInterface
  private interface Making {
    void make(Path partial) throws IOException;
  }

  private Path make(Path target, boolean own, Making making) throws IOException {
    while (true) {
      Path file = target.toAbsolutePath().getParent().resolve("." + target.getFileName() + "." + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".part");
      try {
        Unfinished.add(file);
        making.make(file);
        partials.put(target, new Partial(file, own));
        return file;
      } catch (FileAlreadyExistsException e) {
        Unfinished.remove(file);
      } catch (IOException | RuntimeException e) {
        Unfinished.remove(file);
        throw e;
      }
    }
  }

  /** Puts all files in the places of their targets, whose permissions they take over where there were any. */
  public void moveIntoPlace() throws IOException {
    for (Path target : partials.keySet()) {
      requireFree(target, true);
    }
    for (Map.Entry<Path, Partial> each : partials.entrySet()) {
      move(each.getValue(), each.getKey());
      Unfinished.remove(each.getValue().file);
    }
    partials.clear();
  }

  private static void move(Partial partial, Path target) throws IOException {
    if (partial.own && posix(partial.file) && Files.exists(target)) {
      Files.setPosixFilePermissions(partial.file, Files.getPosixFilePermissions(target));
    }
    try {
      Files.move(partial.file, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(partial.file, target, StandardCopyOption.REPLACE_EXISTING);
    }
    // rename(2) leaves both where they are names for one file.
    Files.deleteIfExists(partial.file);
  }

  @Override
  public void close() throws IOException {
    for (Partial partial : partials.values()) {
      Files.deleteIfExists(partial.file);
      Unfinished.remove(partial.file);
    }
    partials.clear();
  }

  private static boolean posix(Path file) throws IOException {
    return Files.getFileStore(file).supportsFileAttributeView("posix");
  }
}
