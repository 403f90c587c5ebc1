package dev.hla.converter.shape;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Node;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The dimensions of a node's outputs; the ONNX operator specification gives each rule. */
final class ShapeRules {
  private final Shapes shapes;

  ShapeRules(Shapes shapes) {
    this.shapes = shapes;
  }

  /** One entry an output, null where nothing is known. */
  List<List<Dim>> of(Node n) {
    return switch (n.op()) {
      case "Split" -> split(n);
      case "If" -> branch(n);
      case "Attention", "com.microsoft.Attention", "com.microsoft.MultiHeadAttention",
          "com.microsoft.GroupQueryAttention" -> Collections.singletonList(attention(n));
      case "LayerNormalization", "SkipLayerNormalization", "com.microsoft.SkipLayerNormalization", "SimplifiedLayerNormalization",
          "com.microsoft.SkipSimplifiedLayerNormalization", "Dropout", "BatchNormalization" -> Collections.singletonList(in(n, 0));
      case "TopK" -> {
        List<Dim> d = along(in(n, 0), n.integer("axis", -1), single(n, 1));
        yield Arrays.asList(d, d);
      }
      default -> Collections.singletonList(single(n));
    };
  }

  private List<Dim> single(Node n) {
    return switch (n.op()) {
      case "Constant" -> constant(n);
      case "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "And", "Or", "Xor", "Equal", "Less", "LessOrEqual",
          "Greater", "GreaterOrEqual", "Where", "Sum", "Mean", "PRelu", "BitShift", "com.microsoft.BiasGelu",
          "com.microsoft.BiasAdd" -> broadcast(n);
      case "MatMul", "com.microsoft.FusedMatMul", "com.microsoft.TransposeMatMul", "MatMulInteger", "com.microsoft.FusedMatMulActivation"
          -> matMul(n);
      case "Gemm" -> gemm(n);
      case "Einsum" -> einsum(n);
      case "Transpose" -> transpose(n);
      case "Reshape" -> reshape(n);
      case "Flatten" -> flatten(n);
      case "Squeeze" -> squeeze(n);
      case "Unsqueeze" -> unsqueeze(n);
      case "Concat" -> concat(n);
      case "Slice" -> slice(n);
      case "Gather" -> gather(n);
      case "GatherElements" -> in(n, 1);
      case "GatherND" -> gatherEach(n);
      case "Shape" -> {
        Content c = new ContentRules(shapes).of(n);
        yield c == null ? List.of(Dim.unnamed(n.output(0))) : List.of(Dim.of(c.size()));
      }
      case "Size" -> List.of();
      case "ConstantOfShape" -> filled(n, 0);
      case "Expand" -> expand(n);
      case "Tile" -> tile(n);
      case "Range" -> range(n);
      case "Conv", "com.microsoft.FusedConv", "com.microsoft.nchwc.Conv" -> conv(n);
      // Blocks of channels, as ONNX Runtime's layout optimiser leaves them for one processor, and back.
      case "com.microsoft.nchwc.ReorderInput" -> n.integer("channels_last", 0) != 0 ? null : in(n, 0);
      case "com.microsoft.nchwc.ReorderOutput" -> n.integer("channels_last", 0) != 0 ? null : along(in(n, 0), 1, Dim.of(n.integer("channels", 0)));
      case "MaxPool", "AveragePool", "LpPool", "com.microsoft.nchwc.MaxPool", "com.microsoft.nchwc.AveragePool" -> pool(n);
      case "Resize" -> resized(n);
      case "Pad" -> pad(n);
      case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceL1", "ReduceSumSquare",
          "ReduceLogSumExp", "ReduceLogSum", "ArgMax", "ArgMin" -> reduce(n);
      case "Cast", "CastLike", "Identity", "Sqrt", "Exp", "Log", "Neg", "Abs", "Reciprocal", "Floor", "Ceil", "Round", "Not",
          "Sin", "Cos", "Tanh", "Sigmoid", "Relu", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Erf", "Gelu", "Mish",
          "HardSwish", "HardSigmoid", "Swish", "Clip", "Sign", "IsNaN", "IsInf", "Softmax", "LogSoftmax", "Hardmax", "ScatterND",
          "ScatterElements", "Scatter", "CumSum", "Trilu", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
          "LpNormalization", "RotaryEmbedding", "RandomUniformLike", "RandomNormalLike", "Bernoulli", "QuantizeLinear", "DequantizeLinear", "com.microsoft.FastGelu",
          "com.microsoft.Gelu", "com.microsoft.QuickGelu", "com.microsoft.RotaryEmbedding", "com.microsoft.GroupNorm" -> in(n, 0);
      default -> null;
    };
  }

