package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** Every command line in the documents is one that the command understands, and those of README.md's block do what they say. */
class DocumentedCommandsTest {
  private static final Path PROJECT = Path.of("..").toAbsolutePath().normalize();
  private static final Pattern COMMAND = Pattern.compile("(?:\\./)?hla(?: +(.*))?");
  private static final Pattern SUBSTITUTED = Pattern.compile("\\$\\((?:\\./)?hla ([^)]*)\\)");
  private static final Pattern SPAN = Pattern.compile("`([^`]+)`");
  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|\\S+");
  private static final Pattern OPTION = Pattern.compile("`(-[a-zA-Z]|--[a-z][a-z-]*)\\b");

  @TempDir Path folder;

  static List<Path> documents() throws IOException {
    try (Stream<Path> files = Files.walk(PROJECT, 4)) {
      return files.filter(f -> f.getFileName().toString().endsWith(".md"))
          .filter(f -> Stream.of("target", "node_modules", ".git").noneMatch(part -> PROJECT.relativize(f).toString().contains(part)))
          .map(PROJECT::relativize).sorted().toList();
    }
  }

  @Test
  void thereAreDocumentsWithCommands() throws IOException {
    assertTrue(documents().containsAll(Stream.of("README.md", "docs/cli.md", "docs/feature-maps.md").map(Path::of).toList()), documents().toString());
    Parts readme = Parts.of(PROJECT.resolve("README.md"));
    assertTrue(readme.lines().stream().anyMatch(line -> line.startsWith("convert ")), readme.toString());
    assertTrue(Parts.of(PROJECT.resolve("docs/feature-maps.md")).mentions().contains("distill MODEL -o MAPS.safetensors"));
  }

  /** A line of a code block is a whole command line; a mention in the text may leave out what every run needs. */
  @ParameterizedTest
  @MethodSource("documents")
  void everyCommandLineIsUnderstood(Path document) throws IOException {
    Parts parts = Parts.of(PROJECT.resolve(document));
    for (String line : parts.lines()) {
      List<String> words = words(line);
      understood(document, line, words);
      if (!words.get(0).startsWith("VERB")) {
        assertDoesNotThrow(() -> Hla.commandLine().parseArgs(words.toArray(String[]::new)), document + ": hla " + line);
      }
    }
    for (String mention : parts.mentions()) {
      understood(document, mention, words(mention));
    }
  }

  @Test
  void cliMdHasASectionForEveryVerbAndNoOptionThatIsNone() throws IOException {
    Set<String> sections = new LinkedHashSet<>();
    CommandSpec verb = null;
    List<CommandSpec> all = verbs(Hla.commandLine().getCommandSpec()).toList();
    for (String line : Files.readAllLines(PROJECT.resolve("docs/cli.md"))) {
      if (line.startsWith("## ")) {
        List<String> words = words(line.substring(3));
        verb = verb(words);
        assertNotNull(verb, "docs/cli.md: ## " + words + " is no verb");
        sections.add(verb.qualifiedName(" "));
        understood(Path.of("docs/cli.md"), line, words);
      }
      Matcher option = OPTION.matcher(line);
      while (option.find()) {
        String name = option.group(1);
        boolean known = verb != null && verb.findOption(name) != null || all.stream().anyMatch(v -> v.findOption(name) != null);
        assertTrue(known || line.contains("java"), "docs/cli.md: no verb has an option " + name + ": " + line);
      }
    }
    Set<String> verbs = all.stream().filter(v -> v.subcommands().isEmpty()).map(v -> v.qualifiedName(" ")).collect(Collectors.toSet());
    assertEquals(verbs, sections);
  }

