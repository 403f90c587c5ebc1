package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.converter.files.OutputFiles;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

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
    Path folder = file.toAbsolutePath().getParent();
    if (!Files.isDirectory(folder)) {
      throw new HlaException(file + ": there is no folder " + folder + " to write it in");
    }
    OutputFiles.requireFree(file, force);
    return new OutputFile(file, force);
  }

  Path path() {
    return file;
  }

  void write(Content content) throws IOException {
    try (OutputFiles files = new OutputFiles()) {
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(files.begin(file)), 1 << 16)) {
        content.writeTo(out);
      }
      OutputFiles.requireFree(file, force);
      files.moveIntoPlace();
    }
  }
}
