package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.converter.OnnxModel;
import dev.hla.runtime.HlaOperators;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** There is one version, the {@code revision} of the parent pom, and all that carries one carries that. */
class VersionTest {
  @TempDir Path folder;

  private static String revision() throws Exception {
    Matcher m = Pattern.compile("<revision>(.+)</revision>").matcher(Files.readString(Path.of("..", "pom.xml")));
    assertTrue(m.find(), "the parent pom has no <revision>");
    return m.group(1);
  }

  @Test
  void theCommandTellsIt() throws Exception {
    assertEquals("hla " + revision(), Ran.hla("--version").out().strip());
  }

  @Test
  void theOperatorLibraryTellsIt() throws Exception {
    try (SessionOptions options = new SessionOptions()) {
      assertEquals(revision(), HlaOperators.register(options).version());
    }
  }

  @Test
  void aConvertedFileIsSignedWithItAndNamesTheProducerOfTheOriginal() throws Exception {
    Path converted = folder.resolve("converted.onnx");
    assertEquals(Exit.DONE, Ran.hla("convert", ShapesWan.model().toString(), "--maps", ShapesWan.maps().toString(), "-o", converted.toString()).code());
    var proto = OnnxModel.load(converted).proto();
    assertEquals("hla-toolkit", proto.getProducerName());
    assertEquals(revision(), proto.getProducerVersion());
    var original = OnnxModel.load(ShapesWan.model()).proto();
    assertEquals(original.getProducerName() + " " + original.getProducerVersion(),
        proto.getMetadataPropsList().stream().filter(p -> p.getKey().equals("hla.source_producer")).findFirst().orElseThrow().getValue());
  }

  @Test
  void theReadmeNamesItInFileNamesAndCoordinates() throws Exception {
    List<String> named = Pattern.compile("hla-(\\d[\\d.]*\\d)-linux|<groupId>dev\\.hla</groupId>.*<version>(.+)</version>")
        .matcher(Files.readString(Path.of("..", "README.md"))).results()
        .map(m -> m.group(1) != null ? m.group(1) : m.group(2)).toList();
    assertEquals(Collections.nCopies(named.size(), revision()), named);
    assertTrue(named.size() >= 2, "README.md names neither the archive nor the coordinates");
  }
}
