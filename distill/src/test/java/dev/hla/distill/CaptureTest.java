package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CaptureTest {
  private static final ModelSession.Settings SETTINGS = new ModelSession.Settings(false, 2);

  @TempDir Path folder;

  private Capture capture(Path where, long seed) throws IOException {
    return capture(ShapesWan.model(), where, seed);
  }

  private Capture capture(Path file, Path where, long seed) throws IOException {
    OnnxModel model = OnnxModel.load(file);
    List<AttentionSite> sites = AttentionFinder.find(model).sites().stream().filter(s -> s.name().startsWith("blocks.1.")).toList();
    Prompts prompts = Prompts.of(Vocabulary.read(ShapesWan.vocabulary()), ShapesWan.vocabulary());
    // A third of the usual clip, for speed.
    long[] shape = {1, 3, 2, 24, 12};
    return Capture.open(model, sites, new SamplerCalibration(ModelSession.open(file, SETTINGS), prompts, shape, seed), where);
  }

  @Test
  void whatIsCapturedIsTheAttentionInAllItsParts() throws IOException {
    try (Capture capture = capture(folder, 3)) {
      capture.fill(2, SETTINGS, () -> {});
      for (int k = 0; k < 2; k++) {
        try (CapturedData site = CapturedData.open(folder, k)) {
          SiteSample s = site.sample(1);
          assertEquals(4, s.heads());
          assertEquals(2 * 8 * 4, s.queries());
          assertEquals(site.name().contains("cross") ? 4 : s.queries(), s.keys());
          assertArrayEquals(softmax(s, site.scale()), s.output(), 2e-4f, site.name());
        }
      }
    }
  }

  @Test
  void anInterruptedCaptureGoesOnAndEndsEqual() throws IOException {
    Path whole = folder.resolve("whole");
    Path parts = folder.resolve("parts");
    try (Capture capture = capture(whole, 3)) {
      capture.fill(5, SETTINGS, () -> {});
    }
    try (Capture capture = capture(parts, 3)) {
      capture.fill(2, SETTINGS, () -> {});
    }
    // What a power cut leaves: half a sample, and half a line about it.
    Files.write(parts.resolve("site-0.f32"), new byte[100], StandardOpenOption.APPEND);
    Files.writeString(parts.resolve("samples.jsonl"), "[[123,4", StandardOpenOption.APPEND);
    try (Capture capture = capture(parts, 3)) {
      capture.fill(5, SETTINGS, () -> {});
    }
    for (String file : List.of("site-0.f32", "site-1.f32", "samples.jsonl")) {
      assertEquals(-1, Files.mismatch(whole.resolve(file), parts.resolve(file)), file);
    }
  }

  @Test
  void aCaptureOfOtherInputsIsRefused() throws IOException {
    try (Capture capture = capture(folder, 3)) {
      capture.fill(1, SETTINGS, () -> {});
    }
    HlaException e = assertThrows(HlaException.class, () -> capture(folder, 4));
    assertTrue(e.getMessage().startsWith(folder + ": holds a capture of another model, other sites or other inputs"), e.getMessage());
  }

  @Test
  void aCaptureWithoutASampleLeavesNothing() throws IOException {
    Path made = folder.resolve("made");
    Files.writeString(folder.resolve("capture.json"), "");
    for (Path each : List.of(folder, made)) {
      capture(each, 3).close();
    }
    assertEquals(0, folder.toFile().list().length, "files were left");
  }

  @Test
  void aCaptureOfOtherWeightsBesideTheModelIsRefused() throws IOException {
    TensorProto first = OnnxModel.load(ShapesWan.model()).proto().getGraph().getInitializerList().stream().filter(TensorProto::hasRawData).findFirst().orElseThrow();
    Path weights = Files.write(folder.resolve("w.data"), first.getRawData().toByteArray());
    ModelProto.Builder model = OnnxModel.load(ShapesWan.model()).proto().toBuilder();
    for (TensorProto.Builder t : model.getGraphBuilder().getInitializerBuilderList()) {
      if (t.getName().equals(first.getName())) {
        t.clearRawData().setDataLocation(TensorProto.DataLocation.EXTERNAL)
            .addExternalData(StringStringEntryProto.newBuilder().setKey("location").setValue("w.data"));
      }
    }
    Path file = Files.write(folder.resolve("m.onnx"), model.build().toByteArray());
    Path work = folder.resolve("work");
    try (Capture capture = capture(file, work, 3)) {
      capture.fill(1, SETTINGS, () -> {});
    }
    capture(file, work, 3).close();
    byte[] other = Files.readAllBytes(weights);
    other[0] ^= 1;
    Files.write(weights, other);
    HlaException e = assertThrows(HlaException.class, () -> capture(file, work, 3));
    assertTrue(e.getMessage().startsWith(work + ": holds a capture of another model"), e.getMessage());
  }

  @Test
  void twoRunsAtOnceAreRefused() throws IOException {
    try (Capture first = capture(folder, 3)) {
      HlaException e = assertThrows(HlaException.class, () -> capture(folder, 3));
      assertTrue(e.getMessage().startsWith(folder + ": another run is at work in it"), e.getMessage());
      first.fill(1, SETTINGS, () -> {});
    }
    capture(folder, 3).close();
  }

  private static float[] softmax(SiteSample s, double scale) {
    int d = s.headDim();
    float[] y = new float[s.output().length];
    for (int row = 0; row < s.heads() * s.queries(); row++) {
      int head = row / s.queries();
      double[] sum = new double[s.valueDim()];
      double total = 0;
      for (int j = 0; j < s.keys(); j++) {
        double dot = 0;
        for (int c = 0; c < d; c++) {
          dot += (double) s.query()[row * d + c] * s.key()[(head * s.keys() + j) * d + c];
        }
        double weight = Math.exp(dot * scale);
        total += weight;
        for (int c = 0; c < sum.length; c++) {
          sum[c] += weight * s.value()[(head * s.keys() + j) * sum.length + c];
        }
      }
      for (int c = 0; c < sum.length; c++) {
        y[row * sum.length + c] = (float) (sum[c] / total);
      }
    }
    return y;
  }
}
