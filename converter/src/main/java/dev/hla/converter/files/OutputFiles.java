package dev.hla.converter.files;

import java.io.IOException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/** Output files appear whole or not at all. */
public final class OutputFiles {
  private OutputFiles() {}

  /** Temporary files are private to their owner; the finished file gets the usual permissions. */
  public static void moveInto(Path partial, Path target) throws IOException {
    if (Files.getFileStore(partial).supportsFileAttributeView("posix")) {
      Files.setPosixFilePermissions(partial, PosixFilePermissions.fromString("rw-r--r--"));
    }
    try {
      Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(partial, target, StandardCopyOption.REPLACE_EXISTING);
    }
  }
}
