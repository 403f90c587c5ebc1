package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.hla.distill.FitEngine;
import dev.hla.testdata.ShapesWan;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FitOptionsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"--spark", "--master=spark://somewhere:7077"})
  void aBuildWithoutSparkSaysHowToGetIt(String option) {
    assumeTrue(ServiceLoader.load(FitEngine.Provider.class).findFirst().isEmpty(), "built with -Pspark: distill-spark tests what happens then");
    Ran ran = Ran.hla("distill", ShapesWan.model().toString(), "-o", folder.resolve("maps.safetensors").toString(), option);
    assertEquals(Exit.FAILED, ran.code());
    assertEquals("hla distill: " + option.replaceAll("=.*", "") + ": this build has no module spark to fit with; build it with: mvn -B -Pspark -DskipTests"
        + " package", ran.errorLine());
    assertFalse(Files.exists(folder.resolve("maps.safetensors.work")));
  }
}
