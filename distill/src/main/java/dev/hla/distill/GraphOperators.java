package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import dev.hla.converter.HlaException;
import dev.hla.converter.graph.Node;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BinaryOperator;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/** The ONNX operators that lie between attention and the output of a transformer, on arrays that gradients flow through. */
final class GraphOperators {
  /** Computes the outputs of a node. */
  interface Operator {
    List<NDArray> apply(Node node, GraphRun run);
  }

  private static final Map<String, Operator> OPERATORS = new TreeMap<>();

  static {
    binary("Add", NDArray::add);
    binary("Sub", NDArray::sub);
    binary("Mul", NDArray::mul);
    binary("Div", NDArray::div);
    binary("Max", NDArrays::maximum);
    binary("Min", NDArrays::minimum);
    one("Pow", (n, r) -> pow(r.array(n, 0), r.array(n, 1)));
    binary("MatMul", NDArray::matMul);
    unary("Neg", NDArray::neg);
    unary("Abs", NDArray::abs);
    unary("Sqrt", NDArray::sqrt);
    unary("Exp", NDArray::exp);
    unary("Log", NDArray::log);
    unary("Sin", NDArray::sin);
    unary("Cos", NDArray::cos);
    unary("Tanh", NDArray::tanh);
    unary("Erf", NDArrays::erf);
    unary("Sigmoid", x -> x.getNDArrayInternal().sigmoid());
    unary("Relu", x -> x.getNDArrayInternal().relu());
    unary("Softplus", x -> x.getNDArrayInternal().softPlus());
    unary("Reciprocal", x -> x.onesLike().div(x));
    unary("Identity", x -> x);
    unary("Dropout", x -> x);
    unary("com.microsoft.QuickGelu", x -> x.mul(x.mul(Torch.scalar(x, 1.702)).getNDArrayInternal().sigmoid()));
    one("Gelu", (n, r) -> n.string("approximate", "none").equals("tanh") ? tanhGelu(r.array(n, 0)) : FeatureMap.gelu(r.array(n, 0)));
    one("com.microsoft.Gelu", (n, r) -> FeatureMap.gelu(r.array(n, 0)));
    one("com.microsoft.FastGelu", (n, r) -> tanhGelu(n.has(1) ? r.array(n, 0).add(r.array(n, 1)) : r.array(n, 0)));
    one("com.microsoft.BiasGelu", (n, r) -> FeatureMap.gelu(r.array(n, 0).add(r.array(n, 1))));
    one("Cast", GraphOperators::cast);
    one("Where", (n, r) -> NDArrays.where(r.array(n, 0), r.array(n, 1), r.array(n, 2)));
    one("Gemm", GraphOperators::gemm);
    one("Transpose", GraphOperators::transpose);
    one("Reshape", GraphOperators::reshape);
    one("Flatten", GraphOperators::flatten);
    one("Squeeze", GraphOperators::squeeze);
    one("Unsqueeze", GraphOperators::unsqueeze);
    one("Concat", GraphOperators::concat);
    one("Slice", GraphOperators::slice);
    one("Gather", GraphOperators::gather);
    one("Expand", GraphOperators::expand);
    one("ReduceMean", (n, r) -> reduce(n, r, (x, axes, keep) -> x.mean(axes, keep)));
    one("ReduceSum", (n, r) -> reduce(n, r, (x, axes, keep) -> x.sum(axes, keep)));
    one("Softmax", GraphOperators::softmax);
    one("LayerNormalization", GraphOperators::layerNormalization);
    one("RMSNormalization", GraphOperators::rmsNormalization);
    one("SimplifiedLayerNormalization", GraphOperators::rmsNormalization);
    OPERATORS.put("Split", GraphOperators::split);
  }

  private GraphOperators() {}

  private interface Single {
    NDArray apply(Node node, GraphRun run);
  }

  private interface Reduction {
    NDArray apply(NDArray x, int[] axes, boolean keep);
  }

  private static void one(String op, Single operator) {
    OPERATORS.put(op, (node, run) -> List.of(operator.apply(node, run)));
  }

  private static void unary(String op, UnaryOperator<NDArray> operator) {
    one(op, (node, run) -> operator.apply(run.array(node, 0)));
  }

  private static void binary(String op, BinaryOperator<NDArray> operator) {
    one(op, (node, run) -> operator.apply(run.array(node, 0), run.array(node, 1)));
  }

  /** The operator of a node that {@link #requireAll} has let pass. */
  static Operator of(Node node) {
    return OPERATORS.get(node.op());
  }

