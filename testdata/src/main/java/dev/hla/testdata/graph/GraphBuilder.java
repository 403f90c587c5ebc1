package dev.hla.testdata.graph;

import com.google.protobuf.ByteString;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.testdata.Precision;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Writes an ONNX graph node by node, with each operator spelled as the opset wants it: axes and sizes were attributes
 * in old opsets and are inputs in new ones. A node is named SCOPE/OPERATOR, its output SCOPE/OPERATOR_output.
 */
public final class GraphBuilder {
  private static final String MICROSOFT = "com.microsoft";

  private final long opset;
  private final GraphBuilder outer;
  private final boolean isFunction;
  private final Set<String> taken;
  private final Map<String, Integer> counts;
  private final List<NodeProto> nodes = new ArrayList<>();
  private final List<TensorProto> initializers = new ArrayList<>();
  private final List<ValueInfoProto> inputs = new ArrayList<>();
  private final List<ValueInfoProto> outputs = new ArrayList<>();
  private final List<FunctionProto> functions = new ArrayList<>();
  private final Map<String, String> integers = new HashMap<>();
  private String scope = "";

  /** The main graph of a model. */
  public GraphBuilder(long opset) {
    this(opset, null, false);
  }

  private GraphBuilder(long opset, GraphBuilder outer, boolean isFunction) {
    this.opset = opset;
    this.outer = outer;
    this.isFunction = isFunction;
    this.taken = outer == null || isFunction ? new HashSet<>() : outer.taken;
    this.counts = outer == null || isFunction ? new HashMap<>() : outer.counts;
  }

  /** The body of an If or Loop of this graph: it sees this graph's values, and its weights are kept by the main graph. */
  public GraphBuilder body() {
    return new GraphBuilder(opset, this, false).scope(scope);
  }

  /** The body of a model-local function: it sees its inputs only, and its weights are Constant nodes. */
  public GraphBuilder function() {
    return new GraphBuilder(opset, this, true).scope(scope);
  }

  public long opset() {
    return opset;
  }

  /** Sets the prefix of the names to come. */
  public GraphBuilder scope(String prefix) {
    scope = prefix;
    return this;
  }

  public String scope() {
    return scope;
  }

  private String unique(String name) {
    String free = name;
    while (!taken.add(free)) {
      free = name + "_" + counts.merge(name, 1, Integer::sum);
    }
    return free;
  }

  // ---- nodes

  /** Adds a node with one output, which it gives back; one of com.microsoft carries its domain in the type. */
  public String op(String type, String... in) {
    return op(type, List.of(), in);
  }

  public String op(String type, List<AttributeProto> attributes, String... in) {
    return ops(type, 1, attributes, in).get(0);
  }

  public List<String> ops(String type, int outputCount, List<AttributeProto> attributes, String... in) {
    boolean microsoft = type.startsWith(MICROSOFT + ".");
    String plain = microsoft ? type.substring(MICROSOFT.length() + 1) : type;
    String name = unique(scope + "/" + plain);
    List<String> out = new ArrayList<>();
    for (int i = 0; i < outputCount; i++) {
      out.add(unique(name + "_output" + (outputCount == 1 ? "" : "_" + i)));
    }
    nodes.add(NodeProto.newBuilder().setName(name).setOpType(plain).setDomain(microsoft ? MICROSOFT : "").addAllInput(List.of(in)).addAllOutput(out)
        .addAllAttribute(attributes).addMetadataProps(entry("origin", scope)).build());
    return out;
  }

  /** A call of a model-local function of the domain "local". */
  public String call(String function, String... in) {
    String name = unique(scope + "/" + function);
    String out = unique(name + "_output");
    nodes.add(NodeProto.newBuilder().setName(name).setOpType(function).setDomain("local").addAllInput(List.of(in)).addOutput(out).build());
    return out;
  }

  public String reshape(String x, String shape) {
    return op("Reshape", x, shape);
  }

  /** With 0 for a size that stays and -1 for what is left. */
  public String reshape(String x, long... shape) {
    return op("Reshape", x, ints(shape));
  }

  public String transpose(String x, long... perm) {
    return op("Transpose", List.of(integers("perm", perm)), x);
  }

