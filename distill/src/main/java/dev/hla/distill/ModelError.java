package dev.hla.distill;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.util.List;
import java.util.Map;

/** How far the output of a model with maps in place is from the original's, both in ONNX Runtime. */
public final class ModelError implements AutoCloseable {
  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final ModelSession.Settings settings;
  private final ModelSession original;
  private final String output;

  /** @param sites those that maps are for */
  public ModelError(OnnxModel model, List<AttentionSite> sites, ModelSession.Settings settings) {
    this.model = model;
    this.sites = List.copyOf(sites);
    this.settings = settings;
    this.original = ModelSession.open(model.path(), settings);
    this.output = original.outputs().get(0).name();
  }

  /** The model with maps in place of the softmax of their sites. */
  public ModelSession converted(Map<String, SiteMaps> maps) {
    List<Choice> choices = sites.stream().filter(s -> maps.containsKey(s.name())).map(s -> new Choice(s, maps.get(s.name()), true)).toList();
    OnnxModel rewritten = Rewriter.rewrite(model, new Plan(choices, List.of())).model();
    return ModelSession.open(rewritten.proto().toByteArray(), model.folder(), model.path() + " (converted)", settings);
  }

  /** The relative error |a - b| / |a| of the first output over all sets of inputs together. */
  public double of(ModelSession converted, List<Map<String, Tensor>> inputs) {
    double difference = 0;
    double size = 0;
    for (Map<String, Tensor> input : inputs) {
      float[] a = original.run(input, List.of(output)).get(output).floats();
      float[] b = converted.run(input, List.of(output)).get(output).floats();
      for (int i = 0; i < a.length; i++) {
        difference += ((double) b[i] - a[i]) * ((double) b[i] - a[i]);
        size += (double) a[i] * a[i];
      }
    }
    return Math.sqrt(difference / size);
  }

  @Override
  public void close() {
    original.close();
  }
}
