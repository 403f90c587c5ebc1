package dev.hla.converter.rewrite;

import dev.hla.converter.HadamardFunction;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.shape.Shapes;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.OperatorSetIdProto;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Checks that a model is one that a runtime can load: every value has one producer that comes before its readers, node
 * names are unique, each operator's domain is imported, and the operands of our own operators have one element type.
 */
public final class ModelChecker {
  private final String file;

  private ModelChecker(String file) {
    this.file = file;
  }

  /** @throws HlaException naming the first node that breaks a rule */
  public static void check(OnnxModel model) {
    ModelChecker checker = new ModelChecker(model.path().toString());
    ModelProto proto = model.proto();
    Graph main = Graph.of(proto.getGraph(), checker.file);
    for (String output : main.outputs()) {
      if (main.producer(output) == null && main.initializer(output) == null && !main.inputs().containsKey(output)) {
        throw new HlaException(checker.file + ": nothing produces the graph output '" + output + "'");
      }
    }
    checker.scope(main, domains(proto.getOpsetImportList()), new HashSet<>());
    checker.types(main);
    for (FunctionProto f : proto.getFunctionsList()) {
      checker.scope(Graph.of(f, checker.file), domains(f.getOpsetImportList()), new HashSet<>());
    }
  }

  private static Set<String> domains(List<OperatorSetIdProto> imports) {
    Set<String> domains = new HashSet<>();
    imports.forEach(id -> domains.add(id.getDomain().equals("ai.onnx") ? "" : id.getDomain()));
    return domains;
  }

  private void scope(Graph graph, Set<String> domains, Set<String> names) {
    Set<String> seen = new HashSet<>();
    for (Node n : graph.nodes()) {
      String domain = n.proto().getDomain().equals("ai.onnx") ? "" : n.proto().getDomain();
      if (!domains.contains(domain)) {
        throw new HlaException(graph.path() + ": " + n + " is of the domain '" + domain + "', which the model does not import");
      }
      if (!n.proto().getName().isEmpty() && !names.add(n.proto().getName())) {
        throw new HlaException(graph.path() + ": two nodes are named '" + n.proto().getName() + "'");
      }
      for (String in : n.proto().getInputList()) {
        Node producer = graph.producer(in);
        if (producer != null && producer.graph() == graph && !seen.contains(in)) {
          throw new HlaException(graph.path() + ": " + n + " reads '" + in + "' before " + producer.label() + " gives it");
        }
      }
      seen.addAll(n.proto().getOutputList());
      graph.bodies(n).forEach(body -> scope(body, domains, names));
    }
  }

  private void types(Graph main) {
    Shapes shapes = Shapes.infer(main);
    for (Node n : main.nodes()) {
      if (n.proto().getDomain().equals(HadamardFunction.DOMAIN)) {
        int type = shapes.type(n.input(2));
        for (int i = 0; i < 2; i++) {
          int other = shapes.type(n.input(i));
          if (type != 0 && other != 0 && type != other) {
            throw new HlaException(main.path() + ": " + n + " gets element types " + other + " and " + type + " (TensorProto numbers); expected one");
          }
        }
      }
    }
  }
}
