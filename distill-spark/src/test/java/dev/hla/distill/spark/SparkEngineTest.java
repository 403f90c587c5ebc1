package dev.hla.distill.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.Calibration;
import dev.hla.distill.Capture;
import dev.hla.distill.FitEngine;
import dev.hla.distill.FitSettings;
import dev.hla.distill.MapDesign;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.graph.AttentionStack;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model with 40 attentions, fitted through Spark on two cores of this machine and in a plain loop. */
class SparkEngineTest {
  private static final int SITES = 40;
  private static final int TOKENS = 24;
  private static final int SAMPLES = 6;
  private static final FitSettings SETTINGS = new FitSettings(MapDesign.parse("4^2,2^2,1"), 15, 2e-2, 2, 8, 7);

  private static Capture capture;
  private static FitEngine spark;

  @TempDir static Path folder;

  @TempDir Path checkpoints;

  /** Normal numbers, the same every time. */
  private record RandomClips() implements Calibration {
    @Override
    public String identity() {
      return "random";
    }

    @Override
    public int size() {
      return SAMPLES;
    }

    @Override
    public Map<String, Tensor> inputs(int index) {
      Random random = new Random(index);
      float[] x = new float[TOKENS * AttentionStack.WIDTH];
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) random.nextGaussian();
      }
      return Map.of("x", Tensor.of(x, 1, TOKENS, AttentionStack.WIDTH));
    }

    @Override
    public void close() {}
  }

  @BeforeAll
  static void captureAndStart() throws IOException {
    Path file = folder.resolve("stack.onnx");
    Files.write(file, AttentionStack.of(SITES, TOKENS).toByteArray());
    OnnxModel model = OnnxModel.load(file);
    List<AttentionSite> sites = AttentionFinder.find(model).sites();
    assertEquals(SITES, sites.stream().filter(AttentionSite::convertible).count(), sites.toString());
    capture = Capture.open(model, sites, new RandomClips(), folder.resolve("capture"));
    capture.fill(SAMPLES, new ModelSession.Settings(false, 1), () -> {});
    spark = FitEngine.of("spark", "local[2]");
  }

  @AfterAll
  static void close() {
    capture.close();
    spark.close();
  }

  private static List<SiteResult> fit(FitEngine engine, Path kept) {
    List<SiteFits.Job> jobs = IntStream.range(0, SITES).mapToObj(k -> new SiteFits.Job(k, SETTINGS)).toList();
    return new SiteFits(capture, 4, SAMPLES, kept).fit(jobs, engine, () -> {});
  }

  /** The checkpoint of a site; they have the site's number in their names. */
  private Path checkpoint(int site) throws IOException {
    try (Stream<Path> files = Files.list(checkpoints)) {
      return files.filter(file -> file.getFileName().toString().startsWith("fit-" + site + "-")).findFirst().orElseThrow();
    }
  }

  private static void assertSame(List<SiteResult> expected, List<SiteResult> actual) {
    assertEquals(expected.stream().map(SiteResult::site).toList(), actual.stream().map(SiteResult::site).toList());
    for (int k = 0; k < SITES; k++) {
      String site = expected.get(k).site();
      assertSame(site, expected.get(k).maps().query(), actual.get(k).maps().query());
      assertSame(site, expected.get(k).maps().key(), actual.get(k).maps().key());
      assertEquals(expected.get(k).error().all(), actual.get(k).error().all(), site);
    }
  }

  private static void assertSame(String site, SiteMaps.Side expected, SiteMaps.Side actual) {
    assertArrayEquals(expected.weight(), actual.weight(), site);
    assertArrayEquals(expected.bias(), actual.bias(), site);
  }

  @Test
  void fortySitesGetTheSameMapsAsInThePlainLoop() {
    try (FitEngine loop = FitEngine.threads(1)) {
      List<SiteResult> plain = fit(loop, null);
      assertSame(plain, fit(spark, null));
      assertTrue(plain.stream().allMatch(r -> r.error().all() < r.mean().all()), "nothing was fitted");
    }
  }

  @Test
  void aSiteThatFailsIsNamedAndTheFitsOfTheOthersAreTakenUp() throws IOException {
    List<SiteResult> whole = fit(spark, checkpoints);
    FileTime longAgo = FileTime.fromMillis(1_000_000);
    for (int k = 0; k < SITES; k++) {
      Files.setLastModifiedTime(checkpoint(k), longAgo);
    }
    Files.delete(checkpoint(3));
    Path damaged = Files.writeString(checkpoint(17), "no checkpoint");
    HlaException e = assertThrows(HlaException.class, () -> fit(spark, checkpoints));
    assertTrue(e.getMessage().startsWith("blocks.17.attn.core: " + damaged + ": not a .npz archive"), e.getMessage());
    assertTrue(e.getMessage().endsWith("; the other fits are kept for a start with the same options"), e.getMessage());
    assertTrue(Files.getLastModifiedTime(checkpoint(3)).compareTo(longAgo) > 0, "the fit that was missing was not done");
    Files.delete(damaged);
    assertSame(whole, fit(spark, checkpoints));
    assertEquals(longAgo, Files.getLastModifiedTime(checkpoint(5)), "a finished fit was done again");
  }
}