  /** As a user would paste it, with a shim in place of the launcher, which builds. */
  @Test
  void theReadmesBlockOfVerbsRuns() throws Exception {
    String readme = Files.readString(PROJECT.resolve("README.md"));
    Matcher block = Pattern.compile("(?m)^    W=.*\\R(?:    .*\\R)+").matcher(readme);
    assertTrue(block.find(), "README.md has no block of verbs");
    String script = block.group().replaceAll("(?m)^ {4}", "");
    for (String verb : List.of("inspect", "convert", "verify", "run", "generate", "doctor")) {
      assertTrue(script.contains("./hla " + verb), script);
    }
    Path testdata = Files.createSymbolicLink(folder.resolve("testdata"), PROJECT.resolve("testdata"));
    Path shim = Files.writeString(folder.resolve("hla"), "#!/bin/sh\nexec \"$JAVA\" dev.hla.cli.Hla \"$@\"\n");
    assertTrue(shim.toFile().setExecutable(true));
    Path output = folder.resolve("output.txt");
    // The class path goes through the environment: ONNX Runtime crashes where the command line is long.
    ProcessBuilder bash = new ProcessBuilder("bash", "-euc", script).directory(folder.toFile()).redirectErrorStream(true).redirectOutput(output.toFile());
    bash.environment().put("CLASSPATH", System.getProperty("java.class.path"));
    bash.environment().put("JAVA", Path.of(System.getProperty("java.home"), "bin", "java").toString());
    Process process = bash.start();
    process.getOutputStream().close();
    boolean ended = process.waitFor(5, TimeUnit.MINUTES);
    process.destroyForcibly();
    Files.delete(testdata);
    assertTrue(ended, "the block did not end: " + Files.readString(output));
    assertEquals(0, process.exitValue(), Files.readString(output));
    for (String file : List.of("converted.onnx", "outputs.npz", "both.gif")) {
      assertTrue(Files.size(folder.resolve(file)) > 0, file);
    }
    assertEquals(2, Files.readString(output).lines().filter("holds"::equals).count(), Files.readString(output));
  }

  private static void understood(Path document, String line, List<String> words) {
    if (words.isEmpty() || words.get(0).startsWith("VERB")) {
      return;
    }
    CommandSpec verb = verb(words);
    assertNotNull(verb, document + ": hla " + line + ": there is no such verb");
    words.stream().filter(word -> word.matches("--?[a-zA-Z].*")).map(word -> word.replaceAll("=.*", ""))
        .forEach(option -> assertNotNull(verb.findOption(option), document + ": hla " + line + ": " + verb.name() + " has no option " + option));
  }

  /** The verb that the first words name, or the command itself where they begin with an option; null where there is none. */
  private static CommandSpec verb(List<String> words) {
    CommandSpec spec = Hla.commandLine().getCommandSpec();
    for (String word : words) {
      if (word.startsWith("-") || spec.subcommands().isEmpty()) {
        return spec;
      }
      if (!spec.subcommands().containsKey(word)) {
        return null;
      }
      spec = spec.subcommands().get(word).getCommandSpec();
    }
    return spec;
  }

  private static Stream<CommandSpec> verbs(CommandSpec spec) {
    return spec.subcommands().values().stream().map(CommandLine::getCommandSpec).flatMap(v -> Stream.concat(Stream.of(v), verbs(v)));
  }

  private static List<String> words(String line) {
    List<String> words = new ArrayList<>();
    Matcher word = WORD.matcher(line.replaceAll("(^|\\s)#.*", ""));
    while (word.find()) {
      String text = word.group(1) != null ? word.group(1) : word.group();
      if (!text.equals("...")) {
        words.add(text);
      }
    }
    return words;
  }

  /** What a document says after {@code hla}: in lines of code blocks, and in code within the text. */
  private record Parts(List<String> lines, List<String> mentions) {
    static Parts of(Path document) throws IOException {
      List<String> lines = new ArrayList<>();
      List<String> mentions = new ArrayList<>();
      StringBuilder text = new StringBuilder();
      boolean fenced = false;
      for (String line : Files.readString(document).replaceAll("\\\\\\R", " ").lines().toList()) {
        if (line.startsWith("```")) {
          fenced = !fenced;
        } else if (fenced || line.startsWith("    ")) {
          Matcher command = COMMAND.matcher(line.strip());
          if (command.matches() && command.group(1) != null) {
            lines.add(command.group(1));
          }
        } else {
          text.append(line).append(' ');
        }
        Matcher substituted = SUBSTITUTED.matcher(line);
        while (substituted.find()) {
          lines.add(substituted.group(1));
        }
      }
      Matcher span = SPAN.matcher(text);
      while (span.find()) {
        Matcher command = COMMAND.matcher(span.group(1));
        if (command.matches() && command.group(1) != null) {
          mentions.add(command.group(1));
        }
      }
      return new Parts(lines, mentions);
    }
  }
}
