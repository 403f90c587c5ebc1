package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** docs/cli.md names every field that the verbs print with --json, and none in a verb's section that the verb does not print. */
class DocumentedJsonTest {
  /** A name, not a value: what follows a colon or opens a list is one. */
  private static final Pattern FIELD = Pattern.compile("(?<!: )(?<!\\[)(?<!\\[ )\"([a-z_]+)\"");

  @TempDir static Path folder;

  private static Path converted;

  @BeforeAll
  static void convert() {
    converted = folder.resolve("converted.onnx");
    assertEquals(Exit.DONE, Ran.hla("convert", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", converted.toString()).code());
  }

  /** The last column: fields that only other models, machines or options have. */
  @ParameterizedTest
  @CsvSource(delimiter = ';', value = {
      "inspect; inspect MODEL; op",
      "convert; convert MODEL --maps MAPS --dry-run; output",
      "verify; verify MODEL CONVERTED -i INPUTS; note",
      "generate; generate MODEL CONVERTED --prompt PROMPT --steps 1; output picture",
      "demo; demo -o FOLDER/demo --longest 512;",
      "run; run CONVERTED -i INPUTS; output",
      "doctor; doctor; causes id matched cause cure",
      "lib-path; lib-path;"})
  void everyFieldIsDescribedAndEveryDescribedFieldIsPrinted(String verb, String line, String elsewhere) throws Exception {
    String all = line.replace("MODEL", ShapesWan.model().toString()).replace("MAPS", ShapesWan.maps().toString())
        .replace("CONVERTED", converted.toString()).replace("INPUTS", ShapesWan.exampleInputs().toString());
    Ran ran = Ran.hla(Stream.of((all + " --json").split(" ")).map(word -> word.replace("PROMPT", "red disc right slow").replace("FOLDER", folder.toString()))
        .toArray(String[]::new));
    assertEquals(Exit.DONE, ran.code(), ran.err());
    Set<String> printed = new TreeSet<>();
    collect(new JsonMapper().readTree(ran.out()), printed);

    String document = Files.readString(Path.of("..", "docs", "cli.md"));
    Set<String> unknown = new TreeSet<>(printed);
    unknown.removeAll(fields(document));
    assertEquals(Set.of(), unknown, "docs/cli.md does not name these fields of hla " + verb);

    Matcher section = Pattern.compile("(?ms)^## " + verb + "\\b.*?(?=^## |\\z)").matcher(document);
    assertEquals(true, section.find(), verb);
    Set<String> tooMany = fields(section.group());
    tooMany.removeAll(printed);
    if (elsewhere != null) {
      tooMany.removeAll(List.of(elsewhere.split(" ")));
    }
    assertEquals(Set.of(), tooMany, "docs/cli.md names these fields of hla " + verb + ", which it does not print");
  }

  private static Set<String> fields(String text) {
    Set<String> names = new TreeSet<>();
    Matcher field = FIELD.matcher(text);
    while (field.find()) {
      names.add(field.group(1));
    }
    return names;
  }

  private static void collect(JsonNode json, Set<String> names) {
    json.properties().forEach(field -> {
      names.add(field.getKey());
      // Its keys are names out of the model.
      if (!field.getKey().equals("dimensions")) {
        collect(field.getValue(), names);
      }
    });
    if (json.isArray()) {
      json.forEach(each -> collect(each, names));
    }
  }
}