  private List<Dim> in(Node n, int i) {
    return n.has(i) ? shapes.of(n.input(i)) : null;
  }

  private Dim single(Node n, int input) {
    List<Dim> v = n.has(input) ? shapes.integers(n.input(input)) : null;
    return v == null || v.size() != 1 || v.get(0) == null ? Dim.unnamed(n.output(0)) : v.get(0);
  }

  private static int axis(long axis, int rank) {
    return (int) (axis < 0 ? axis + rank : axis);
  }

  private static boolean inside(int axis, int rank) {
    return axis >= 0 && axis < rank;
  }

  private static List<Dim> along(List<Dim> dims, long axis, Dim size) {
    if (dims == null || !inside(axis(axis, dims.size()), dims.size())) {
      return null;
    }
    List<Dim> out = new ArrayList<>(dims);
    out.set(axis(axis, dims.size()), size);
    return out;
  }

  private static List<Dim> constant(Node n) {
    if (n.tensor("value") != null) {
      List<Dim> out = new ArrayList<>();
      n.tensor("value").getDimsList().forEach(d -> out.add(Dim.of(d)));
      return out;
    }
    long[] ints = n.integers("value_ints");
    return n.attribute("value_int") != null || n.attribute("value_float") != null ? List.of()
        : ints != null && ints.length > 0 ? List.of(Dim.of(ints.length)) : null;
  }

  private List<Dim> broadcast(Node n) {
    List<Dim> out = List.of();
    for (int i = 0; i < n.inputs(); i++) {
      out = broadcast(out, in(n, i));
    }
    return out;
  }

