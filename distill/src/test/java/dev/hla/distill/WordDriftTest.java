package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.Kind;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class WordDriftTest {
  private static final ModelSession.Settings SETTINGS = new ModelSession.Settings(false, 2);
  private static final int CLIPS = 3;

  private final Map<String, SiteMaps> maps = new LinkedHashMap<>();
  private List<List<Contrast>> clips;
  private List<AttentionSite> sites;
  private OnnxModel model;
  private SamplerCalibration calibration;
  private Refinement refinement;
  private Workers pool;
  private WordDrift drift;

  @BeforeEach
  void open() throws IOException {
    FeatureMaps file = FeatureMaps.load(ShapesWan.maps());
    file.names().forEach(name -> maps.put(name, file.forSite(name).orElseThrow()));
    model = OnnxModel.load(ShapesWan.model());
    sites = AttentionFinder.find(model).sites().stream().filter(s -> s.kind() == Kind.SELF).toList();
    Prompts prompts = Prompts.of(Vocabulary.read(ShapesWan.vocabulary()), ShapesWan.vocabulary());
    long[] small = {1, 3, 2, 12, 12};
    calibration = new SamplerCalibration(ModelSession.open(ShapesWan.model(), SETTINGS), prompts, small, 1);
    refinement = new Refinement(model, sites, calibration, CLIPS, Refinement.Settings.of(0, 5), SETTINGS);
    // Reads what all runs share.
    refinement.output(maps, 0);
    pool = new Workers(2);
    clips = IntStream.range(0, CLIPS).mapToObj(calibration::contrasts).toList();
    drift = new WordDrift(refinement, clips, pool, () -> {});
  }

  @AfterEach
  void close() {
    pool.close();
    refinement.close();
    calibration.close();
  }

  private static Map<String, MapWeights> weights(Map<String, SiteMaps> maps) {
    Map<String, MapWeights> weights = new LinkedHashMap<>();
    maps.forEach((site, m) -> weights.put(site, MapWeights.of(m)));
    return weights;
  }

  @Test
  void driftsAreThoseOfTheConvertedModelInOnnxRuntime() {
    WordDrift.Pair costliest = drift.measure(weights(maps)).get(0);
    double product = 0;
    double square = 0;
    try (ModelSession original = ModelSession.open(ShapesWan.model(), SETTINGS); ModelError error = new ModelError(model, sites, SETTINGS);
        ModelSession converted = error.converted(maps)) {
      for (Contrast contrast : clips.stream().flatMap(List::stream).toList()) {
        float[] prompted = run(original, contrast.prompted());
        for (Contrast.Exchanged exchanged : contrast.exchanged()) {
          if (exchanged.words().equals(costliest.words())) {
            float[] other = run(original, exchanged.inputs());
            float[] empty = run(original, contrast.unprompted());
            float[] promptedNow = run(converted, contrast.prompted());
            float[] emptyNow = run(converted, contrast.unprompted());
            for (int i = 0; i < prompted.length; i++) {
              double guided = empty[i] + 3 * (prompted[i] - empty[i]);
              double guidedNow = emptyNow[i] + 3 * (promptedNow[i] - emptyNow[i]);
              product += (guided - guidedNow) * (prompted[i] - other[i]);
              square += Math.pow(prompted[i] - other[i], 2);
            }
          }
        }
      }
    }
    assertEquals(product / square, costliest.drift(), 1e-3 * Math.abs(costliest.drift()), costliest.words().toString());
  }

  private static float[] run(ModelSession session, Map<String, Tensor> inputs) {
    return session.run(inputs).values().iterator().next().floats();
  }

  @Test
  void aSmallStepChangesDriftsByTheirGradients() {
    Map<String, MapWeights> weights = weights(maps);
    List<WordDrift.Pair> all = drift.measure(weights);
    WordDrift.Pair pair = drift.measure(weights, all.stream().limit(3).map(WordDrift.Pair::words).collect(Collectors.toSet()),
        new Curvature(weights), 1).get(0);
    double square = pair.gradient().dot(pair.gradient());
    // Of 0.01 in the drift.
    double length = 0.01 / square;
    weights.forEach((site, w) -> {
      for (int a = 0; a < w.arrays().size(); a++) {
        for (int i = 0; i < w.arrays().get(a).data().length; i++) {
          w.arrays().get(a).data()[i] += (float) (length * pair.gradient().of(site)[a][i]);
        }
      }
    });
    double after = drift.measure(weights).stream().filter(p -> p.words().equals(pair.words())).findFirst().orElseThrow().drift();
    assertEquals(0.01, after - pair.drift(), 0.001, pair.words().toString());
  }

  @Test
  void onlyWordsThatChangeTheOutputAreLookedAt() {
    List<WordDrift.Pair> pairs = drift.measure(weights(maps));
    assertFalse(pairs.isEmpty());
    pairs.forEach(pair -> assertTrue(pair.share() >= 1e-3, pair.words().toString()));
    for (int i = 1; i < pairs.size(); i++) {
      assertTrue(pairs.get(i - 1).loss() >= pairs.get(i).loss(), "the costliest comes first");
    }
  }

  @Test
  void correctedMapsHaveLessDriftAndALittleMoreError() {
    WordCorrection.Corrected corrected = WordCorrection.correct(weights(maps), drift, 1);
    Refinement.Drift costliest = corrected.drifts().get(0);
    assertTrue(Math.abs(costliest.after()) < 0.5 * Math.abs(costliest.before()), costliest.toString());
    List<WordDrift.Pair> measured = drift.measure(corrected.weights());
    assertEquals(costliest.after(), measured.stream().filter(pair -> pair.words().equals(new Contrast.Words(costliest.said(), costliest.other())))
        .findFirst().orElseThrow().drift(), 1e-4);

    Map<String, SiteMaps> moved = new LinkedHashMap<>();
    corrected.weights().forEach((site, w) -> moved.put(site, w.maps(maps.get(site).epsilon())));
    List<Map<String, Tensor>> inputs = IntStream.range(0, CLIPS).mapToObj(calibration::inputs).toList();
    try (ModelError error = new ModelError(model, sites, SETTINGS)) {
      double before = error.of(maps, inputs);
      double after = error.of(moved, inputs);
      assertTrue(after < 1.5 * before, before + " before, " + after + " after");
    }
  }
}
