package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.SiteReport;
import dev.hla.testdata.graph.AttentionModel;
import dev.hla.testdata.graph.AttentionSpec;
import dev.hla.testdata.graph.Placement;
import dev.hla.testdata.graph.VideoModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What ONNX Runtime's optimiser does to attention must not hide it: at both levels the same sites are found. */
class OptimisedModelsTest {
  private static final List<OptLevel> LEVELS = List.of(OptLevel.BASIC_OPT, OptLevel.EXTENDED_OPT);

  @TempDir
  Path folder;

  /** The optimiser inlines functions and may fold an If away, so bodies are left to what the main graph shows. */
  static List<AttentionSpec> cells() {
    return FormMatrix.cells().stream().filter(c -> c.runsOnCpu() && c.placement() == Placement.MAIN).toList();
  }

  private void same(SiteReport before, SiteReport after, OptLevel level) {
    assertEquals(before.sites().stream().map(OptimisedModelsTest::essence).toList(), after.sites().stream().map(OptimisedModelsTest::essence).toList(),
        () -> level + ": " + after.notAttention());
  }

  private static String essence(AttentionSite s) {
    return s.kind() + " " + s.heads() + "x" + s.headDim() + " mask " + s.mask();
  }

  private SiteReport optimised(OnnxModel model, OptLevel level) {
    Path source = folder.resolve("source.onnx");
    model.save(source);
    return AttentionFinder.find(Optimised.of(source, level, folder.resolve(level + ".onnx")));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cells")
  void everyFormIsStillFound(AttentionSpec cell) {
    OnnxModel model = Conversion.inMemory(AttentionModel.of(cell).model());
    SiteReport before = AttentionFinder.find(model);
    for (OptLevel level : LEVELS) {
      SiteReport after = optimised(model, level);
      same(before, after, level);
      assertEquals(before.sites().get(0).convertible(), after.sites().get(0).convertible(), after.sites().get(0).reason());
    }
  }

  @ParameterizedTest
  @EnumSource(VideoModel.class)
  void everyKindIsStillFound(VideoModel kind) {
    for (boolean dynamic : new boolean[] {false, true}) {
      OnnxModel model = Conversion.inMemory(kind.build(dynamic, 17).model());
      for (OptLevel level : LEVELS) {
        same(AttentionFinder.find(model), optimised(model, level), level);
      }
    }
  }

  static List<Arguments> corpus() {
    List<Arguments> all = new ArrayList<>();
    Corpus.models().forEach(m -> LEVELS.forEach(l -> all.add(Arguments.of(m, l))));
    return all;
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("corpus")
  @EnabledIf(value = "dev.hla.conversion.Corpus#isThere", disabledReason = "the models of ../shared are not beside this checkout")
  void everySiteOfTheCorpusIsStillFound(Path file, OptLevel level) {
    SiteReport after = AttentionFinder.find(Optimised.of(file, level, folder.resolve("optimised.onnx")));
    same(AttentionFinder.find(OnnxModel.load(file)), after, level);
    assertTrue(after.sites().stream().allMatch(s -> !Double.isNaN(s.scale())));
  }
}
