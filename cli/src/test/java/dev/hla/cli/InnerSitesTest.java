package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.testdata.graph.AttentionForm;
import dev.hla.testdata.graph.AttentionModel;
import dev.hla.testdata.graph.AttentionSpec;
import dev.hla.testdata.graph.Placement;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** verify, where the converted attention lies in a body or a function and no output can show its tensors. */
class InnerSitesTest {
  private static final String WORDS = "of 1 converted attentions in bodies of If, Loop and Scan or in functions, only what they do to the outputs was compared";

  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource(value = Placement.class, names = "MAIN", mode = EnumSource.Mode.EXCLUDE)
  void areComparedByTheOutputs(Placement placement) throws IOException {
    Path original = folder.resolve("original.onnx");
    Files.write(original, AttentionModel.of(AttentionSpec.of(AttentionForm.MANUAL_TIMES).with(placement)).model().toByteArray());
    String converted = folder.resolve("converted.onnx").toString();
    assertEquals(Exit.DONE, Ran.hla("convert", original.toString(), "--ranks", "4,4", "--unfitted", "-o", converted).code());

    Ran alone = Ran.hla("verify", converted);
    assertEquals(Exit.DONE, alone.code(), alone.err());
    assertTrue(alone.err().contains(WORDS), alone.err());

    Ran beside = Ran.hla("verify", original.toString(), converted, "--json");
    assertTrue(beside.err().contains(WORDS), beside.err());
    assertEquals(0.1, VerbsTest.json(beside).get("outputs").get(0).get("limit").asDouble(), "a converted model is no copy");
  }
}