  /**
   * Checks that every node's operator is here.
   *
   * @throws HlaException that names the ones that are not, with a node of each
   */
  static void requireAll(String file, Collection<Node> nodes) {
    Map<String, String> missing = new TreeMap<>();
    for (Node node : nodes) {
      if (!OPERATORS.containsKey(node.op())) {
        missing.putIfAbsent(node.op(), node.label());
      }
    }
    if (!missing.isEmpty()) {
      List<String> texts = new ArrayList<>();
      missing.forEach((op, label) -> texts.add(op + " (" + label + ")"));
      throw new HlaException(file + ": cannot be refined end to end, gradients do not pass through " + String.join(", ", texts)
          + "; refine fewer sites, or do without refinement");
    }
  }

  /** The operators that are here. */
  static Collection<String> known() {
    return new TreeSet<>(OPERATORS.keySet());
  }

  private static NDArray pow(NDArray x, NDArray exponent) {
    double power = exponent.size() == 1 ? exponent.toType(DataType.FLOAT32, false).toFloatArray()[0] : Double.NaN;
    return power == 2 ? x.square() : power == 0.5 ? x.sqrt() : x.pow(exponent);
  }

  private static NDArray tanhGelu(NDArray x) {
    NDArray inner = x.add(x.mul(x).mul(x).mul(Torch.scalar(x, 0.044715))).mul(Torch.scalar(x, Math.sqrt(2 / Math.PI)));
    return x.mul(Torch.scalar(x, 0.5)).mul(inner.tanh().add(1));
  }

  private static NDArray cast(Node node, GraphRun run) {
    long to = node.integer("to", 0);
    // float, float16, double, bfloat16: all are float32 here.
    if (to == 1 || to == 10 || to == 11 || to == 16) {
      NDArray x = run.array(node, 0);
      return x.getDataType().isFloating() ? x : x.toType(DataType.FLOAT32, false);
    }
    throw new HlaException(node + ": casts what depends on the maps to a type without gradients; such a model cannot be refined end to end");
  }

  private static NDArray gemm(Node node, GraphRun run) {
    NDArray a = node.integer("transA", 0) == 0 ? run.array(node, 0) : run.array(node, 0).transpose();
    NDArray b = node.integer("transB", 0) == 0 ? run.array(node, 1) : run.array(node, 1).transpose();
    NDArray product = a.matMul(b);
    double alpha = node.real("alpha", 1);
    product = alpha == 1 ? product : product.mul(Torch.scalar(product, alpha));
    return node.has(2) ? product.add(run.array(node, 2).mul(Torch.scalar(product, node.real("beta", 1)))) : product;
  }

  private static NDArray transpose(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    long[] perm = node.integers("perm");
    return perm == null ? x.transpose() : x.transpose(Arrays.stream(perm).mapToInt(p -> (int) p).toArray());
  }

  private static NDArray reshape(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    long[] shape = run.integers(node, 1);
    boolean allowZero = node.integer("allowzero", 0) != 0;
    for (int i = 0; i < shape.length; i++) {
      shape[i] = shape[i] == 0 && !allowZero ? x.getShape().get(i) : shape[i];
    }
    return x.reshape(new Shape(shape));
  }

  private static NDArray flatten(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    int axis = axis(node.integer("axis", 1), x);
    long rows = 1;
    for (int i = 0; i < axis; i++) {
      rows *= x.getShape().get(i);
    }
    return x.reshape(rows, x.size() / rows);
  }

  private static NDArray squeeze(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    long[] axes = axes(node, run, 1);
    return axes == null ? x.squeeze() : x.squeeze(Arrays.stream(axes).mapToInt(a -> axis(a, x)).toArray());
  }

  private static NDArray unsqueeze(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    long[] axes = axes(node, run, 1);
    int rank = x.getShape().dimension() + axes.length;
    int[] sorted = Arrays.stream(axes).mapToInt(a -> (int) (a < 0 ? a + rank : a)).sorted().toArray();
    for (int axis : sorted) {
      x = x.expandDims(axis);
    }
    return x;
  }

  /** From an attribute or, in newer opsets, an input; null where neither is there. */
  private static long[] axes(Node node, GraphRun run, int input) {
    long[] attribute = node.integers("axes");
    return attribute != null ? attribute : node.has(input) ? run.integers(node, input) : null;
  }

  private static int axis(long axis, NDArray x) {
    return (int) (axis < 0 ? axis + x.getShape().dimension() : axis);
  }

  private static NDArray concat(Node node, GraphRun run) {
    NDList parts = new NDList();
    for (int i = 0; i < node.inputs(); i++) {
      parts.add(run.array(node, i));
    }
    return NDArrays.concat(parts, axis(node.integer("axis", 0), parts.get(0)));
  }