  public String cast(String x, int type) {
    return op("Cast", List.of(integer("to", type)), x);
  }

  public String concat(long axis, String... parts) {
    return op("Concat", List.of(integer("axis", axis)), parts);
  }

  public String unsqueeze(String x, long... axes) {
    return axes("Unsqueeze", 13, List.of(), x, axes);
  }

  public String squeeze(String x, long... axes) {
    return axes("Squeeze", 13, List.of(), x, axes);
  }

  public String reduceSum(String x, long axis) {
    return axes("ReduceSum", 13, List.of(integer("keepdims", 1)), x, axis);
  }

  public String reduceMax(String x, long axis) {
    return axes("ReduceMax", 18, List.of(integer("keepdims", 1)), x, axis);
  }

  public String reduceMean(String x, long... axes) {
    return axes("ReduceMean", 18, List.of(integer("keepdims", 1)), x, axes);
  }

  private String axes(String type, int asInputFrom, List<AttributeProto> attributes, String x, long... axes) {
    if (opset >= asInputFrom) {
      return op(type, attributes, x, ints(axes));
    }
    List<AttributeProto> all = new ArrayList<>(attributes);
    all.add(integers("axes", axes));
    return op(type, all, x);
  }

  /** x[start : end] along an axis; the last element is end Long.MAX_VALUE. */
  public String slice(String x, long axis, long start, long end) {
    return opset < 10
        ? op("Slice", List.of(integers("starts", start), integers("ends", end), integers("axes", axis)), x)
        : op("Slice", x, ints(start), ints(end), ints(axis));
  }

  public List<String> split(String x, long axis, long... sizes) {
    return opset < 13
        ? ops("Split", sizes.length, List.of(integer("axis", axis), integers("split", sizes)), x)
        : ops("Split", sizes.length, List.of(integer("axis", axis)), x, ints(sizes));
  }

  /** Over the last of so many axes. Before opset 13 a negative axis was no rule of the exporters. */
  public String softmax(String x, int rank) {
    return op("Softmax", List.of(integer("axis", opset < 13 ? rank - 1 : -1)), x);
  }

  /** Size of one axis, as a tensor of one element. */
  public String dim(String x, long axis) {
    return op("Gather", List.of(integer("axis", 0)), op("Shape", x), ints(axis));
  }

  /** x W + b. */
  public String linear(String x, String weight, String bias) {
    return op("Add", op("MatMul", x, weight), bias);
  }

  // ---- tensors

  /** A constant list of integers; the same list is written once. */
  public String ints(long... values) {
    StringBuilder key = new StringBuilder("ints");
    for (long v : values) {
      key.append('_').append(v == Long.MAX_VALUE ? "end" : v < 0 ? "m" + -v : Long.toString(v));
    }
    String name = key.toString();
    GraphBuilder holder = holder();
    String known = holder.integers.get(name);
    if (known == null) {
      ByteBuffer raw = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
      for (long v : values) {
        raw.putLong(v);
      }
      known = holder.tensor(name, DataType.INT64_VALUE, raw, values.length);
      holder.integers.put(name, known);
    }
    return known;
  }

  /** A single number. */
  public String scalar(double value, int type) {
    return real("number", type, new float[] {(float) value});
  }

  /** A tensor of float, float16 or bfloat16 (TensorProto.DataType); without dimensions it is a single number. */
  public String real(String name, int type, float[] values, long... dims) {
    boolean wide = type == DataType.FLOAT_VALUE;
    ByteBuffer raw = ByteBuffer.allocate((wide ? 4 : 2) * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float v : values) {
      if (wide) {
        raw.putFloat(v);
      } else {
        raw.putShort((type == DataType.FLOAT16_VALUE ? Precision.FLOAT16 : Precision.BFLOAT16).bits(v));
      }
    }
    return holder().tensor(scope.isEmpty() ? name : scope + "." + name, type, raw, dims);
  }

  private GraphBuilder holder() {
    return outer == null || isFunction ? this : outer.holder();
  }