  /** Where two sizes differ and neither is 1, one of them is a symbol that must equal the other: keep the number. */
  private static List<Dim> broadcast(List<Dim> a, List<Dim> b) {
    if (a == null || b == null) {
      return null;
    }
    int rank = Math.max(a.size(), b.size());
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      int ia = i - rank + a.size();
      int ib = i - rank + b.size();
      Dim x = ia < 0 ? Dim.of(1) : a.get(ia);
      Dim y = ib < 0 ? Dim.of(1) : b.get(ib);
      out.add(x.is(1) ? y : y.is(1) || x.isStatic() ? x : y.isStatic() || (!x.isNamed() && y.isNamed()) ? y : x);
    }
    return out;
  }

  private List<Dim> matMul(Node n) {
    List<Dim> a = in(n, 0);
    List<Dim> b = in(n, 1);
    if (a == null || b == null || a.isEmpty() || b.isEmpty()) {
      return null;
    }
    a = n.integer("transBatchA", 0) != 0 ? batchFirst(a) : a;
    b = n.integer("transBatchB", 0) != 0 ? batchFirst(b) : b;
    a = n.integer("transA", 0) != 0 ? swapped(a) : a;
    b = n.integer("transB", 0) != 0 ? swapped(b) : b;
    boolean rowless = a.size() == 1;
    boolean columnless = b.size() == 1;
    List<Dim> out = broadcast(rowless ? List.of() : a.subList(0, a.size() - 2), columnless ? List.of() : b.subList(0, b.size() - 2));
    out = new ArrayList<>(out);
    if (!rowless) {
      out.add(a.get(a.size() - 2));
    }
    if (!columnless) {
      out.add(b.get(b.size() - 1));
    }
    return out;
  }

  /** The operand of a fused product that has one of its last two axes before the batch axes. */
  private static List<Dim> batchFirst(List<Dim> d) {
    if (d.size() < 3) {
      return d;
    }
    List<Dim> out = new ArrayList<>(d.subList(1, d.size() - 1));
    out.add(d.get(0));
    out.add(d.get(d.size() - 1));
    return out;
  }

  private static List<Dim> swapped(List<Dim> d) {
    if (d.size() < 2) {
      return d;
    }
    List<Dim> out = new ArrayList<>(d);
    Collections.swap(out, d.size() - 1, d.size() - 2);
    return out;
  }

  private List<Dim> gemm(Node n) {
    List<Dim> a = in(n, 0);
    List<Dim> b = in(n, 1);
    if (a == null || b == null || a.size() != 2 || b.size() != 2) {
      return null;
    }
    return List.of(a.get(n.integer("transA", 0) != 0 ? 1 : 0), b.get(n.integer("transB", 0) != 0 ? 0 : 1));
  }

  private List<Dim> einsum(Node n) {
    Map<Character, Dim> size = new LinkedHashMap<>();
    String equation = n.string("equation", "").replace(" ", "");
    int arrow = equation.indexOf("->");
    if (arrow < 0 || equation.contains(".")) {
      return null;
    }
    String[] terms = equation.substring(0, arrow).split(",", -1);
    for (int i = 0; i < terms.length; i++) {
      List<Dim> d = in(n, i);
      if (d != null && d.size() == terms[i].length()) {
        for (int j = 0; j < d.size(); j++) {
          Dim known = size.get(terms[i].charAt(j));
          if (known == null || (!known.isStatic() && d.get(j).isStatic())) {
            size.put(terms[i].charAt(j), d.get(j));
          }
        }
      }
    }
    List<Dim> out = new ArrayList<>();
    for (char c : equation.substring(arrow + 2).toCharArray()) {
      out.add(size.getOrDefault(c, Dim.unnamed(n.output(0) + "." + c)));
    }
    return out;
  }

  private List<Dim> transpose(Node n) {
    List<Dim> d = in(n, 0);
    if (d == null) {
      return null;
    }
    long[] perm = n.integers("perm");
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < d.size(); i++) {
      int from = perm == null ? d.size() - 1 - i : i < perm.length ? (int) perm[i] : -1;
      if (!inside(from, d.size())) {
        return null;
      }
      out.add(d.get(from));
    }
    return out;
  }

  private List<Dim> reshape(Node n) {
    List<Dim> target = n.attribute("shape") != null ? dims(n.integers("shape")) : shapes.integers(n.input(1));
    List<Dim> from = in(n, 0);
    if (target == null) {
      Dim length = n.has(1) ? shapes.dim(n.input(1), 0) : null;
      return length == null || !length.isStatic() || length.value() > Content.LIMIT ? null : unnamed(n, (int) length.value());
    }
    List<Dim> out = new ArrayList<>();
    int open = -1;
    for (int i = 0; i < target.size(); i++) {
      Dim d = target.get(i);
      if (d == null) {
        d = Dim.unnamed(n.output(0) + "." + i);
      } else if (d.is(0) && n.integer("allowzero", 0) == 0) {
        d = from != null && i < from.size() ? from.get(i) : Dim.unnamed(n.output(0) + "." + i);
      } else if (d.is(-1)) {
        open = i;
      }
      out.add(d);
    }
    if (open >= 0) {
      Dim unknown = Dim.unnamed(n.output(0) + "." + open);
      out.set(open, Dim.of(1));
      Dim rest = out.stream().reduce(Dim.of(1), Dim::times);
      out.set(open, from == null || rest.is(0) ? unknown : from.stream().reduce(Dim.of(1), Dim::times).over(rest));
    }
    return out;
  }

  private static List<Dim> unnamed(Node n, int rank) {
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      out.add(Dim.unnamed(n.output(0) + "." + i));
    }
    return out;
  }

  private static List<Dim> dims(long[] values) {
    List<Dim> out = new ArrayList<>();
    for (long v : values) {
      out.add(Dim.of(v));
    }
    return out;
  }

  private List<Dim> flatten(Node n) {
    List<Dim> d = in(n, 0);
    if (d == null) {
      return null;
    }
    int axis = axis(n.integer("axis", 1), d.size());
    return axis < 0 || axis > d.size() ? null
        : List.of(d.subList(0, axis).stream().reduce(Dim.of(1), Dim::times), d.subList(axis, d.size()).stream().reduce(Dim.of(1), Dim::times));
  }

  private long[] axes(Node n, int input) {
    if (n.attribute("axes") != null) {
      return n.integers("axes");
    }
    List<Dim> v = n.has(input) ? shapes.integers(n.input(input)) : null;
    return v == null || v.contains(null) ? null : new Content(List.copyOf(v)).statics();
  }

  private List<Dim> squeeze(Node n) {
    List<Dim> d = in(n, 0);
    long[] axes = axes(n, 1);
    if (d == null || (axes == null && n.has(1))) {
      return null;
    }
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < d.size(); i++) {
      int at = i;
      boolean drop = axes == null ? d.get(i).is(1) : Arrays.stream(axes).anyMatch(a -> axis(a, d.size()) == at);
      if (!drop) {
        out.add(d.get(i));
      }
    }
    return out;
  }

  private List<Dim> unsqueeze(Node n) {
    List<Dim> d = in(n, 0);
    long[] axes = axes(n, 1);
    if (d == null || axes == null) {
      return null;
    }
    int rank = d.size() + axes.length;
    Dim[] out = new Dim[rank];
    for (long a : axes) {
      if (!inside(axis(a, rank), rank)) {
        return null;
      }
      out[axis(a, rank)] = Dim.of(1);
    }
    int from = 0;
    for (int i = 0; i < rank; i++) {
      if (out[i] == null) {
        if (from == d.size()) {
          return null;
        }
        out[i] = d.get(from++);
      }
    }
    return List.of(out);
  }

  private List<Dim> concat(Node n) {
    List<Dim> out = null;
    Dim size = Dim.of(0);
    for (int i = 0; i < n.inputs(); i++) {
      List<Dim> d = in(n, i);
      if (d == null) {
        return null;
      }
      int axis = axis(n.integer("axis", 0), d.size());
      if (!inside(axis, d.size())) {
        return null;
      }
      size = size.plus(d.get(axis));
      out = out == null ? d : merged(out, d);
    }
    return out == null ? null : along(out, n.integer("axis", 0), size);
  }

  /** Of two shapes that must be equal, the more definite sizes. */
  private static List<Dim> merged(List<Dim> a, List<Dim> b) {
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < a.size(); i++) {
      Dim other = i < b.size() ? b.get(i) : a.get(i);
      out.add(!a.get(i).isStatic() && other.isStatic() ? other : a.get(i));
    }
    return out;
  }

  private List<Dim> slice(Node n) {
    List<Dim> d = in(n, 0);
    SliceBounds b = SliceBounds.of(n, shapes);
    if (d == null || b == null) {
      return d == null ? null : unnamed(n, d.size());
    }
    List<Dim> out = new ArrayList<>(d);
    for (int i = 0; i < b.axes().length; i++) {
      int axis = axis(b.axes()[i], d.size());
      if (!inside(axis, d.size())) {
        return null;
      }
      Dim length = length(d.get(axis), b.symbolicStarts()[i], b.symbolicEnds()[i], b.steps()[i]);
      out.set(axis, length == null ? Dim.unnamed(n.output(0) + "." + axis) : length);
    }
    return out;
  }

  private static Dim length(Dim size, Dim start, Dim end, long step) {
    if (start == null || end == null || step == 0) {
      return null;
    }
    if (step < 0) {
      return step == -1 && start.isStatic() && start.value() == -1 && end.isStatic() && end.value() < -1_000_000 ? size : null;
    }
    Dim from = bound(size, start);
    Dim to = bound(size, end);
    if (from == null || to == null) {
      return null;
    }
    Dim span = to.minus(from);
    return span.isStatic() ? Dim.of(Math.max(0, Math.floorDiv(span.value() + step - 1, step)))
        : span.plus(Dim.of(step - 1)).over(Dim.of(step));
  }

  /** A bound counted from the start and cut to the size; ends such as INT64_MAX mean all. */
  private static Dim bound(Dim size, Dim at) {
    if (at.isStatic()) {
      long v = at.value();
      if (size.isStatic()) {
        return Dim.of(Math.max(0, Math.min(size.value(), v < 0 ? v + size.value() : v)));
      }
      // A symbolic size is taken to reach a small static bound: the exporter sliced there on purpose.
      return v > Integer.MAX_VALUE / 2 ? size : v < 0 ? size.plus(at) : at;
    }
    return at.equals(size) || at.isPositive() ? at : null;
  }

  private List<List<Dim>> split(Node n) {
    List<Dim> d = in(n, 0);
    List<List<Dim>> out = new ArrayList<>();
    if (d == null) {
      return out;
    }
    int axis = axis(n.integer("axis", 0), d.size());
    if (!inside(axis, d.size())) {
      return out;
    }
    List<Dim> sizes = n.attribute("split") != null ? dims(n.integers("split")) : n.has(1) ? shapes.integers(n.input(1)) : null;
    for (int i = 0; i < n.outputs(); i++) {
      Dim size = sizes != null && i < sizes.size() && sizes.get(i) != null ? sizes.get(i)
          : n.has(1) ? Dim.unnamed(n.output(i)) : even(d.get(axis), n.outputs(), i);
      out.add(along(d, axis, size));
    }
    return out;
  }

  /** Split without sizes: equal parts, the last one smaller where they do not come out even. */
  private static Dim even(Dim size, int parts, int i) {
    if (!size.isStatic()) {
      return size.over(Dim.of(parts));
    }
    long chunk = (size.value() + parts - 1) / parts;
    return Dim.of(Math.max(0, Math.min(chunk, size.value() - i * chunk)));
  }

  private List<Dim> gather(Node n) {
    List<Dim> d = in(n, 0);
    List<Dim> indices = in(n, 1);
    if (d == null || indices == null) {
      return null;
    }
    int axis = axis(n.integer("axis", 0), d.size());
    if (!inside(axis, d.size())) {
      return null;
    }
    List<Dim> out = new ArrayList<>(d.subList(0, axis));
    out.addAll(indices);
    out.addAll(d.subList(axis + 1, d.size()));
    return out;
  }

  /** Indices [.., k], each naming an element or a part of the data behind its batch axes. */
  private List<Dim> gatherEach(Node n) {
    List<Dim> d = in(n, 0);
    List<Dim> indices = in(n, 1);
    Dim named = indices == null || indices.isEmpty() ? null : indices.get(indices.size() - 1);
    long behind = named == null || !named.isStatic() ? -1 : n.integer("batch_dims", 0) + named.value();
    if (d == null || behind < 0 || behind > d.size()) {
      return null;
    }
    List<Dim> out = new ArrayList<>(indices.subList(0, indices.size() - 1));
    out.addAll(d.subList((int) behind, d.size()));
    return out;
  }

  private List<Dim> filled(Node n, int input) {
    List<Dim> v = n.has(input) ? shapes.integers(n.input(input)) : null;
    if (v == null) {
      return null;
    }
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < v.size(); i++) {
      out.add(v.get(i) == null ? Dim.unnamed(n.output(0) + "." + i) : v.get(i));
    }
    return out;
  }

  private List<Dim> expand(Node n) {
    List<Dim> target = filled(n, 1);
    return target == null ? null : broadcast(in(n, 0), target);
  }

  private List<Dim> tile(Node n) {
    List<Dim> d = in(n, 0);
    List<Dim> repeats = n.has(1) ? shapes.integers(n.input(1)) : null;
    if (d == null) {
      return null;
    }
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < d.size(); i++) {
      out.add(repeats == null || i >= repeats.size() || repeats.get(i) == null ? Dim.unnamed(n.output(0) + "." + i)
          : d.get(i).times(repeats.get(i)));
    }
    return out;
  }

  private List<Dim> range(Node n) {
    List<Dim> from = shapes.integers(n.input(0));
    List<Dim> to = shapes.integers(n.input(1));
    List<Dim> by = shapes.integers(n.input(2));
    boolean plain = from != null && to != null && by != null && from.size() == 1 && to.size() == 1 && by.size() == 1
        && from.get(0) != null && to.get(0) != null && by.get(0) != null && by.get(0).is(1);
    return List.of(plain ? to.get(0).minus(from.get(0)) : Dim.unnamed(n.output(0)));
  }

  private List<Dim> conv(Node n) {
    List<Dim> x = in(n, 0);
    List<Dim> w = in(n, 1);
    return x == null || w == null || x.size() != w.size() || x.size() < 3 ? null : windows(n, x, w.get(0), w.subList(2, w.size()));
  }

  private List<Dim> pool(Node n) {
    List<Dim> x = in(n, 0);
    long[] kernel = n.integers("kernel_shape");
    boolean whole = x != null && kernel != null && x.size() == kernel.length + 2;
    return !whole ? null : n.integer("ceil_mode", 0) != 0 ? opened(n, x) : windows(n, x, x.get(1), dims(kernel));
  }

  /** Sizes as they are asked for, or an axis as it is where its scale is 1; other scales are not followed. */
  private List<Dim> resized(Node n) {
    List<Dim> x = in(n, 0);
    if (x == null) {
      return null;
    }
    List<Dim> out = new ArrayList<>(unnamed(n, x.size()));
    boolean all = n.attribute("axes") == null && n.string("keep_aspect_ratio_policy", "stretch").equals("stretch");
    // Before opset 11 the scales are the second input; since then that is a region of interest.
    Content asked = !all ? null : n.has(3) ? shapes.content(n.input(3)) : shapes.content(n.input(n.inputs() == 2 ? 1 : 2));
    for (int i = 0; asked != null && asked.size() == x.size() && i < x.size(); i++) {
      if (n.has(3) && asked.integer(i) != null) {
        out.set(i, asked.integer(i));
      } else if (!n.has(3) && asked.number(i) == 1) {
        out.set(i, x.get(i));
      }
    }
    return out;
  }

  /** Batch and channels as they are, and places whose number is not followed. */
  private static List<Dim> opened(Node n, List<Dim> x) {
    List<Dim> out = new ArrayList<>(unnamed(n, x.size()));
    out.set(0, x.get(0));
    out.set(1, x.get(1));
    return out;
  }

  private static boolean fits(long[] numbers, int count) {
    return numbers == null || numbers.length == count;
  }

  /** What a kernel gives that moves over the axes behind batch and channels; null where its attributes are for other axes. */
  private static List<Dim> windows(Node n, List<Dim> x, Dim channels, List<Dim> kernel) {
    long[] strides = n.integers("strides");
    long[] pads = n.integers("pads");
    long[] dilations = n.integers("dilations");
    List<Dim> out = new ArrayList<>(List.of(x.get(0), channels));
    int spatial = x.size() - 2;
    if (!fits(strides, spatial) || !fits(pads, 2 * spatial) || !fits(dilations, spatial)) {
      return null;
    }
    boolean automatic = !n.string("auto_pad", "NOTSET").equals("NOTSET");
    for (int i = 0; i < spatial; i++) {
      Dim k = kernel.get(i);
      if (automatic || !k.isStatic()) {
        out.add(Dim.unnamed(n.output(0) + "." + (i + 2)));
        continue;
      }
      long stride = strides == null ? 1 : strides[i];
      long pad = pads == null ? 0 : pads[i] + pads[i + spatial];
      long reach = (dilations == null ? 1 : dilations[i]) * (k.value() - 1) + 1;
      Dim span = x.get(i + 2).plus(Dim.of(pad - reach));
      // Patches that do not overlap: floor((size - stride) / stride) + 1 is floor(size / stride), which reads better.
      out.add(pad == 0 && reach == stride ? x.get(i + 2).over(Dim.of(stride)) : span.over(Dim.of(stride)).plus(Dim.of(1)));
    }
    return out;
  }

  private List<Dim> pad(Node n) {
    List<Dim> d = in(n, 0);
    List<Dim> pads = n.attribute("pads") != null ? dims(n.integers("pads")) : n.has(1) ? shapes.integers(n.input(1)) : null;
    if (d == null) {
      return null;
    }
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < d.size(); i++) {
      boolean known = pads != null && pads.size() == 2 * d.size() && !n.has(3) && pads.get(i) != null && pads.get(i + d.size()) != null;
      out.add(known ? d.get(i).plus(pads.get(i)).plus(pads.get(i + d.size())) : Dim.unnamed(n.output(0) + "." + i));
    }
    return out;
  }

  private List<Dim> reduce(Node n) {
    List<Dim> d = in(n, 0);
    if (d == null) {
      return null;
    }
    long[] axes = n.op().startsWith("Arg") ? new long[] {n.integer("axis", 0)} : axes(n, 1);
    if (axes == null && n.has(1)) {
      return null;
    }
    boolean keep = n.integer("keepdims", 1) != 0;
    boolean all = (axes == null || axes.length == 0) && n.integer("noop_with_empty_axes", 0) == 0;
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < d.size(); i++) {
      int at = i;
      boolean reduced = all || (axes != null && Arrays.stream(axes).anyMatch(a -> axis(a, d.size()) == at));
      if (!reduced || keep) {
        out.add(reduced ? Dim.of(1) : d.get(i));
      }
    }
    return out;
  }

  /** Both branches of an If must agree; where only one is known, it is taken. */
  private List<List<Dim>> branch(Node n) {
    List<List<Dim>> out = new ArrayList<>();
    for (int i = 0; i < n.outputs(); i++) {
      List<Dim> first = null;
      for (var body : n.graph().bodies(n)) {
        List<Dim> d = i < body.outputs().size() ? shapes.of(body.outputs().get(i)) : null;
        first = first == null || d == null ? (first == null ? d : first) : first.equals(d) ? first : unnamed(n, d.size());
      }
      out.add(first);
    }
    return out;
  }

  /** Attention operators give the query's shape, with the value's width where that differs. */
  private List<Dim> attention(Node n) {
    List<Dim> q = in(n, 0);
    if (q == null) {
      return null;
    }
    boolean projecting = n.op().equals("com.microsoft.Attention");
    Dim width = null;
    if (projecting) {
      List<Dim> bias = in(n, 2);
      long[] sizes = n.integers("qkv_hidden_sizes");
      width = sizes != null && sizes.length == 3 ? Dim.of(sizes[2]) : bias == null ? null : bias.get(0).over(Dim.of(3));
    } else if (n.op().equals("Attention") && q.size() == 3) {
      Dim v = shapes.dim(n.input(2), -1);
      width = v == null ? null : v.over(Dim.of(Math.max(1, n.integer("kv_num_heads", 1)))).times(Dim.of(n.integer("q_num_heads", 1)));
    } else if (n.has(2)) {
      width = shapes.dim(n.input(2), -1);
    }
    if (q.size() == 5) {
      return List.of(q.get(0), q.get(1), q.get(2).times(q.get(4)));
    }
    return width == null ? q : along(q, -1, width);
  }
}
