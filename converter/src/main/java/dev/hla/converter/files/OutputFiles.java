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
import java.util.concurrent.ThreadLocalRandom;

/** Output files appear whole or not at all, and take the place of files alone. */
public final class OutputFiles {
  private static final FileAttribute<?> PRIVATE = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private OutputFiles() {}

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

  /** A new file beside the target, to be filled and then moved into its place. */
  public static Path partial(Path target) throws IOException {
    Path folder = target.toAbsolutePath().getParent();
    // What replaces a private file is not to be read by others meanwhile; all else has the permissions that a new file gets here.
    FileAttribute<?>[] attributes = posix(folder) && Files.exists(target) ? new FileAttribute<?>[] {PRIVATE} : new FileAttribute<?>[0];
    while (true) {
      try {
        return Files.createFile(folder.resolve("." + target.getFileName() + "." + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".part"), attributes);
      } catch (FileAlreadyExistsException e) {
        continue;
      }
    }
  }

  /** Puts a file made by {@link #partial} in the place of its target, whose permissions it takes over where there was one. */
  public static void moveInto(Path partial, Path target) throws IOException {
    requireFree(target, true);
    if (posix(partial) && Files.exists(target)) {
      Files.setPosixFilePermissions(partial, Files.getPosixFilePermissions(target));
    }
    try {
      Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(partial, target, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static boolean posix(Path file) throws IOException {
    return Files.getFileStore(file).supportsFileAttributeView("posix");
  }
}
