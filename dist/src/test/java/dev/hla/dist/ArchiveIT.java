package dev.hla.dist;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.cli.Hla;
import dev.hla.converter.OnnxModel;
import dev.hla.dist.Installed.Ran;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What somebody with a Java runtime and nothing else gets from the archive. */
class ArchiveIT {
  private static final String VERSION = System.getProperty("hla.version");

  @TempDir static Path folder;

  private static Installed installed;
  private static List<String> unpacked;

  @BeforeAll
  static void unpack() throws Exception {
    installed = Installed.into(folder);
    unpacked = Installed.files(installed.root);
  }

  /** Nothing goes where nobody asked for it: the user's home, the folder of the program, and, once it has ended, that of temporary files. */
  @AfterEach
  void nothingIsLeftBehind() throws IOException {
    assertAll(
        () -> assertEquals(List.of(), Installed.files(installed.home), "in the home folder"),
        () -> assertEquals(List.of(), Installed.files(installed.temporary), "in the folder for temporary files"),
        () -> assertEquals(unpacked, Installed.files(installed.root), "in the program's folder"));
  }

  private static Ran done(Ran ran) {
    assertEquals(0, ran.code(), () -> ran.out() + ran.err());
    return ran;
  }

  private static Ran failed(Ran ran, String... said) {
    assertEquals(1, ran.code(), ran.out() + ran.err());
    assertEquals(1, ran.err().lines().count(), "one line was expected, but: " + ran.err());
    Arrays.stream(said).forEach(text -> assertTrue(ran.err().contains(text), () -> text + " was expected in: " + ran.err()));
    return ran;
  }

  private static JsonNode json(Ran ran) throws IOException {
    assertEquals("", ran.err());
    return new JsonMapper().readTree(done(ran).out());
  }

  @Test
  void inspectsConvertsAndVerifiesInAnEmptyFolder() throws Exception {
    Path work = installed.workFolder("convert here");
    String model = installed.model("shapes_wan.onnx");
    JsonNode sites = json(installed.hla(work, "inspect", "--json", model)).path("sites");
    assertEquals(8, sites.size());
    JsonNode converted = json(installed.hla(work, "convert", "--json", model, "--maps", installed.model("shapes_wan_maps.safetensors"), "-o", "converted.onnx"));
    assertEquals(4, converted.path("converted").size());
    JsonNode verified = json(installed.hla(work, "verify", "--json", model, "converted.onnx", "-i", installed.model("example_inputs.npz")));
    assertTrue(verified.path("holds").asBoolean(), verified::toPrettyString);
    String library = installed.root.toRealPath().resolve("native").resolve("libhla_ops.so").toString();
    assertEquals(library, verified.at("/library/path").asText());
    assertEquals(library, done(installed.hla(work, "lib-path")).out().strip());
    assertEquals(List.of("converted.onnx"), Installed.files(work));
  }

  @Test
  void showsItsDemo() throws Exception {
    Path work = installed.workFolder("show here");
    done(installed.hla(work, "demo", "-q", "--longest", "512"));
    assertEquals(List.of("out", "out/demo", "out/demo/index.html", "out/demo/shapes_wan_hla.onnx", "out/demo/videos.gif", "out/demo/videos.png"), Installed.files(work));
    assertTrue(Files.readString(work.resolve("out/demo/index.html")).contains("data:image/"));
  }

  @Test
  void fitsMaps() throws Exception {
    Path work = installed.workFolder("fit here");
    done(installed.hla(work, "distill", installed.model("shapes_wan.onnx"), "-o", "maps.safetensors",
        "--sites", "blocks.0*", "--steps", "5", "--samples", "2", "--held-out", "2", "--refine", "0", "--no-baseline"));
    assertEquals(List.of("maps.safetensors"), Installed.files(work));
  }

  @Test
  void allThatCarriesAVersionCarriesTheSame() throws Exception {
    Path work = installed.workFolder("versions");
    Map<String, String> versions = new TreeMap<>();
    versions.put("hla --version", done(installed.hla(work, "--version")).out().strip().replaceFirst("^hla ", ""));
    versions.put("hla convert --version", done(installed.hla(work, "convert", "--version")).out().strip().replaceFirst("^hla ", ""));
    versions.put("the operator library", json(installed.hla(work, "doctor", "--json")).at("/library/version").asText());
    done(installed.hla(work, "convert", "-q", installed.model("shapes_wan.onnx"), "--maps", installed.model("shapes_wan_maps.safetensors"), "-o", "converted.onnx"));
    versions.put("producer_version", OnnxModel.load(work.resolve("converted.onnx")).proto().getProducerVersion());
    versions.put("the folder", installed.root.getFileName().toString().replaceFirst("^hla-", ""));
    for (String module : List.of("cli", "converter", "distill", "runtime-ops", "testdata")) {
      try (JarFile jar = new JarFile(installed.root.resolve("lib").resolve(module + "-" + VERSION + ".jar").toFile())) {
        versions.put(module + "'s manifest", jar.getManifest().getMainAttributes().getValue("Implementation-Version"));
      }
    }
    versions.forEach((what, version) -> assertEquals(VERSION, version, what));
  }

  @Test
  void startsThroughLinksAndWithTheJavaOfJavaHome() throws Exception {
    Path work = installed.workFolder("links");
    Path link = Files.createSymbolicLink(work.resolve("hla link"), installed.root.resolve("bin").resolve("hla"));
    Path linkToLink = Files.createSymbolicLink(work.resolve("relative"), link.getFileName());
    Map<String, String> onlyJavaHome = Map.of("JAVA_HOME", System.getProperty("java.home"), "PATH", installed.pathFolder("no java").toString());
    for (Path script : List.of(link, linkToLink)) {
      assertEquals("hla " + VERSION, done(installed.start(installed.home, script, onlyJavaHome, "--version")).out().strip());
    }
  }

