package dev.hla.cli;

import dev.hla.converter.files.Unfinished;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/** Captured attention and unfinished fits, on disk until a verb is done. */
final class WorkFolder {
  private WorkFolder() {}

  /** One that nobody named: it goes with the process. */
  static Path temporary() throws IOException {
    Path folder = Files.createTempDirectory("hla");
    Unfinished.add(folder);
    return folder;
  }

  static void remove(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
    Unfinished.remove(folder);
  }
}
