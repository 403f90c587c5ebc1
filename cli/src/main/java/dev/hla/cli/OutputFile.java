package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.converter.files.OutputFiles;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

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
    if (!Files.isWritable(folder)) {
      throw new HlaException(file + ": the folder " + folder + " may not be written in; name another one");
    }
    return new OutputFile(file, force);
  }

  Path path() {
    return file;
  }

  /** Writes the file; throws {@link HlaException} with its name where it cannot be written. */
  void write(Content content) {
    writeAll(Map.of(this, content));
  }

  /** Writes files of which none appears before all of them are filled. */
  static void writeAll(Map<OutputFile, Content> contents) {
    Path writing = null;
    try (OutputFiles files = new OutputFiles()) {
      for (Map.Entry<OutputFile, Content> each : contents.entrySet()) {
        writing = each.getKey().file;
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(files.begin(writing)), 1 << 16)) {
          each.getValue().writeTo(out);
        }
      }
      for (OutputFile each : contents.keySet()) {
        OutputFiles.requireFree(each.file, each.force);
      }
      files.moveIntoPlace();
    } catch (IOException e) {
      throw new HlaException(writing + ": cannot be written (" + e.getMessage() + ")", e);
    }
  }
}
