package dev.hla.converter.attention;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.shape.Shapes;
import dev.hla.converter.wiring.WiredSite;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.OperatorSetIdProto;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Finds every attention of a model, in whatever form its exporter wrote it, in the main graph, in bodies of If, Loop and
 * Scan, and in model-local functions. It reads structure only: names are used to label sites, never as evidence.
 */
public final class AttentionFinder {
  /** The domain of the operators that conversion puts in; their functions are not searched. */
  private static final String OWN_DOMAIN = "ai.hla";
  /** The IR version from which an initializer that is also an input is a default that a caller may replace. */
  private static final long FIRST_WITH_DEFAULTS = 4;

  private final SiteNames names = new SiteNames();
  private final List<AttentionSite> sites = new ArrayList<>();
  private final List<NotAttention> rest = new ArrayList<>();

  private final boolean defaults;

  private AttentionFinder(boolean defaults) {
    this.defaults = defaults;
  }

  /** @throws dev.hla.converter.HlaException for a graph that no runtime could run */
  public static SiteReport find(OnnxModel model) {
    AttentionFinder finder = new AttentionFinder(model.proto().getIrVersion() >= FIRST_WITH_DEFAULTS);
    String file = model.path().toString();
    Graph main = Graph.of(model.proto().getGraph(), file);
    List<Graph> functions = model.proto().getFunctionsList().stream().filter(f -> !f.getDomain().equals(OWN_DOMAIN)).map(f -> Graph.of(f, file)).toList();
    if (functions.stream().allMatch(f -> anchors(f).isEmpty())) {
      finder.search(main, null, model.opset(""), Set.of());
    } else {
      CallSites calls = CallSites.of(main, functions);
      finder.search(main, calls.shapes(main), model.opset(""), Set.of());
      functions.forEach(f -> finder.search(f, calls.shapes(f), opset(f.function(), model.opset("")), calls.constants(f)));
    }
    return new SiteReport(model.path(), List.copyOf(finder.sites), List.copyOf(finder.rest));
  }

  private static long opset(FunctionProto f, long otherwise) {
    for (OperatorSetIdProto id : f.getOpsetImportList()) {
      if (id.getDomain().isEmpty() || id.getDomain().equals("ai.onnx")) {
        return id.getVersion();
      }
    }
    return otherwise;
  }

  /** @param known the shapes under the graph, or null to infer them if they are needed */
  private void search(Graph root, Shapes known, long opset, Set<String> constantInputs) {
    List<Node> anchors = anchors(root);
    if (anchors.isEmpty()) {
      return;
    }
    Context context = new Context(root, known != null ? known : Shapes.infer(root), opset, constantInputs, defaults);
    KindTracer kinds = new KindTracer(context, new StreamTracer(root, context));
    SiteBuilder builder = new SiteBuilder(context, kinds);
    for (Node anchor : anchors) {
      try {
        WiredSite site = anchor.is("Softmax") ? new SoftmaxForms(context, builder).softmax(anchor)
            : anchor.is("Div") ? new SoftmaxForms(context, builder).decomposed(anchor)
            : new OperatorForms(context, builder).match(anchor);
        sites.add(site.named(names.of(anchor)));
      } catch (NoMatch e) {
        rest.add(new NotAttention(anchor.label(), anchor.op(), e.getMessage()));
      }
    }
  }

  private static List<Node> anchors(Graph root) {
    List<Node> anchors = new ArrayList<>();
    collect(root, anchors);
    return anchors;
  }

  private static void collect(Graph graph, List<Node> anchors) {
    for (Node n : graph.nodes()) {
      if (n.is("Softmax") || OperatorForms.isAttention(n) || SoftmaxForms.isDecomposedSoftmax(n)) {
        anchors.add(n);
      }
      graph.bodies(n).forEach(body -> collect(body, anchors));
    }
  }
}
