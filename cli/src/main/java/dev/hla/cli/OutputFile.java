package dev.hla.cli;

import dev.hla.converter.HlaException;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;

/**
 * A file that appears whole or not at all: written beside its place under another name, then renamed. An existing file
 * is replaced only where that was asked for, which is checked before the work that fills it.
 */
final class OutputFile {
  /** Fills the stream; whatever it throws leaves no file behind. */
  interface Content {
    void writeTo(OutputStream out) throws IOException;
  }

  private final Path file;
  private final boolean force;

  private OutputFile(Path file, boolean force) {
    this.file = file;
    this.force = force;
  }

  /** Checks that the file can be made here, before any work. */
  static OutputFile at(Path file, boolean force) {
    if (Files.isDirectory(file)) {
      throw new HlaException(file + ": is a folder; give the name of a file to write");
    }
    Path folder = folderOf(file);
    if (!Files.isDirectory(folder)) {
      throw new HlaException(file + ": there is no folder " + folder + " to write it in");
    }
    OutputFile output = new OutputFile(file, force);
    output.refuseExisting();
    return output;
  }

  Path path() {
    return file;
  }

  void write(Content content) throws IOException {
    Path temporary = Files.createTempFile(folderOf(file), "." + file.getFileName(), ".part");
    try {
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(temporary), 1 << 16)) {
        content.writeTo(out);
      }
      // Temporary files are private to their owner.
      if (Files.getFileStore(temporary).supportsFileAttributeView("posix")) {
        Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("rw-r--r--"));
      }
      refuseExisting();
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private void refuseExisting() {
    if (!force && Files.exists(file)) {
      throw new HlaException(file + ": exists already; give another name, or --force to replace it");
    }
  }

  private static Path folderOf(Path file) {
    return file.toAbsolutePath().getParent();
  }
}
