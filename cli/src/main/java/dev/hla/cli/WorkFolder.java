package dev.hla.cli;

import dev.hla.converter.HlaException;
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

  /** Refuses a folder that holds something else: it is removed in the end. */
  static void requireOwn(Path folder) throws IOException {
    if (Files.exists(folder) && !Files.isDirectory(folder)) {
      throw new HlaException(folder + ": is a file, where a folder for unfinished work is wanted; name one with --work, or move the file away");
    }
    if (Files.exists(folder.resolve("capture.json")) || !Files.exists(folder)) {
      return;
    }
    try (Stream<Path> files = Files.list(folder)) {
      if (files.anyMatch(file -> !file.getFileName().toString().startsWith("capture."))) {
        throw new HlaException(folder + ": is there already and holds no unfinished work; name another folder with --work, or move it away");
      }
    }
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
