package dev.hla.converter.rewrite;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.wiring.Wiring;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * A copy of a model that gives, beside its own outputs, what its attention sites read and make, in the operator's layout
 * whatever the exporter's was. Nothing else changes, so its own outputs stay what they were.
 *
 * @param model the copy
 * @param sites the names of the added outputs, in the order of the sites asked for
 */
public record SiteProbe(OnnxModel model, List<Names> sites) {
  /**
   * The tensors of one site. Keys and values of grouped-query attention are repeated for all heads.
   *
   * @param site the site
   * @param query [B, H, N, d]
   * @param key [B, H, M, d]
   * @param value [B, H, M, dv]
   * @param output [B, H, N, dv]
   * @param keyWeight what a key's softmax weights are multiplied with for the mask, with M in the last axis but one
   *     before one of size 1, to be broadcast to [B, H, M, 1]; "" where there is no mask
   */
  public record Names(AttentionSite site, String query, String key, String value, String output, String keyWeight) {
    private List<String> all() {
      return keyWeight.isEmpty() ? List.of(query, key, value, output) : List.of(query, key, value, output, keyWeight);
    }
  }

  /**
   * Adds the outputs of some sites.
   *
   * @throws HlaException for a site that does not convert, or lies in a body or function, whose values no output can show
   */
  public static SiteProbe of(OnnxModel model, List<AttentionSite> sites) {
    GraphProto.Builder graph = model.proto().getGraph().toBuilder();
    Set<String> outputs = new LinkedHashSet<>();
    graph.getOutputList().forEach(o -> outputs.add(o.getName()));
    Set<String> taken = names(model.proto().getGraph());
    List<Names> names = new ArrayList<>();
    for (AttentionSite site : sites) {
      require(model, site);
      Emitter emitter = new Emitter("hla.probe/" + site.name(), model.opset(""), taken);
      Names added = new SiteRewriter(site, null, Lowering.CORE, emitter).probe();
      names.add(added);
      graph.addAllNode(emitter.nodes()).addAllInitializer(emitter.tensors());
      for (String name : added.all()) {
        if (outputs.add(name)) {
          graph.addOutput(ValueInfoProto.newBuilder().setName(name));
        }
      }
    }
    return new SiteProbe(new OnnxModel(model.path(), model.proto().toBuilder().setGraph(graph).build()), List.copyOf(names));
  }

  private static void require(OnnxModel model, AttentionSite site) {
    if (!site.convertible()) {
      throw new HlaException(model.path() + ": " + site.name() + " does not convert: " + site.reason() + "; leave it out");
    }
    Graph graph = Wiring.of(site).graph();
    if (graph.parent() != null || graph.function() != null) {
      throw new HlaException(model.path() + ": " + site.name() + " lies in " + graph.path()
          + ", where its queries and keys cannot be observed; export the model without control flow and functions, or leave the site out");
    }
  }

  private static Set<String> names(GraphProto graph) {
    Set<String> names = new HashSet<>();
    graph.getInputList().forEach(v -> names.add(v.getName()));
    graph.getInitializerList().forEach(t -> names.add(t.getName()));
    graph.getNodeList().forEach(n -> {
      names.add(n.getName());
      names.addAll(n.getOutputList());
    });
    return names;
  }
}