  @Test
  void saysWhichJavaItNeeds() throws Exception {
    Path work = installed.workFolder("java");
    Path hla = installed.root.resolve("bin").resolve("hla");
    Path bare = installed.pathFolder("without java");
    failed(installed.start(work, hla, Map.of("PATH", bare.toString()), "--version"), "Java 17", "no java on the PATH");
    failed(installed.start(work, hla, Map.of("JAVA_HOME", work.toString()), "--version"), "JAVA_HOME", work.toString());

    Path old = Files.createDirectories(work.resolve("jdk/bin"));
    executable(old.resolve("java"), "#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n");
    failed(installed.start(work, hla, Map.of("JAVA_HOME", old.getParent().toString()), "--version"), "Java 17", "1.8.0_392");
    Files.writeString(old.resolveSibling("release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"11.0.22\"\n");
    failed(installed.start(work, hla, Map.of("JAVA_HOME", old.getParent().toString()), "--version"), "Java 17", "11.0.22");
  }

  private static void executable(Path file, String text) throws IOException {
    Files.setPosixFilePermissions(Files.writeString(file, text), PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @Test
  void hasAManPageForEveryVerb() throws Exception {
    assumeTrue(runs("man", "--version"), "there is no man here to show the pages with");
    for (CommandLine command : verbs(Hla.commandLine()).toList()) {
      String name = command.getCommandSpec().qualifiedName("-");
      Path page = installed.root.resolve("man/man1").resolve(name + ".1");
      ProcessBuilder man = new ProcessBuilder("man", "-P", "cat", "-l", page.toString());
      man.environment().putAll(Map.of("LC_ALL", "C.UTF-8", "MANWIDTH", "120"));
      Ran shown = done(Installed.run(man));
      assertTrue(shown.out().contains("SYNOPSIS") && shown.out().contains("hla " + VERSION), shown::out);
      command.getCommandSpec().options().forEach(option -> assertTrue(shown.out().contains(option.longestName()), name + " " + option.longestName()));
    }
  }

  private static Stream<CommandLine> verbs(CommandLine command) {
    return Stream.concat(Stream.of(command), command.getSubcommands().values().stream().flatMap(ArchiveIT::verbs));
  }

  @Test
  void completesInBash() throws Exception {
    String script = installed.root.resolve("completion/hla.bash").toString();
    done(Installed.run(new ProcessBuilder("bash", "-n", script)));
    assertEquals(List.of("convert"), completions(script, "hla", "conv"));
    assertEquals(List.of("--maps"), completions(script, "hla", "convert", "--map"));
    assertEquals(List.of("maps", "op"), completions(script, "hla", "bench", "").stream().filter(word -> !word.startsWith("-")).sorted().toList());
  }

  private static List<String> completions(String script, String... words) throws Exception {
    String program = "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _complete_hla; printf '%s\\n' \"${COMPREPLY[@]}\"";
    String[] command = Stream.concat(Stream.of("bash", "--norc", "-c", program, script), Arrays.stream(words)).toArray(String[]::new);
    return done(Installed.run(new ProcessBuilder(command))).out().lines().map(String::strip).toList();
  }

  @Test
  void completesInZsh() throws Exception {
    assumeTrue(runs("zsh", "--version"), "there is no zsh here to complete in");
    // Zsh itself chooses those that begin with what was typed.
    String program = "source \"$1\"; print -r -- ${_comps[hla]}; emulate ksh -c 'COMP_WORDS=(hla convert --m); COMP_CWORD=2; _complete_hla; print -r -- ${COMPREPLY[@]}'";
    ProcessBuilder zsh = new ProcessBuilder("zsh", "-f", "-c", program, "zsh", installed.root.resolve("completion/hla.zsh").toString());
    List<String> lines = done(Installed.run(zsh)).out().lines().toList();
    assertTrue(lines.get(0).contains("-F _complete_hla"), lines.toString());
    assertTrue(List.of(lines.get(1).split(" ")).contains("--maps"), lines.toString());
  }

  private static boolean runs(String... command) throws InterruptedException {
    try {
      return Installed.run(new ProcessBuilder(command)).code() == 0;
    } catch (IOException e) {
      return false;
    }
  }

  /** Each library of others is named in NOTICE, jars by artifact and version, native code by its file. */
  @Test
  void noticeTellsOfAllThatIsInside() throws Exception {
    String notice = Files.readString(installed.root.resolve("NOTICE"));
    Pattern ours = Pattern.compile("(cli|converter|distill|runtime-ops|testdata)-" + Pattern.quote(VERSION));
    for (String jar : Installed.files(installed.root.resolve("lib"))) {
      String name = jar.replaceFirst("\\.jar$", "");
      String artifact = name.replaceFirst("-(?=\\d)", " ");
      assertTrue(ours.matcher(name).matches() || notice.contains("    " + artifact + " ("), () -> jar + " is not in NOTICE");
    }
    List<PathMatcher> named = notice.substring(notice.indexOf("In native/:")).lines().filter(line -> line.startsWith("    ") && line.charAt(4) != ' ')
        .map(line -> FileSystems.getDefault().getPathMatcher("glob:" + line.strip().split(" ")[0])).toList();
    for (String file : Installed.files(installed.root.resolve("native"))) {
      Path path = Path.of(file);
      boolean library = Files.isRegularFile(installed.root.resolve("native").resolve(file)) && !path.endsWith("libhla_ops.so");
      assertTrue(!library || named.stream().anyMatch(matcher -> matcher.matches(path)), () -> "native/" + file + " is not in NOTICE");
    }
    assertTrue(Files.readString(installed.root.resolve("LICENSE")).contains("Apache License"));
  }
}
