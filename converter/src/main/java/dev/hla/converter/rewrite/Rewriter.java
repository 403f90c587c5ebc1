package dev.hla.converter.rewrite;

import dev.hla.converter.ExternalData;
import dev.hla.converter.FactorUse;
import dev.hla.converter.FusedUses;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.ToolkitVersion;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Wiring;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.ValueInfoProto;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Applies a {@link Plan}: chosen sites become Hadamard linear attention, everything else stays as it is, down to the
 * order of nodes. The result runs with the operator library and, through a model-local function, without it; or it is of
 * plain ONNX alone, if {@link Lowering#PORTABLE} is asked for.
 */
public final class Rewriter {
  /** producer_name of rewritten models. */
  public static final String PRODUCER = "hla-toolkit";
  /** Key of the model's metadata that holds producer_name and producer_version of the original. */
  public static final String SOURCE_PRODUCER = "hla.source_producer";

  private final OnnxModel model;
  private final Lowering lowering;
  private final Set<String> taken = new HashSet<>();
  private final Map<Graph, ScopeEdit> edits = new IdentityHashMap<>();
  private final Set<String> operators = new TreeSet<>();
  private final Map<Graph, List<TensorProto>> tensorsOfRoot = new IdentityHashMap<>();

  private Rewriter(OnnxModel model, Lowering lowering) {
    this.model = model;
    this.lowering = lowering;
  }

  /**
   * A rewritten model, in memory.
   *
   * @param model its external data is still referred to where it was
   * @param tensors the initializers that came new, by name
   */
  public record Rewritten(OnnxModel model, Set<String> tensors) {
    /**
     * Writes a new file, beside the original where that keeps weights in files of their own.
     *
     * @throws HlaException if the file exists already, cannot be written, or could not refer to the weights from there
     */
    public void write(Path target) {
      write(target, ExternalData.Mode.REFERENCE, false);
    }

    /**
     * Writes the file. New weights stay in it, unless the model keeps its weights in files of their own: then they go to
     * another one beside it, NAME.hla.data. External weights are never read: the file refers to them, or they are copied
     * or linked beside it.
     *
     * @param externalData what becomes of the original's external weights
     * @param force whether to replace existing files
     * @throws HlaException if a file exists already, or cannot be written; then nothing is left behind
     */
    public void write(Path target, ExternalData.Mode externalData, boolean force) {
      ConvertedFile.write(this, target, externalData, force);
    }
  }

  /** @throws dev.hla.converter.HlaException if the result would be no valid model */
  public static Rewritten rewrite(OnnxModel model, Plan plan) {
    return rewrite(model, plan, Lowering.FUSED);
  }

  /** As {@link #rewrite(OnnxModel, Plan)}, with a choice of operators. */
  public static Rewritten rewrite(OnnxModel model, Plan plan, Lowering lowering) {
    boolean portable = lowering == Lowering.PORTABLE;
    if (portable) {
      PortableModel.require(model);
    } else if (plan.choices().isEmpty()) {
      return new Rewritten(model, Set.of());
    }
    Rewriter rewriter = new Rewriter(model, lowering);
    OnnxModel result = portable ? PortableModel.of(rewriter.apply(plan)) : rewriter.apply(plan);
    ModelChecker.check(result);
    Set<String> tensors = new HashSet<>();
    rewriter.tensorsOfRoot.forEach((root, list) -> list.stream().filter(t -> root.function() == null).forEach(t -> tensors.add(t.getName())));
    return new Rewritten(result, tensors);
  }

  private OnnxModel apply(Plan plan) {
    Map<String, Graph> roots = new HashMap<>();
    for (Choice choice : plan.choices()) {
      Graph root = Wiring.of(choice.site()).graph().root();
      roots.put(root.function() == null ? "" : functionKey(root.function()), root);
      collectNames(root);
    }
    collectNames(model.proto().getGraph());
    plan.choices().forEach(this::edit);

    ModelProto.Builder out = model.proto().toBuilder();
    if (roots.containsKey("")) {
      out.setGraph(rebuilt(model.proto().getGraph(), roots.get("")));
    }
    for (int i = 0; i < out.getFunctionsCount(); i++) {
      Graph root = roots.get(functionKey(out.getFunctions(i)));
      if (root != null) {
        out.setFunctions(i, rebuilt(out.getFunctions(i), root));
      }
    }
    signed(out);
    if (lowering == Lowering.PORTABLE) {
      return new OnnxModel(model.path(), out.build());
    }
    out.setIrVersion(Math.max(HadamardFunction.MIN_IR_VERSION, out.getIrVersion()));
    importDomain(out);
    TensorProto.DataType type = commonType(plan);
    functions(out, type).forEach(function -> replaceFunction(out, function));
    return new OnnxModel(model.path(), out.build());
  }

  /** Those that the new nodes need, made for all nodes of the file: those of an earlier conversion give way to them. */
  private List<FunctionProto> functions(ModelProto.Builder out, TensorProto.DataType type) {
    try {
      List<FunctionProto> functions = new ArrayList<>();
      if (operators.contains(HadamardFunction.CORE)) {
        functions.add(HadamardFunction.core(model.opset(""), type, nodes(out, HadamardFunction.CORE).stream().map(n -> FactorUse.of(n).ranks()).toList()));
      }
      if (operators.contains(HadamardFunction.FUSED)) {
        functions.add(HadamardFunction.fused(model.opset(""), type, FusedUses.of(nodes(out, HadamardFunction.FUSED))));
      }
      return functions;
    } catch (HlaException e) {
      throw new HlaException(model.path() + ": " + e.getMessage(), e);
    }
  }

  /** The producer is who wrote the file; who wrote the original stays in its metadata. */
  private static void signed(ModelProto.Builder out) {
    String source = (out.getProducerName() + " " + out.getProducerVersion()).strip();
    if (!source.isEmpty() && !out.getProducerName().equals(PRODUCER)) {
      out.addMetadataProps(StringStringEntryProto.newBuilder().setKey(SOURCE_PRODUCER).setValue(source));
    }
    out.setProducerName(PRODUCER).setProducerVersion(ToolkitVersion.get());
  }

  /** The nodes of one of our operators, wherever they stand. */
  private static List<NodeProto> nodes(ModelProto.Builder model, String operator) {
    List<NodeProto> found = new ArrayList<>();
    collect(model.getGraph().getNodeList(), operator, found);
    model.getFunctionsList().forEach(f -> collect(f.getNodeList(), operator, found));
    return found;
  }

  private static void collect(List<NodeProto> nodes, String operator, List<NodeProto> found) {
    for (NodeProto n : nodes) {
      if (n.getDomain().equals(HadamardFunction.DOMAIN) && n.getOpType().equals(operator)) {
        found.add(n);
      }
      for (AttributeProto a : n.getAttributeList()) {
        if (a.hasG()) {
          collect(a.getG().getNodeList(), operator, found);
        }
        a.getGraphsList().forEach(g -> collect(g.getNodeList(), operator, found));
      }
    }
  }

  /** One body serves all types only from the opset on that has CastLike; in older files all sites must be of one type. */
  private TensorProto.DataType commonType(Plan plan) {
    Choice first = plan.choices().get(0);
    int type = Wiring.of(first.site()).value().type();
    for (Choice c : plan.choices()) {
      int other = Wiring.of(c.site()).value().type();
      if (other != type && model.opset("") < HadamardFunction.CAST_LIKE_OPSET) {
        throw new HlaException(model.path() + ": the sites " + first.site().name() + " and " + c.site().name() + " have different element types, which a file of opset "
            + model.opset("") + " cannot express in one function; convert one type at a time with --sites, or export with opset 15 or newer");
      }
    }
    return TensorProto.DataType.forNumber(type);
  }

  private void replaceFunction(ModelProto.Builder out, FunctionProto function) {
    List<FunctionProto> others = new ArrayList<>();
    for (FunctionProto f : out.getFunctionsList()) {
      if (!functionKey(f).equals(functionKey(function))) {
        others.add(f);
      } else if (!HadamardFunction.outputType(f).equals(HadamardFunction.outputType(function))) {
        throw new HlaException(model.path() + ": already has a function " + f.getDomain() + "::" + f.getName()
            + " for another element type, and a file of opset " + model.opset("") + " cannot have both; convert the original model instead");
      }
    }
    out.clearFunctions().addAllFunctions(others).addFunctions(function);
  }

  private static String functionKey(FunctionProto f) {
    return f.getDomain() + "." + f.getName() + "." + f.getOverload();
  }

  private static void importDomain(ModelProto.Builder out) {
    if (out.getOpsetImportList().stream().noneMatch(id -> id.getDomain().equals(HadamardFunction.DOMAIN))) {
      out.addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(HadamardFunction.DOMAIN).setVersion(HadamardFunction.DOMAIN_VERSION));
    }
  }

  private void collectNames(Graph graph) {
    taken.addAll(graph.inputs().keySet());
    taken.addAll(graph.initializers().keySet());
    for (Node n : graph.nodes()) {
      taken.add(n.proto().getName());
      taken.addAll(n.proto().getOutputList());
      graph.bodies(n).forEach(this::collectNames);
    }
  }

  private void collectNames(GraphProto graph) {
    graph.getInitializerList().forEach(t -> taken.add(t.getName()));
    for (NodeProto n : graph.getNodeList()) {
      taken.add(n.getName());
      taken.addAll(n.getOutputList());
    }
  }

  private void edit(Choice choice) {
    Wiring wiring = Wiring.of(choice.site());
    Graph graph = wiring.graph();
    ScopeEdit edit = edits.computeIfAbsent(graph, ScopeEdit::new);
    Emitter emitter = new Emitter(choice.site().name(), opset(graph), taken);
    SiteRewriter site = new SiteRewriter(choice.site(), choice.maps(), lowering, emitter);
    site.emit(choice.fitted());
    edit.insertBefore(site.replaced(), emitter.nodes());
    edit.remove(site.replaced());
    operators.add(site.operator());
    tensorsOfRoot.computeIfAbsent(graph.root(), k -> new ArrayList<>()).addAll(emitter.tensors());
  }

  private long opset(Graph graph) {
    FunctionProto f = graph.function();
    if (f != null) {
      for (OperatorSetIdProto id : f.getOpsetImportList()) {
        if (id.getDomain().isEmpty() || id.getDomain().equals("ai.onnx")) {
          return id.getVersion();
        }
      }
    }
    return model.opset("");
  }

  private GraphProto rebuilt(GraphProto proto, Graph graph) {
    ScopeEdit edit = edits.get(graph);
    List<NodeProto> nodes = rebuilt(proto.getNodeList(), graph);
    GraphProto.Builder out = proto.toBuilder().clearNode().addAllNode(nodes);
    List<TensorProto> added = graph.parent() == null ? tensorsOfRoot.getOrDefault(graph, List.of()) : List.of();
    if (edit != null) {
      Set<String> gone = edit.removedValues();
      out.clearInitializer();
      for (TensorProto t : proto.getInitializerList()) {
        // An initializer that is also an input is part of the model's interface.
        if (!gone.contains(t.getName()) || graph.inputs().containsKey(t.getName())) {
          out.addInitializer(t);
        }
      }
      out.clearValueInfo();
      for (ValueInfoProto v : proto.getValueInfoList()) {
        if (!gone.contains(v.getName())) {
          out.addValueInfo(v);
        }
      }
    }
    return out.addAllInitializer(added).build();
  }

  /** A function has no initializers: its new tensors come as Constant nodes at the top. */
  private FunctionProto rebuilt(FunctionProto proto, Graph graph) {
    List<NodeProto> nodes = new ArrayList<>();
    for (TensorProto t : tensorsOfRoot.getOrDefault(graph, List.of())) {
      nodes.add(NodeProto.newBuilder().setOpType("Constant").setName(t.getName()).addOutput(t.getName())
          .addAttribute(AttributeProto.newBuilder().setName("value").setType(AttributeProto.AttributeType.TENSOR).setT(t)).build());
    }
    nodes.addAll(rebuilt(proto.getNodeList(), graph));
    FunctionProto.Builder out = proto.toBuilder().clearNode().addAllNode(nodes);
    if (lowering != Lowering.PORTABLE && out.getOpsetImportList().stream().noneMatch(id -> id.getDomain().equals(HadamardFunction.DOMAIN))) {
      out.addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(HadamardFunction.DOMAIN).setVersion(HadamardFunction.DOMAIN_VERSION));
    }
    return out.build();
  }

  private List<NodeProto> rebuilt(List<NodeProto> protos, Graph graph) {
    ScopeEdit edit = edits.get(graph);
    List<NodeProto> out = new ArrayList<>(protos.size());
    for (Node node : graph.nodes()) {
      if (edit != null) {
        out.addAll(edit.before(node));
        if (edit.removes(node)) {
          continue;
        }
      }
      List<Graph> bodies = graph.bodies(node);
      out.add(bodies.isEmpty() ? node.proto() : withBodies(node.proto(), bodies));
    }
    return out;
  }

  private NodeProto withBodies(NodeProto proto, List<Graph> bodies) {
    NodeProto.Builder out = proto.toBuilder();
    int next = 0;
    for (AttributeProto.Builder a : out.getAttributeBuilderList()) {
      if (a.hasG()) {
        a.setG(rebuilt(a.getG(), bodies.get(next++)));
      }
      for (int i = 0; i < a.getGraphsCount(); i++) {
        a.setGraphs(i, rebuilt(a.getGraphs(i), bodies.get(next++)));
      }
    }
    return out.build();
  }
}