  private String tensor(String name, int type, ByteBuffer raw, long... dims) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(unique(name)).setDataType(type).setRawData(ByteString.copyFrom(raw.flip()));
    for (long d : dims) {
      t.addDims(d);
    }
    initializers.add(t.build());
    return t.getName();
  }

  // ---- inputs, outputs, scopes

  /** @param dims numbers, or names of open sizes */
  public String input(String name, int type, Object... dims) {
    inputs.add(value(unique(name), type, dims));
    return name;
  }

  /** An output under a name of its own. */
  public void output(String name, String of, int type, Object... dims) {
    String free = unique(name);
    nodes.add(NodeProto.newBuilder().setName("/" + free).setOpType("Identity").addInput(of).addOutput(free).build());
    outputs.add(value(free, type, dims));
  }

  /** An output of a body or function, under the name it has. */
  public void yields(String of, int type, Object... dims) {
    outputs.add(value(of, type, dims));
  }

  static ValueInfoProto value(String name, int type, Object... dims) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (Object d : dims) {
      if (d instanceof Number n) {
        shape.addDimBuilder().setDimValue(n.longValue());
      } else {
        shape.addDimBuilder().setDimParam(d.toString());
      }
    }
    return ValueInfoProto.newBuilder().setName(name)
        .setType(TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(type).setShape(shape))).build();
  }

  /** An If whose branches have one output each. */
  public String choose(String condition, GraphBuilder then, GraphBuilder otherwise) {
    return op("If", List.of(graph("then_branch", then.graph("then")), graph("else_branch", otherwise.graph("otherwise"))), condition);
  }

  /** A Loop with one carried value; the body's inputs are the round, the condition and the carried value. */
  public String loop(long rounds, String carried, GraphBuilder body) {
    String count = squeeze(ints(rounds), 0);
    return op("Loop", List.of(graph("body", body.graph("body"))), count, "", carried);
  }

  private GraphProto graph(String name) {
    return GraphProto.newBuilder().setName(name).addAllNode(nodes).addAllInitializer(initializers).addAllInput(inputs).addAllOutput(outputs).build();
  }

  /** Adds a finished function body to this model under a name of the domain "local". */
  public void define(String name, GraphBuilder body) {
    FunctionProto.Builder f = FunctionProto.newBuilder().setDomain("local").setName(name).addAllOpsetImport(imports(false));
    body.inputs.forEach(v -> f.addInput(v.getName()));
    body.outputs.forEach(v -> f.addOutput(v.getName()));
    for (TensorProto t : body.initializers) {
      f.addNode(NodeProto.newBuilder().setName("const " + t.getName()).setOpType("Constant").addOutput(t.getName())
          .addAttribute(AttributeProto.newBuilder().setName("value").setType(AttributeType.TENSOR).setT(t)));
    }
    functions.add(f.addAllNode(body.nodes).build());
  }

  private List<OperatorSetIdProto> imports(boolean local) {
    List<OperatorSetIdProto> ids = new ArrayList<>();
    ids.add(OperatorSetIdProto.newBuilder().setDomain("").setVersion(opset).build());
    ids.add(OperatorSetIdProto.newBuilder().setDomain(MICROSOFT).setVersion(1).build());
    if (local) {
      ids.add(OperatorSetIdProto.newBuilder().setDomain("local").setVersion(1).build());
    }
    return ids;
  }

  public ModelProto model(String producer) {
    return ModelProto.newBuilder().setIrVersion(irVersion()).setProducerName(producer).addAllOpsetImport(imports(!functions.isEmpty()))
        .addAllFunctions(functions).setGraph(graph("graph")).addMetadataProps(entry("made_by", "GraphBuilder")).build();
  }

  /** The format that came with the opset; model-local functions need 8. */
  private long irVersion() {
    return opset < 19 ? 8 : opset < 21 ? 9 : opset < 23 ? 10 : opset < 24 ? 11 : opset < 25 ? 12 : 13;
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  // ---- attributes

  public static AttributeProto integer(String name, long value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.INT).setI(value).build();
  }

  public static AttributeProto number(String name, double value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.FLOAT).setF((float) value).build();
  }

  public static AttributeProto text(String name, String value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(value)).build();
  }

  public static AttributeProto integers(String name, long... values) {
    AttributeProto.Builder a = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    for (long v : values) {
      a.addInts(v);
    }
    return a.build();
  }

  private static AttributeProto graph(String name, GraphProto value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.GRAPH).setG(value).build();
  }
}
