package dev.hla.distill.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.distill.FitEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.launcher.JavaModuleOptions;
import org.junit.jupiter.api.Test;

class SparkProviderTest {
  @Test
  void aMasterThatSparkDoesNotKnowIsNamed() {
    HlaException e = assertThrows(HlaException.class, () -> FitEngine.of("spark", "local[many]"));
    assertTrue(e.getMessage().startsWith("local[many]: Spark does not start (Could not parse Master URL: 'local[many]')"), e.getMessage());
  }

  @Test
  void aClusterNeedsTheToolkitAsJars() {
    HlaException e = assertThrows(HlaException.class, () -> FitEngine.of("spark", "spark://localhost:1"));
    assertTrue(e.getMessage().startsWith("a cluster needs the toolkit as jars, and the class path has none of "), e.getMessage());
  }

  @Test
  void theOptionsOfTheJavaMachineAreThoseThatThisSparkAsksFor() throws IOException {
    List<String> options = Files.readAllLines(Path.of("java.options")).stream().filter(line -> !line.startsWith("#")).toList();
    assertEquals(Arrays.stream(JavaModuleOptions.defaultModuleOptionArray()).filter(o -> !o.equals("--add-modules=jdk.incubator.vector")).toList(),
        options);
  }
}
