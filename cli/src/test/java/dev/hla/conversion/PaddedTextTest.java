package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.Capture;
import dev.hla.distill.FitEngine;
import dev.hla.distill.FitSettings;
import dev.hla.distill.FolderCalibration;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.Refinement;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A text behind padding is worth what it is worth without. */
class PaddedTextTest {
  private static final ModelSession.Settings SETTINGS = new ModelSession.Settings(false, 2);
  private static final int TEXTS = 3;

  @TempDir Path folder;

  /** What came of some texts: a fit, its errors, and one step of refinement. */
  private record Worth(SiteResult fit, double modelError, SiteMaps refined) {}

  @Test
  void paddingCountsNeitherInFitsNorInErrors() throws IOException {
    OnnxModel model = OnnxModel.load(TextInputs.model(folder));
    List<AttentionSite> sites = List.of(AttentionFinder.find(model).sites().get(4));
    Worth plain = worth(model, sites, "plain", 0);
    Worth padded = worth(model, sites, "padded", 1);

    assertTrue(plain.fit.error().all() > 0.05 && plain.modelError > 0.01, "nothing was measured: " + plain);
    assertEquals(plain.fit.error().all(), padded.fit.error().all(), 1e-4);
    assertEquals(plain.fit.mean().all(), padded.fit.mean().all(), 1e-4);
    assertEquals(plain.modelError, padded.modelError, 1e-4);
    assertArrayEquals(plain.fit.maps().key().weight(), padded.fit.maps().key().weight(), 1e-3f);
    assertArrayEquals(plain.refined.key().weight(), padded.refined.key().weight(), 1e-3f);
  }

  private Worth worth(OnnxModel model, List<AttentionSite> sites, String name, int padding) throws IOException {
    List<Map<String, Tensor>> texts = TextInputs.of("speeches.txt", padding).subList(0, TEXTS);
    TextInputs.write(texts, folder.resolve(name));
    List<Slot> slots;
    try (ModelSession session = ModelSession.open(model.path(), SETTINGS)) {
      slots = session.inputs();
    }
    FolderCalibration calibration = new FolderCalibration(folder.resolve(name), slots);
    try (Capture capture = Capture.open(model, sites, calibration, folder.resolve(name + ".work"));
        ModelError error = new ModelError(model, sites, SETTINGS);
        Refinement refinement = new Refinement(model, sites, calibration, TEXTS, Refinement.Settings.of(1, 0), SETTINGS)) {
      capture.fill(TEXTS, SETTINGS, () -> {});
      FitSettings settings = FitSettings.of(MapDesign.parse("4^2,1"), 2, 0);
      SiteResult fit = new SiteFits(capture, TEXTS - 1, TEXTS, null).fit(List.of(new SiteFits.Job(0, settings)), FitEngine.threads(1), () -> {}).get(0);
      Map<String, SiteMaps> maps = Map.of(fit.site(), fit.maps());
      try (ModelSession converted = error.converted(maps)) {
        return new Worth(fit, error.of(converted, texts), refinement.refine(maps, null, 1, () -> {}).maps().get(fit.site()));
      }
    }
  }
}
