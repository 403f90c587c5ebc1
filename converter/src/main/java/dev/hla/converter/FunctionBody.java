package dev.hla.converter;

import com.google.protobuf.ByteString;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Collects the nodes of a model-local function, or of a graph nested in one. Values are their names; a name asked for
 * twice gets a number, so that names are unique in the whole function, nested graphs included, as ONNX demands.
 */
final class FunctionBody {
  /** Type of a loop-carried value. */
  enum Kind {
    FLOAT(tensor(DataType.FLOAT)),
    INT64(tensor(DataType.INT64)),
    BOOL(tensor(DataType.BOOL));

    private final TypeProto type;

    Kind(TypeProto type) {
      this.type = type;
    }

    private static TypeProto tensor(DataType element) {
      return TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(element.getNumber())).build();
    }
  }

  /** A value that goes round a loop: its name in the body, its type and its value before the first round. */
  record Carried(String name, Kind kind, String initial) {}

  /** The body of a loop: from the round's number and the carried values to their next values. */
  @FunctionalInterface
  interface LoopBody {
    List<String> build(FunctionBody body, String round, List<String> carried);
  }

  private final FunctionBody outermost;
  private final List<NodeProto> nodes = new ArrayList<>();
  /** Of the outermost body only: every value name in use. */
  private final Set<String> names = new HashSet<>();
  /** Of the outermost body only: constants by their content, so that equal ones are one node. */
  private final Map<String, String> constants = new HashMap<>();
  private final Map<TensorProto, String> tables = new HashMap<>();
  /** Of the outermost body only: see {@link #late}; null until it is needed. */
  private String lateOne;

  /** Version of the ONNX operators: some take as an input what they took as an attribute before. */
  private final long opset;

  /** A body whose nodes are of version {@code opset}; {@code names} are those of its inputs and outputs. */
  FunctionBody(long opset, String... names) {
    outermost = this;
    this.opset = opset;
    this.names.addAll(Arrays.asList(names));
  }

  private FunctionBody(FunctionBody outermost) {
    this.outermost = outermost;
    opset = outermost.opset;
  }

  List<NodeProto> nodes() {
    return nodes;
  }

  private String unique(String wanted) {
    String name = wanted;
    for (int i = 2; !outermost.names.add(name); i++) {
      name = wanted + "_" + i;
    }
    return name;
  }

  /** Adds a node without attributes and returns its output, called {@code name} or a numbered form of it. */
  String op(String name, String type, String... inputs) {
    return op(name, type, List.of(), inputs);
  }

  /** Adds a node with attributes. */
  String op(String name, String type, List<AttributeProto> attributes, String... inputs) {
    return node(List.of(unique(name)), type, attributes, List.of(inputs)).get(0);
  }

  /** Adds the last node of a function: its output has exactly the name given. */
  void result(String name, String type, List<AttributeProto> attributes, String... inputs) {
    node(List.of(name), type, attributes, List.of(inputs));
  }

  /** Adds a node with several outputs. */
  List<String> ops(List<String> outputNames, String type, List<AttributeProto> attributes, String... inputs) {
    return node(outputNames.stream().map(n -> n.isEmpty() ? n : unique(n)).toList(), type, attributes, List.of(inputs));
  }

  private List<String> node(List<String> outputs, String type, List<AttributeProto> attributes, List<String> inputs) {
    nodes.add(NodeProto.newBuilder()
        .setName(outputs.stream().filter(o -> !o.isEmpty()).findFirst().orElseThrow())
        .setOpType(type)
        .addAllInput(inputs)
        .addAllOutput(outputs)
        .addAllAttribute(attributes)
        .build());
    return outputs;
  }

  /** A constant 0-dimensional int64. It is declared in the outermost body, where nested graphs see it. */
  String scalar(long value) {
    return constant("int" + (value < 0 ? "_minus_" : "_") + Math.abs(value), integer("value_int", value));
  }

  /** A constant 0-dimensional float. */
  String scalar(float value) {
    return constant("float_" + value, real("value_float", value));
  }

  /** A constant 1-dimensional int64 tensor. */
  String vector(long... values) {
    StringBuilder name = new StringBuilder("ints");
    for (long value : values) {
      name.append(value < 0 ? "_minus_" : "_").append(Math.abs(value));
    }
    return constant(name.toString(), integers("value_ints", values));
  }

  private String constant(String name, AttributeProto value) {
    String known = outermost.constants.get(name);
    if (known == null) {
      known = outermost.op(name, "Constant", List.of(value));
      outermost.constants.put(name, known);
    }
    return known;
  }

  /** A constant 1-dimensional int64 tensor of any length. */
  String table(String name, long... values) {
    TensorProto.Builder tensor = TensorProto.newBuilder().setDataType(DataType.INT64.getNumber()).addDims(values.length);
    ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(values);
    return constant(name, tensor.setRawData(ByteString.copyFrom(bytes)).build());
  }

  /** A constant 1-dimensional float tensor of any length. */
  String reals(String name, float... values) {
    TensorProto.Builder tensor = TensorProto.newBuilder().setDataType(DataType.FLOAT.getNumber()).addDims(values.length);
    ByteBuffer bytes = ByteBuffer.allocate(Float.BYTES * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return constant(name, tensor.setRawData(ByteString.copyFrom(bytes)).build());
  }

  private String constant(String name, TensorProto value) {
    return outermost.tables.computeIfAbsent(value, key ->
        outermost.op(name, "Constant", List.of(AttributeProto.newBuilder().setName("value").setType(AttributeType.TENSOR).setT(value).build())));
  }

  /**
   * An int64 tensor of one element that no version of ONNX Runtime knows before the run, whatever it is made of: none folds
   * a Loop, or what comes of one.
   */
  String late(String name, String number) {
    if (outermost.lateOne == null) {
      outermost.lateOne = outermost.loop("one", scalar(1), List.of(new Carried("late_one", Kind.INT64, vector(1))), List.of(),
          (b, round, one) -> List.of(b.op("same_one", "Identity", one.get(0)))).get(0);
    }
    return op(name, "Mul", number, outermost.lateOne);
  }

  /** The value of the function's own attribute {@code attribute}, as a tensor. */
  String attribute(String attribute, String constantKind, AttributeType type) {
    return op(attribute, "Constant", List.of(AttributeProto.newBuilder()
        .setName(constantKind).setType(type).setRefAttrName(attribute).build()));
  }

  /** A constant 1-dimensional tensor of strings. */
  String texts(String name, List<String> values) {
    return op(name, "Constant", List.of(strings("value_strings", values)));
  }

  /** A 0-dimensional string as a tensor [1]. */
  String oneText(String name, String text) {
    return op(name, "Reshape", text, vector(1));
  }

  /**
   * Whether a 0-dimensional string is {@code constant}: a bool tensor of one element. Equal takes strings only from opset
   * 19; before, the two are the same if there is one of them without repetition.
   */
  String sameText(String name, String text, String constant) {
    String both = concat(name + "_texts", 0, oneText(name + "_text", text), texts(name + "_constant", List.of(constant)));
    String different = ops(List.of(name + "_different"), "Unique", List.of(integer("sorted", 0)), both).get(0);
    return op(name, "Equal", op(name + "_count", "Shape", different), vector(1));
  }

  /** {@code input[starts : ends]} along {@code axes}, all four 1-dimensional. */
  String slice(String name, String input, String starts, String ends, String axes) {
    return op(name, "Slice", input, starts, ends, axes);
  }

  /** Size of one axis of a tensor, as a tensor of one element. */
  String dim(String name, String shape, long axis) {
    return op(name, "Gather", shape, vector(axis));
  }

  /** Drops every axis of a tensor of one element. */
  String asScalar(String name, String value) {
    return op(name, "Squeeze", value);
  }

  /** Adds axes of size 1. */
  String unsqueeze(String name, String value, long... axes) {
    return opset < 13
        ? op(name, "Unsqueeze", List.of(integers("axes", axes)), value)
        : op(name, "Unsqueeze", value, vector(axes));
  }

  /** Joins tensors along an axis. */
  String concat(String name, long axis, String... inputs) {
    return op(name, "Concat", List.of(integer("axis", axis)), inputs);
  }

  /** {@code input[.., indices, ..]} along one axis. */
  String gather(String name, String input, String indices, long axis) {
    return op(name, "Gather", List.of(integer("axis", axis)), input, indices);
  }

  /** Permutes axes. */
  String transpose(String name, String input, long... order) {
    return op(name, "Transpose", List.of(integers("perm", order)), input);
  }

  /** Casts to an element type. */
  String cast(String name, String input, DataType type) {
    return op(name, "Cast", List.of(integer("to", type.getNumber())), input);
  }

  /** Parts of a tensor along an axis, of the sizes given. */
  List<String> split(String name, String input, long axis, long... sizes) {
    List<String> names = Arrays.stream(sizes).mapToObj(size -> name).toList();
    return opset < 13
        ? ops(names, "Split", List.of(integer("axis", axis), integers("split", sizes)), input)
        : ops(names, "Split", List.of(integer("axis", axis)), input, table(name + "_sizes", sizes));
  }

  /** The largest along an axis, which stays with size 1. */
  String reduceMax(String name, String input, long axis) {
    return opset < 18
        ? op(name, "ReduceMax", List.of(integers("axes", axis)), input)
        : op(name, "ReduceMax", input, vector(axis));
  }

  /** Product along an axis, which stays with size 1. */
  String reduceProduct(String name, String input, long axis) {
    return opset < 18
        ? op(name, "ReduceProd", List.of(integers("axes", axis)), input)
        : op(name, "ReduceProd", input, vector(axis));
  }

  /** Sum along axes, which stay with size 1. */
  String reduceSum(String name, String input, long... axes) {
    return opset < 13
        ? op(name, "ReduceSum", List.of(integers("axes", axes)), input)
        : op(name, "ReduceSum", input, vector(axes));
  }

  /** The larger of two int64 tensors; Max knows integers only from opset 12. */
  String larger(String name, String a, String b) {
    return op(name, "Where", op(name + "_is_first", "Greater", a, b), a, b);
  }

  /** {@code ceil(a / b)} of int64, a not negative, b positive. */
  String ceilDiv(String name, String dividend, String divisor) {
    String sum = op(name + "_sum", "Sub", op(name + "_above", "Add", dividend, divisor), scalar(1));
    return op(name, "Div", sum, divisor);
  }

  /**
   * Runs {@code body} {@code rounds} times (0-dimensional int64). The body returns the next value of each carried one,
   * then a tensor for each of {@code stacked}, of the same shape in every round.
   *
   * @return the last value of each carried one, then the values of all rounds stacked on a new first axis
   */
  List<String> loop(String name, String rounds, List<Carried> carried, List<String> stacked, LoopBody body) {
    FunctionBody inner = new FunctionBody(outermost);
    String round = inner.unique(name + "_round");
    String condition = inner.unique(name + "_condition");
    GraphProto.Builder graph = GraphProto.newBuilder().setName(inner.unique(name + "_body"));
    graph.addInput(scalar(round, Kind.INT64)).addInput(scalar(condition, Kind.BOOL));
    List<String> inside = new ArrayList<>();
    List<String> inputs = new ArrayList<>(List.of(rounds, ""));
    for (Carried each : carried) {
      String in = inner.unique(each.name + "_in");
      inside.add(in);
      inputs.add(each.initial);
      graph.addInput(value(in, each.kind.type));
    }
    List<String> next = body.build(inner, round, inside);
    graph.addOutput(value(inner.op(name + "_goes_on", "Identity", condition), Kind.BOOL.type));
    for (int i = 0; i < carried.size(); i++) {
      graph.addOutput(value(next.get(i), carried.get(i).kind.type));
    }
    for (String each : next.subList(carried.size(), next.size())) {
      graph.addOutput(untyped(each));
    }
    graph.addAllNode(inner.nodes);
    List<String> outputs = Stream.concat(carried.stream().map(Carried::name), stacked.stream()).map(this::unique).toList();
    return node(outputs, "Loop", List.of(graph("body", graph.build())), inputs);
  }

  /** The body of a scan: from the carried values and a slice of each scanned one to their next values and the rows to stack. */
  @FunctionalInterface
  interface ScanBody {
    List<String> build(FunctionBody body, List<String> carried, List<String> slices);
  }

  /**
   * Runs {@code body} once for each slice of {@code scanned}, all of type float, along their first axes, and of
   * {@code integers}, of type int64, which come after them. Unlike a loop it copies neither slices nor what it stacks: ONNX
   * Runtime lets the body read and write them where they lie.
   *
   * @param carried values of type float
   * @param ranks number of axes of each value that the body returns, which ONNX Runtime must know
   * @return the last value of each carried one, then the values of all rounds stacked on a new first axis
   */
  List<String> scan(
      String name, List<Carried> carried, List<String> scanned, List<String> integers, List<String> stacked, List<Integer> ranks, ScanBody body) {
    FunctionBody inner = new FunctionBody(outermost);
    GraphProto.Builder graph = GraphProto.newBuilder().setName(inner.unique(name + "_body"));
    List<String> initial = carried.stream().map(Carried::initial).toList();
    List<String> inside = carried.stream().map(each -> inner.unique(each.name + "_in")).toList();
    List<String> slices = Stream.concat(scanned.stream(), integers.stream()).map(each -> inner.unique(each + "_slice")).toList();
    Stream.concat(inside.stream(), slices.stream().limit(scanned.size())).forEach(each -> graph.addInput(value(each, Kind.FLOAT.type)));
    slices.stream().skip(scanned.size()).forEach(each -> graph.addInput(value(each, Kind.INT64.type)));
    List<String> results = body.build(inner, inside, slices);
    IntStream.range(0, results.size()).forEach(i -> graph.addOutput(ofRank(results.get(i), ranks.get(i))));
    graph.addAllNode(inner.nodes);
    return node(
        Stream.concat(carried.stream().map(Carried::name), stacked.stream()).map(this::unique).toList(), "Scan",
        List.of(graph("body", graph.build()), integer("num_scan_inputs", slices.size())),
        Stream.of(initial, scanned, integers).flatMap(List::stream).toList());
  }

  /**
   * Values by {@code condition}, a bool tensor of one element: of the two ways to them only one is taken.
   *
   * @param kind their type; null if it follows from the branches
   */
  List<String> choose(
      List<String> outputs, Kind kind, String condition, Function<FunctionBody, List<String>> then,
      Function<FunctionBody, List<String>> otherwise) {
    String name = outputs.get(0);
    return node(outputs.stream().map(this::unique).toList(), "If", List.of(
        graph("then_branch", branch(name + "_then", kind, then)),
        graph("else_branch", branch(name + "_else", kind, otherwise))), List.of(condition));
  }

  private GraphProto branch(String name, Kind kind, Function<FunctionBody, List<String>> build) {
    FunctionBody inner = new FunctionBody(outermost);
    List<String> built = build.apply(inner);
    // A graph gives each of its own values once, and none from outside.
    Set<String> own = inner.nodes.stream().flatMap(node -> node.getOutputList().stream()).collect(Collectors.toSet());
    List<String> results = built.stream().map(each -> own.remove(each) ? each : inner.op(name + "_same", "Identity", each)).toList();
    GraphProto.Builder graph = GraphProto.newBuilder().setName(inner.unique(name)).addAllNode(inner.nodes);
    results.forEach(result -> graph.addOutput(kind == null ? untyped(result) : value(result, kind.type)));
    return graph.build();
  }

  /** A value whose type follows from the body, as a function may be used with several. */
  private static ValueInfoProto untyped(String name) {
    return ValueInfoProto.newBuilder().setName(name).build();
  }

  private static ValueInfoProto value(String name, TypeProto type) {
    return ValueInfoProto.newBuilder().setName(name).setType(type).build();
  }

  private static ValueInfoProto ofRank(String name, int rank) {
    ValueInfoProto.Builder value = value(name, Kind.FLOAT.type).toBuilder();
    TensorShapeProto.Builder shape = value.getTypeBuilder().getTensorTypeBuilder().getShapeBuilder();
    for (int i = 0; i < rank; i++) {
      shape.addDim(TensorShapeProto.Dimension.getDefaultInstance());
    }
    return value.build();
  }

  /** With its shape, which ONNX Runtime requires of these two inputs of a loop's body. */
  private static ValueInfoProto scalar(String name, Kind kind) {
    ValueInfoProto.Builder value = value(name, kind.type).toBuilder();
    value.getTypeBuilder().getTensorTypeBuilder().setShape(TensorShapeProto.getDefaultInstance());
    return value.build();
  }

  static AttributeProto integer(String name, long value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.INT).setI(value).build();
  }

  static AttributeProto integers(String name, long... values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    for (long value : values) {
      attribute.addInts(value);
    }
    return attribute.build();
  }

  static AttributeProto real(String name, float value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.FLOAT).setF(value).build();
  }

  private static AttributeProto strings(String name, List<String> values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeType.STRINGS);
    for (String value : values) {
      attribute.addStrings(ByteString.copyFromUtf8(value));
    }
    return attribute.build();
  }

  private static AttributeProto graph(String name, GraphProto graph) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.GRAPH).setG(graph).build();
  }
}
