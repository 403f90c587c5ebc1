package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtSession.SessionOptions;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.cli.Hla;
import dev.hla.runtime.HlaOperators;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code hla lib-path} in processes of its own: what it prints is for others, after it has ended. */
class LibPathTest {
  @TempDir Path folder;

  @Test
  void manyAtOncePrintOnePathThatStays() throws Exception {
    Path cache = folder.resolve("cache");
    ExecutorService threads = Executors.newFixedThreadPool(3);
    List<Future<Program>> runs = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      runs.add(threads.submit(() -> libPath(List.of("-Dhla.cache.dir=" + cache))));
    }
    for (Future<Program> run : runs) {
      assertEquals(0, run.get().code(), run.get().output());
    }
    threads.shutdown();
    Set<String> printed = Set.of(runs.get(0).get().output().strip());
    for (Future<Program> run : runs) {
      assertEquals(printed, Set.of(run.get().output().strip()));
    }
    try (Stream<Path> files = Files.walk(cache)) {
      assertEquals(printed, Set.of(files.filter(Files::isRegularFile).map(Path::toString).toArray(String[]::new)));
    }
    Path library = Path.of(printed.iterator().next());
    try (SessionOptions options = new SessionOptions()) {
      assertEquals(library, HlaOperators.register(options, library).library());
    }
    JsonNode document = new JsonMapper().readTree(libPath(List.of("-Dhla.library.path=" + library), "--json").output());
    assertEquals(library.toString(), document.get("path").asText());
    assertEquals("system property hla.library.path", document.get("found_by").asText());
  }

  @Test
  void aCacheThatCannotBeWrittenIsOneLineThatNamesTheOption() throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "");
    Program ran = libPath(List.of("-Dhla.cache.dir=" + file));
    assertEquals(1, ran.code());
    assertTrue(ran.output().startsWith("hla lib-path: operator library: cannot write " + file), ran.output());
    assertTrue(ran.output().contains("-Dhla.cache.dir=FOLDER"), ran.output());
    assertEquals(1, ran.output().lines().count(), ran.output());
  }

  private static Program libPath(List<String> javaOptions, String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(Host.java(), "-cp", System.getProperty("java.class.path")));
    command.addAll(javaOptions);
    command.addAll(List.of(Hla.class.getName(), "lib-path"));
    command.addAll(List.of(options));
    return Program.run(command);
  }
}
