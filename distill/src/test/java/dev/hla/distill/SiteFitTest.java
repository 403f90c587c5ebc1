package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.SiteMaps;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SiteFitTest {
  private static final SiteData SITE = new MadeUpSite("site", 2, 8, 48, 12, 1, 1);
  private static final SiteData FRESH = new MadeUpSite("site", 2, 8, 48, 4, 1, 2);

  @BeforeAll
  static void oneThread() {
    Torch.oneThread();
  }

  private static FitSettings settings(String maps, int steps) {
    return new FitSettings(MapDesign.parse(maps), steps, 2e-2, 4, 16, 7);
  }

  private static SiteResult fit(SiteData data, String maps, int steps) {
    return new SiteFit(data, FRESH, settings(maps, steps)).fit(new FitCheckpoint(null));
  }

  @Test
  void theStartInClosedFormIsAlreadyNearAndTheFitNearer() {
    SiteResult result = fit(SITE, "9^2,4^2,1", 150);
    assertTrue(result.start().all() < 0.6 * result.mean().all(), "start " + result.start().all() + ", mean of values " + result.mean().all());
    assertTrue(result.error().all() < 0.8 * result.start().all(), "start " + result.start().all() + ", fitted " + result.error().all());
    assertTrue(result.notes().isEmpty(), result.notes().toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"8,8,1:softmax", "8,1:softplus", "6,1:softmax+4", "8^2,1:+4", "6^4,1", "6,1:relu"})
  void everyKindOfMapBeatsLookingAtNothing(String maps) {
    SiteResult result = fit(SITE, maps, 120);
    assertTrue(result.error().all() < 0.85 * result.mean().all(), maps + ": " + result.error().all() + ", mean of values " + result.mean().all());
    assertEquals(maps.endsWith("+4") ? 4 : 0, result.maps().query().hidden().map(SiteMaps.Hidden::width).orElse(0));
  }

  @Test
  void settingsHaveTheSameTextInEveryProcess() {
    // Checkpoints are found again by it.
    assertEquals("FitSettings[design=8,1:softmax+4, steps=5, rate=0.02, samplesPerStep=4, rowsPerStep=16, seed=7]",
        settings("8,1:softmax+4", 5).toString());
  }

  @Test
  void theQuerysGateStaysConstant() {
    SiteMaps maps = fit(SITE, "4^2,1", 30).maps();
    for (int row = 0; row < 2 * 8; row++) {
      assertEquals(0, maps.query().weight()[row * 5 + 4]);
    }
    assertEquals(0, maps.query().bias()[4]);
  }

  @Test
  void denominatorsComeNearTheNumberOfKeys() {
    SiteMaps maps = fit(SITE, "4,4,1:softmax", 30).maps();
    MapWeights weights = new MapWeights(2, 8, MapDesign.parse("4,4,1:softmax"));
    System.arraycopy(maps.query().weight(), 0, weights.array("query.weight").data(), 0, maps.query().weight().length);
    System.arraycopy(maps.key().weight(), 0, weights.array("key.weight").data(), 0, maps.key().weight().length);
    System.arraycopy(maps.query().bias(), 0, weights.array("query.bias").data(), 0, maps.query().bias().length);
    System.arraycopy(maps.key().bias(), 0, weights.array("key.bias").data(), 0, maps.key().bias().length);
    float[] before = weights.array("key.bias").data().clone();
    Denominator.normalise(SITE, weights);
    assertArrayEquals(before, weights.array("key.bias").data(), 1e-3f, "the median was not 1 already");
  }

  @Test
  void aSeedGivesTheSameMapsTwice() {
    assertSame(fit(SITE, "4^2,2^2,1", 60).maps(), fit(SITE, "4^2,2^2,1", 60).maps());
  }

  @Test
  void anInterruptedFitEndsAsAnUninterruptedOne(@TempDir Path folder) {
    FitSettings settings = settings("4^2,2^2,1", 140);
    SiteMaps whole = new SiteFit(SITE, FRESH, settings).fit(new FitCheckpoint(null)).maps();
    Path file = folder.resolve("fit.npz");
    int[] left = {300};
    SiteData breaks = changed(SITE, sample -> {
      if (left[0]-- < 0) {
        throw new IllegalStateException("power cut");
      }
      return sample;
    });
    assertThrows(IllegalStateException.class, () -> new SiteFit(breaks, FRESH, settings).fit(new FitCheckpoint(file)));
    assertTrue(file.toFile().isFile(), "no checkpoint was left");
    assertSame(whole, new SiteFit(SITE, FRESH, settings).fit(new FitCheckpoint(file)).maps());
  }

  @Test
  void aHeadWithoutFiniteNumbersSpoilsNoOther() {
    SiteData broken = changed(SITE, s -> {
      float[] query = s.query().clone();
      Arrays.fill(query, 0, query.length / 2, Float.NaN);
      return new SiteSample(s.heads(), s.queries(), s.keys(), s.headDim(), s.valueDim(), query, s.key(), s.value(), s.output(), null);
    });
    SiteMaps good = fit(SITE, "4^2,2^2,1", 60).maps();
    SiteResult result = fit(broken, "4^2,2^2,1", 60);
    SiteMaps maps = result.maps();
    int half = good.key().weight().length / 2;
    assertArrayEquals(Arrays.copyOfRange(good.key().weight(), half, 2 * half), Arrays.copyOfRange(maps.key().weight(), half, 2 * half));
    assertTrue(result.notes().stream().anyMatch(note -> note.startsWith("head 0: 60 of 60 steps")), result.notes().toString());
    assertTrue(result.notes().stream().noneMatch(note -> note.startsWith("head 1")), result.notes().toString());
    for (float w : maps.query().weight()) {
      assertTrue(Float.isFinite(w));
    }
  }

  @Test
  void aHeadThatWasCapturedWithoutFiniteNumbersSaysSo() {
    SiteData broken = changed(SITE, s -> {
      float[] output = s.output().clone();
      float[] query = s.query().clone();
      Arrays.fill(output, 0, output.length / 2, Float.NaN);
      Arrays.fill(query, 0, query.length / 2, Float.NaN);
      return new SiteSample(s.heads(), s.queries(), s.keys(), s.headDim(), s.valueDim(), query, s.key(), s.value(), output, null);
    });
    SiteResult result = new SiteFit(broken, FRESH, settings("4^2,2^2,1", 3)).fit(new FitCheckpoint(null));
    List<String> notes = result.notes().stream().filter(note -> note.startsWith("head 0") && !note.contains("left out")).toList();
    // That a start is kept, which then looks at nothing, would be said twice and once wrongly.
    assertEquals(List.of("head 0: no maps were found that beat the mean of the values, as its captured values are not finite; its maps look at nothing"), notes);
  }

  @Test
  void aHeadThatDivergesKeepsItsStart() {
    FitSettings wild = new FitSettings(MapDesign.parse("4^2,2^2,1"), 25, 1e3, 2, 16, 7);
    SiteResult result = new SiteFit(SITE, FRESH, wild).fit(new FitCheckpoint(null));
    assertEquals(result.start().all(), result.error().all(), 1e-6);
    assertTrue(result.notes().stream().allMatch(note -> note.contains("kept") || note.contains("left out")), result.notes().toString());
    assertFalse(result.notes().isEmpty());
  }

  @Test
  void maskedKeysCountForNothing() {
    SiteData masked = changed(new MadeUpSite("masked", 1, 8, 32, 6, 1, 3), s -> {
      float[] weight = new float[s.keys()];
      Arrays.fill(weight, 0, 16, 1);
      // What the original made of the first 16 keys alone.
      float[] value = s.value().clone();
      float[] key = s.key().clone();
      Arrays.fill(value, 16 * 8, value.length, 1e6f);
      return new SiteSample(1, s.queries(), s.keys(), 8, 8, s.query(), key, value, firstKeys(s), weight);
    });
    SiteResult result = new SiteFit(masked, masked, settings("6^2,1", 60)).fit(new FitCheckpoint(null));
    assertTrue(result.error().all() < 0.8 * result.mean().all() && result.mean().all() < 1.2, result.error().all() + " " + result.mean().all());
  }

  private static float[] firstKeys(SiteSample s) {
    float[] y = new float[s.output().length];
    for (int i = 0; i < s.queries(); i++) {
      double total = 0;
      for (int j = 0; j < 16; j++) {
        double dot = 0;
        for (int c = 0; c < 8; c++) {
          dot += s.query()[i * 8 + c] * s.key()[j * 8 + c];
        }
        double weight = Math.exp(dot / Math.sqrt(8));
        total += weight;
        for (int c = 0; c < 8; c++) {
          y[i * 8 + c] += (float) (weight * s.value()[j * 8 + c]);
        }
      }
      for (int c = 0; c < 8; c++) {
        y[i * 8 + c] /= (float) total;
      }
    }
    return y;
  }

  private static void assertSame(SiteMaps a, SiteMaps b) {
    assertArrayEquals(a.query().weight(), b.query().weight());
    assertArrayEquals(a.query().bias(), b.query().bias());
    assertArrayEquals(a.key().weight(), b.key().weight());
    assertArrayEquals(a.key().bias(), b.key().bias());
  }

  private static SiteData changed(SiteData data, UnaryOperator<SiteSample> change) {
    return new SiteData() {
      @Override
      public String name() {
        return data.name();
      }

      @Override
      public int heads() {
        return data.heads();
      }

      @Override
      public int headDim() {
        return data.headDim();
      }

      @Override
      public double scale() {
        return data.scale();
      }

      @Override
      public int size() {
        return data.size();
      }

      @Override
      public SiteSample sample(int index) {
        return change.apply(data.sample(index));
      }
    };
  }
}
