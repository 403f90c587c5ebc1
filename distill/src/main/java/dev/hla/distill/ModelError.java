package dev.hla.distill;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.MaskKind;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.converter.rewrite.SiteProbe;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** How far the output of a model with maps in place is from the original's, both in ONNX Runtime. */
public final class ModelError implements AutoCloseable {
  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final ModelSession.Settings settings;
  private final ModelSession original;
  private final String output;
  /** The output of the observed original that shows a site's mask, or null. */
  private final String mask;

  /** @param sites those that maps are for */
  public ModelError(OnnxModel model, List<AttentionSite> sites, ModelSession.Settings settings) {
    this.model = model;
    this.sites = List.copyOf(sites);
    this.settings = settings;
    Optional<AttentionSite> masked = sites.stream().filter(site -> site.mask() == MaskKind.KEY).findFirst();
    SiteProbe probe = SiteProbe.of(model, masked.stream().toList());
    this.original = ModelSession.open(probe.model().proto().toByteArray(), model.folder(), model.path().toString(), settings);
    this.output = original.outputs().get(0).name();
    this.mask = probe.sites().stream().filter(names -> Padding.tells(names.site(), names.keyWeight())).map(SiteProbe.Names::keyWeight).findFirst()
        .orElse(null);
  }

  /** The model with maps in place of the softmax of their sites. */
  public ModelSession converted(Map<String, SiteMaps> maps) {
    List<Choice> choices = sites.stream().filter(s -> maps.containsKey(s.name())).map(s -> new Choice(s, maps.get(s.name()), true)).toList();
    OnnxModel rewritten = Rewriter.rewrite(model, new Plan(choices, List.of())).model();
    return ModelSession.open(rewritten.proto().toByteArray(), model.folder(), model.path() + " (converted)", settings);
  }

  /** The relative error of the output of the model with maps in place, see {@link #of(ModelSession, List)}. */
  public double of(Map<String, SiteMaps> maps, List<Map<String, Tensor>> inputs) {
    try (ModelSession session = converted(maps)) {
      return of(session, inputs);
    }
  }

  /** The relative error |a - b| / |a| of the first output over all sets of inputs together, without rows of padding. */
  public double of(ModelSession converted, List<Map<String, Tensor>> inputs) {
    Sums sums = new Sums();
    inputs.forEach(input -> sums.add(wanted(input), converted.run(input, List.of(output)).get(output).floats()));
    return sums.relative();
  }

  /** What the original makes of sets of inputs, kept to compare many models with. */
  public Known known(List<Map<String, Tensor>> inputs) {
    return new Known(List.copyOf(inputs), inputs.stream().map(this::wanted).toList());
  }

  /** Inputs and what the original makes of them. */
  public final class Known {
    private final List<Map<String, Tensor>> inputs;
    private final List<Wanted> wanted;

    private Known(List<Map<String, Tensor>> inputs, List<Wanted> wanted) {
      this.inputs = inputs;
      this.wanted = wanted;
    }

    /** The same as {@link ModelError#of(Map, List)}, without running the original. */
    public double error(Map<String, SiteMaps> maps) {
      Sums sums = new Sums();
      try (ModelSession session = converted(maps)) {
        for (int i = 0; i < inputs.size(); i++) {
          sums.add(wanted.get(i), session.run(inputs.get(i), List.of(output)).get(output).floats());
        }
      }
      return sums.relative();
    }
  }

  /** The original's output, and weights of its rows or null. */
  private record Wanted(float[] output, float[] rows) {}

  private Wanted wanted(Map<String, Tensor> input) {
    Map<String, Tensor> shown = original.run(input, mask == null ? List.of(output) : List.of(output, mask));
    return new Wanted(shown.get(output).floats(), mask == null ? null : Padding.rows(shown.get(mask), shown.get(output).shape()));
  }

  private static final class Sums {
    private double difference;
    private double size;

    void add(Wanted wanted, float[] b) {
      float[] a = wanted.output();
      float[] rows = wanted.rows();
      for (int i = 0; i < a.length; i++) {
        if (rows != null && rows[i / (a.length / rows.length)] == 0) {
          continue;
        }
        difference += ((double) b[i] - a[i]) * ((double) b[i] - a[i]);
        size += (double) a[i] * a[i];
      }
    }

    double relative() {
      return Math.sqrt(difference / size);
    }
  }

  @Override
  public void close() {
    original.close();
  }
}
