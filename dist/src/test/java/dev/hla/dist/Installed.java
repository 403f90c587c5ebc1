package dev.hla.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * The archive, unpacked into a folder with spaces in its name, and run the way a bare machine would: an environment of its own, and a PATH with
 * java and the few tools that the start script uses.
 */
final class Installed {
  private static final List<String> TOOLS = List.of("dirname", "readlink", "uname");

  private final Path base;
  /** What the archive holds. */
  final Path root;
  /** The home folder of who runs it. */
  final Path home;
  /** The folder for temporary files. */
  final Path temporary;
  /** The PATH's one folder. */
  final Path path;

  private Installed(Path base, Path root) throws IOException {
    this.base = base;
    this.root = root;
    home = Files.createDirectory(base.resolve("a home"));
    temporary = Files.createDirectory(base.resolve("tmp"));
    path = pathFolder("path");
    Files.createSymbolicLink(path.resolve("java"), javaOfThisTest());
  }

  /** Unpacks the archive that system property {@code hla.archive} names. */
  static Installed into(Path folder) throws IOException, InterruptedException {
    Path place = Files.createDirectories(folder.resolve("some where else"));
    Ran unpacked = run(new ProcessBuilder("tar", "xzf", System.getProperty("hla.archive"), "-C", place.toString()));
    assertEquals(0, unpacked.code(), unpacked.err());
    return new Installed(folder, place.resolve("hla-" + System.getProperty("hla.version")));
  }

  static Path javaOfThisTest() {
    return Path.of(System.getProperty("java.home"), "bin", "java");
  }

  /** A folder for a PATH, with the tools of the start script in it and no java. */
  Path pathFolder(String name) throws IOException {
    Path folder = Files.createDirectory(base.resolve(name));
    for (String tool : TOOLS) {
      Files.createSymbolicLink(folder.resolve(tool), tool(tool));
    }
    return folder;
  }

  private static Path tool(String name) {
    return Arrays.stream(System.getenv("PATH").split(":")).map(folder -> Path.of(folder, name)).filter(Files::isExecutable).findFirst().orElseThrow();
  }

  /** An empty folder to work in. */
  Path workFolder(String name) throws IOException {
    return Files.createDirectory(base.resolve(name));
  }

  /** A file of the demo's model. */
  String model(String file) {
    return root.resolve("models").resolve("shapes_wan").resolve(file).toString();
  }

  /** Runs bin/hla in a folder. */
  Ran hla(Path folder, String... arguments) throws IOException, InterruptedException {
    return start(folder, root.resolve("bin").resolve("hla"), Map.of(), arguments);
  }

  /** Runs the start script, under the name that is given, with more in the environment. */
  Ran start(Path folder, Path script, Map<String, String> more, String... arguments) throws IOException, InterruptedException {
    String[] command = Stream.concat(Stream.of(script.toString()), Arrays.stream(arguments)).toArray(String[]::new);
    Map<String, String> environment = new HashMap<>(Map.of(
        "PATH", path.toString(), "HOME", home.toString(), "HLA_JAVA_OPTIONS", "-Djava.io.tmpdir=" + temporary + " -Xmx2g"));
    environment.putAll(more);
    ProcessBuilder builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.environment().clear();
    builder.environment().putAll(environment);
    return run(builder);
  }

  /** What a program did. */
  record Ran(int code, String out, String err) {}

  static Ran run(ProcessBuilder builder) throws IOException, InterruptedException {
    Path err = Files.createTempFile("err", ".txt");
    try {
      Process process = builder.redirectError(err.toFile()).start();
      process.getOutputStream().close();
      String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      int code = process.waitFor();
      return new Ran(code, out, Files.readString(err));
    } finally {
      Files.delete(err);
    }
  }

  /** Everything below a folder, by its path from there. */
  static List<String> files(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      return List.copyOf(new TreeSet<>(all.filter(file -> !file.equals(folder)).map(file -> folder.relativize(file).toString()).toList()));
    }
  }
}
