package dev.hla.cli;

import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder that a verb writes files in. */
final class OutputFolder {
  private OutputFolder() {}

  /** The folder, which is made where it is missing. */
  static Path at(Path folder) {
    if (Files.exists(folder) && !Files.isDirectory(folder)) {
      throw new HlaException(folder + ": is a file; the name of a folder is wanted");
    }
    try {
      return Files.createDirectories(folder);
    } catch (IOException e) {
      throw new HlaException(folder + ": the folder cannot be made (" + e.getMessage() + ")", e);
    }
  }
}
