package dev.hla.converter.shape;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.graph.TensorReader;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** One pass over the nodes in order: element types, small contents, then dimensions. */
final class ShapeInference {
  private final Shapes shapes;
  private final ContentRules contents;
  private final ShapeRules rules;
  /** Bodies beside each other, as those of an If, may give values of their own the same names. */
  private final Set<String> met = new HashSet<>();

  ShapeInference(Shapes shapes) {
    this.shapes = shapes;
    this.contents = new ContentRules(shapes);
    this.rules = new ShapeRules(shapes);
  }

  void run(Graph graph) {
    for (Map.Entry<String, TensorProto> e : graph.initializers().entrySet()) {
      List<Dim> dims = new ArrayList<>();
      e.getValue().getDimsList().forEach(d -> dims.add(Dim.of(d)));
      Shapes.Known sibling = sibling(e.getKey());
      shapes.set(e.getKey(), dims);
      shapes.setType(e.getKey(), e.getValue().getDataType());
      if (TensorReader.elements(e.getValue()) <= Content.LIMIT) {
        shapes.setContent(e.getKey(), ContentRules.of(e.getValue()));
      }
      shapes.join(e.getKey(), sibling);
    }
    graph.inputs().values().forEach(info -> declared(info, graph));
    for (Node node : graph.order()) {
      visit(node);
    }
  }

  private void visit(Node node) {
    for (Graph body : node.graph().bodies(node)) {
      run(body);
    }
    List<Shapes.Known> siblings = new ArrayList<>();
    node.proto().getOutputList().forEach(out -> siblings.add(sibling(out)));
    type(node);
    List<List<Dim>> inferred = rules.of(node);
    for (int i = 0; i < node.outputs(); i++) {
      List<Dim> own = i < inferred.size() ? inferred.get(i) : null;
      shapes.set(node.output(i), better(own, node, i));
    }
    Content content = contents.of(node);
    shapes.setContent(node.output(0), fits(content, shapes.of(node.output(0))) ? content : null);
    for (int i = 0; i < node.outputs(); i++) {
      shapes.join(node.output(i), siblings.get(i));
    }
  }

  /** Whether elements are those of a tensor of no more axes than one; what broadcasting or a reshape made of them otherwise is not followed. */
  private static boolean fits(Content content, List<Dim> dims) {
    return content == null || dims == null || dims.size() <= 1 || (content.size() == 1 && dims.stream().noneMatch(d -> d.isStatic() && !d.is(1)));
  }

  /** Our own dimensions, completed by those that the file declares. */
  private List<Dim> better(List<Dim> own, Node node, int i) {
    ValueInfoProto info = node.graph().valueInfo(node.output(i));
    List<Dim> declared = info == null ? null : dims(info);
    if (info != null && info.getType().hasTensorType()) {
      shapes.setType(node.output(i), info.getType().getTensorType().getElemType());
    }
    if (own == null || declared == null || own.size() != declared.size()) {
      return own == null ? declared : own;
    }
    List<Dim> merged = new ArrayList<>();
    for (int d = 0; d < own.size(); d++) {
      Dim mine = own.get(d);
      Dim theirs = declared.get(d);
      merged.add(mine.isStatic() || (mine.isNamed() && !theirs.isStatic()) ? mine : theirs);
    }
    return merged;
  }

  private void declared(ValueInfoProto info, Graph graph) {
    // One with an initializer was met as that already.
    Shapes.Known sibling = graph.initializers().containsKey(info.getName()) ? null : sibling(info.getName());
    shapes.set(info.getName(), dims(info));
    shapes.setType(info.getName(), info.getType().getTensorType().getElemType());
    shapes.join(info.getName(), sibling);
  }

  /** What is known of the value of that name in another body, taken out; null where the name is new. */
  private Shapes.Known sibling(String value) {
    return value.isEmpty() || met.add(value) ? null : shapes.take(value);
  }

  private static List<Dim> dims(ValueInfoProto info) {
    TypeProto type = info.getType();
    if (!type.hasTensorType() || !type.getTensorType().hasShape()) {
      return null;
    }
    List<Dim> dims = new ArrayList<>();
    for (TensorShapeProto.Dimension d : type.getTensorType().getShape().getDimList()) {
      dims.add(d.hasDimValue() && d.getDimValue() >= 0 ? Dim.of(d.getDimValue())
          : d.hasDimParam() && !d.getDimParam().isEmpty() ? Dim.symbol(d.getDimParam())
          : Dim.unnamed(info.getName() + "." + dims.size()));
    }
    return dims;
  }

  private void type(Node n) {
    int type = switch (n.op()) {
      case "Cast" -> (int) n.integer("to", 0);
      case "CastLike" -> shapes.type(n.input(1));
      case "Shape", "Size", "ArgMax", "ArgMin", "NonZero" -> DataType.INT64_VALUE;
      case "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not", "Xor", "IsNaN", "IsInf"
          -> DataType.BOOL_VALUE;
      case "Constant" -> n.tensor("value") != null ? n.tensor("value").getDataType()
          : n.attribute("value_float") != null || n.attribute("value_floats") != null ? DataType.FLOAT_VALUE : DataType.INT64_VALUE;
      case "ConstantOfShape" -> n.tensor("value") != null ? n.tensor("value").getDataType() : DataType.FLOAT_VALUE;
      case "Where" -> shapes.type(n.input(1));
      case "QuantizeLinear", "If", "Loop", "Scan", "OneHot" -> 0;
      case "DequantizeLinear" -> shapes.type(n.input(1));
      default -> shapes.type(n.input(0));
    };
    for (int i = 0; i < n.outputs(); i++) {
      shapes.setType(n.output(i), type);
    }
    if (n.op().equals("TopK")) {
      shapes.setType(n.output(1), DataType.INT64_VALUE);
    }
  }
}