  private static List<NDArray> split(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    int axis = axis(node.integer("axis", 0), x);
    long size = x.getShape().get(axis);
    long[] sizes = node.integers("split") != null ? node.integers("split") : node.has(1) ? run.integers(node, 1) : null;
    int count = node.outputs();
    long each = (size + count - 1) / count;
    List<NDArray> parts = new ArrayList<>();
    long start = 0;
    for (int i = 0; i < count; i++) {
      long end = Math.min(size, start + (sizes == null ? each : sizes[i]));
      parts.add(range(x, axis, start, end, 1));
      start = end;
    }
    return parts;
  }

  private static NDArray range(NDArray x, int axis, long start, long end, long step) {
    NDIndex index = new NDIndex();
    for (int i = 0; i < axis; i++) {
      index.addAllDim();
    }
    return x.get(index.addSliceDim(start, end, step));
  }

  private static NDArray slice(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    boolean inputs = node.inputs() > 1;
    long[] starts = inputs ? run.integers(node, 1) : node.integers("starts");
    long[] ends = inputs ? run.integers(node, 2) : node.integers("ends");
    long[] axes = inputs ? (node.has(3) ? run.integers(node, 3) : null) : node.integers("axes");
    long[] steps = inputs && node.has(4) ? run.integers(node, 4) : null;
    for (int i = 0; i < starts.length; i++) {
      int axis = axes == null ? i : axis(axes[i], x);
      long size = x.getShape().get(axis);
      long step = steps == null ? 1 : steps[i];
      if (step < 1) {
        throw new HlaException(node + ": a slice with step " + step + " has no gradient here; such a model cannot be refined end to end");
      }
      long start = Math.min(size, Math.max(0, starts[i] < 0 ? starts[i] + size : starts[i]));
      long end = Math.min(size, Math.max(0, ends[i] < 0 ? ends[i] + size : ends[i]));
      x = start == 0 && end == size && step == 1 ? x : range(x, axis, start, end, step);
    }
    return x;
  }

  private static NDArray gather(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    int axis = axis(node.integer("axis", 0), x);
    long size = x.getShape().get(axis);
    long[] indices = run.integers(node, 1);
    long[] shape = run.shape(node, 1);
    NDList parts = new NDList();
    for (long index : indices) {
      long at = index < 0 ? index + size : index;
      parts.add(range(x, axis, at, at + 1, 1));
    }
    NDArray picked = parts.size() == 1 ? parts.get(0) : NDArrays.concat(parts, axis);
    // The indices' own axes take the place of the one that they pick from.
    long[] old = x.getShape().getShape();
    long[] result = IntStream.range(0, old.length - 1 + shape.length).mapToLong(
        i -> i < axis ? old[i] : i < axis + shape.length ? shape[i - axis] : old[i - shape.length + 1]).toArray();
    return picked.reshape(new Shape(result));
  }

  private static NDArray expand(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    long[] wanted = run.integers(node, 1);
    long[] have = x.getShape().getShape();
    int rank = Math.max(wanted.length, have.length);
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      long a = i < rank - have.length ? 1 : have[i - rank + have.length];
      long b = i < rank - wanted.length ? 1 : wanted[i - rank + wanted.length];
      shape[i] = Math.max(a, b);
    }
    return x.broadcast(new Shape(shape));
  }

  private static NDArray reduce(Node node, GraphRun run, Reduction reduction) {
    NDArray x = run.array(node, 0);
    long[] axes = axes(node, run, 1);
    int[] all = axes == null ? IntStream.range(0, x.getShape().dimension()).toArray() : Arrays.stream(axes).mapToInt(a -> axis(a, x)).toArray();
    return reduction.apply(x, all, node.integer("keepdims", 1) != 0);
  }

  private static NDArray softmax(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    int last = x.getShape().dimension() - 1;
    int axis = axis(node.integer("axis", run.opset() < 13 ? 1 : -1), x);
    if (axis != last && run.opset() < 13) {
      throw new HlaException(node + ": a softmax over several axes at once has no gradient here; such a model cannot be refined end to end");
    }
    return x.softmax(axis);
  }

  private static NDArray layerNormalization(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    int[] axes = IntStream.range(axis(node.integer("axis", -1), x), x.getShape().dimension()).toArray();
    NDArray centred = x.sub(x.mean(axes, true));
    NDArray normal = centred.div(centred.square().mean(axes, true).add(node.real("epsilon", 1e-5)).sqrt());
    NDArray scaled = normal.mul(run.array(node, 1));
    return node.has(2) ? scaled.add(run.array(node, 2)) : scaled;
  }

  private static NDArray rmsNormalization(Node node, GraphRun run) {
    NDArray x = run.array(node, 0);
    int[] axes = IntStream.range(axis(node.integer("axis", -1), x), x.getShape().dimension()).toArray();
    return x.div(x.square().mean(axes, true).add(node.real("epsilon", 1e-5)).sqrt()).mul(run.array(node, 1));
  }
}
