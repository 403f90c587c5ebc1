package dev.hla.converter.files;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/** Files and folders that are to go should the process be ended before they are done. */
public final class Unfinished {
  private static final Set<Path> PLACES = ConcurrentHashMap.newKeySet();

  private Unfinished() {}

  /** From now on the file or folder, which need not be there yet, goes with the process. */
  public static void add(Path place) {
    PLACES.add(place);
  }

  /** What is done is no longer removed here: it stays, or whoever made it removes it. */
  public static void remove(Path place) {
    PLACES.remove(place);
  }

  /** Removes them all, as far as it can while others write: for the last moment of a process. */
  public static void deleteAll() {
    for (Path place : PLACES) {
      try (Stream<Path> files = Files.walk(place)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.deleteIfExists(file);
        }
      } catch (IOException | RuntimeException e) {
        // There is nobody left to tell, and the others are to go all the same.
        continue;
      }
    }
  }
}
