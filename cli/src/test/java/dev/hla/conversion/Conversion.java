package dev.hla.conversion;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.SiteReport;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.graph.Feed;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A model whose every convertible site is rewritten with unfitted maps of ranks 4,4. */
record Conversion(SiteReport report, Plan plan, ModelProto converted) {
  static final RankSpec RANKS = RankSpec.parse("4,4");

  static SiteReport find(ModelProto model) {
    return AttentionFinder.find(inMemory(model));
  }

  static OnnxModel inMemory(ModelProto model) {
    return new OnnxModel(Path.of("model.onnx"), model);
  }

  static Conversion of(OnnxModel model) {
    SiteReport report = AttentionFinder.find(model);
    Plan plan = Plan.unfitted(report, RANKS);
    return new Conversion(report, plan, Rewriter.rewrite(model, plan).model().proto());
  }

  static Conversion of(ModelProto model) {
    return of(inMemory(model));
  }

  static Map<String, Tensor> run(ModelProto model, Path folder, Map<String, Tensor> values, boolean library, Collection<String> wanted) {
    try (ModelSession session = open(model, folder, library)) {
      return session.run(values, wanted);
    }
  }

  static ModelSession open(ModelProto model, Path folder, boolean library) {
    return ModelSession.open(model.toByteArray(), folder, "model", new ModelSession.Settings(library, 1));
  }

  static Map<String, Tensor> run(ModelProto model, Map<String, Tensor> values, boolean library, Collection<String> wanted) {
    return run(model, Path.of("."), values, library, wanted);
  }

  static Map<String, Tensor> tensors(Map<String, Feed> feeds) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    feeds.forEach((name, feed) -> tensors.put(name, tensor(feed)));
    return tensors;
  }

  private static Tensor tensor(Feed feed) {
    return Tensor.of(feed.values(), feed.shape()).as(switch (feed.type()) {
      case DataType.FLOAT_VALUE -> ElementType.FLOAT32;
      case DataType.FLOAT16_VALUE -> ElementType.FLOAT16;
      case DataType.BFLOAT16_VALUE -> ElementType.BFLOAT16;
      case DataType.BOOL_VALUE -> ElementType.BOOL;
      case DataType.INT32_VALUE -> ElementType.INT32;
      case DataType.INT64_VALUE -> ElementType.INT64;
      default -> throw new IllegalArgumentException("element type " + feed.type());
    });
  }
}
