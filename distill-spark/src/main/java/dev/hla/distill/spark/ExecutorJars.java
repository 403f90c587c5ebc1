package dev.hla.distill.spark;

import dev.hla.converter.HlaException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/** The jars of this process that the machines of a cluster need: those of fits, without Spark's, which are there. */
final class ExecutorJars {
  private static final String NAMES = "executor-jars";

  private ExecutorJars() {}

  /** @throws HlaException where this process does not run from jars */
  static List<String> find() {
    Set<String> wanted = artifacts();
    List<String> jars = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      if (wanted.remove(artifact(entry))) {
        jars.add(Path.of(entry).toAbsolutePath().toString());
      }
    }
    if (!wanted.isEmpty()) {
      throw new HlaException("a cluster needs the toolkit as jars, and the class path has none of " + String.join(", ", wanted)
          + "; build with: mvn -B -Pspark -DskipTests package, and start with ./hla");
    }
    return jars;
  }

  /** Of this module and what it depends on; the build writes the list. */
  private static Set<String> artifacts() {
    Set<String> artifacts = new TreeSet<>(Set.of("distill-spark"));
    try (InputStream in = ExecutorJars.class.getResourceAsStream(NAMES)) {
      if (in != null) {
        Stream.of(new String(in.readAllBytes(), StandardCharsets.UTF_8).strip().split(":")).map(ExecutorJars::artifact).forEach(artifacts::add);
      }
      return artifacts;
    } catch (IOException e) {
      throw new HlaException(NAMES + ": cannot be read (" + e.getMessage() + ")", e);
    }
  }

  /** The name of a jar without its version; that of anything else leads to none. */
  private static String artifact(String jar) {
    return Path.of(jar).getFileName().toString().replaceFirst("-[0-9][^/]*\\.jar$", "");
  }
}
