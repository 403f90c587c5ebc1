package dev.hla.converter.shape;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Node;
import dev.hla.converter.graph.TensorReader;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Follows the small integer tensors and scalars from which exporters compute shapes and scales. */
final class ContentRules {
  private final Shapes shapes;

  ContentRules(Shapes shapes) {
    this.shapes = shapes;
  }

  static Content of(TensorProto t) {
    double[] numbers = t.getDimsCount() > 1 && TensorReader.elements(t) != 1 ? null
        : TensorReader.numbers(t, Content.LIMIT);
    if (numbers == null) {
      return null;
    }
    boolean whole = isWhole(t.getDataType());
    List<Object> elements = new ArrayList<>();
    for (double x : numbers) {
      elements.add(whole ? (Object) Dim.of((long) x) : (Object) x);
    }
    return Content.of(elements);
  }

  private static boolean isWhole(int type) {
    return switch (DataType.forNumber(type)) {
      case INT64, INT32, INT16, INT8, UINT64, UINT32, UINT16, UINT8, BOOL -> true;
      default -> false;
    };
  }

  /** The content of the node's first output, or null if it cannot be told. */
  Content of(Node n) {
    return switch (n.op()) {
      case "Constant" -> constant(n);
      case "Shape" -> shape(n);
      case "Size" -> size(n);
      case "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten" -> in(n, 0);
      case "Cast" -> cast(n);
      case "Gather" -> gather(n);
      case "Slice" -> slice(n);
      case "Concat" -> concat(n);
      case "Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Pow", "Equal", "Greater", "Less", "GreaterOrEqual",
          "LessOrEqual", "And", "Or" -> binary(n);
      case "Sqrt", "Exp", "Log", "Neg", "Reciprocal", "Floor", "Ceil", "Not", "Abs" -> unary(n);
      case "Where" -> where(n);
      case "ConstantOfShape" -> filled(n);
      case "Expand" -> expand(n);
      case "ReduceProd" -> product(n);
      case "Range" -> range(n);
      default -> null;
    };
  }

  private Content in(Node n, int i) {
    return n.has(i) ? shapes.content(n.input(i)) : null;
  }

  private Content constant(Node n) {
    if (n.tensor("value") != null) {
      return of(n.tensor("value"));
    }
    if (n.attribute("value_int") != null) {
      return Content.one(Dim.of(n.integer("value_int", 0)));
    }
    if (n.attribute("value_float") != null) {
      return Content.one(n.real("value_float", 0));
    }
    long[] ints = n.integers("value_ints");
    if (n.attribute("value_ints") == null || n.attribute("value_ints").hasRefAttrName()) {
      return null;
    }
    List<Dim> dims = new ArrayList<>();
    for (long i : ints) {
      dims.add(Dim.of(i));
    }
    return Content.of(dims);
  }

  private Content shape(Node n) {
    List<Dim> d = shapes.of(n.input(0));
    if (d == null) {
      return null;
    }
    int from = clamp(n.integer("start", 0), d.size());
    int to = clamp(n.integer("end", d.size()), d.size());
    return Content.of(d.subList(from, Math.max(from, to)));
  }

  private static int clamp(long at, int size) {
    return (int) Math.max(0, Math.min(size, at < 0 ? at + size : at));
  }

  private Content size(Node n) {
    List<Dim> d = shapes.of(n.input(0));
    return d == null ? null : Content.one(d.stream().reduce(Dim.of(1), Dim::times));
  }

  private Content cast(Node n) {
    Content c = in(n, 0);
    if (c == null) {
      return null;
    }
    boolean whole = isWhole((int) n.integer("to", 1));
    List<Object> out = new ArrayList<>();
    for (int i = 0; i < c.size(); i++) {
      Object e = c.elements().get(i);
      double x = c.number(i);
      out.add(whole ? (e instanceof Dim ? e : Double.isNaN(x) ? null : Dim.of((long) x)) : Double.isNaN(x) ? null : (Object) x);
    }
    return Content.of(out);
  }

  private Content gather(Node n) {
    Content data = in(n, 0);
    Content indices = in(n, 1);
    if (data == null || indices == null || n.integer("axis", 0) != 0) {
      return null;
    }
    long[] at = indices.statics();
    if (at == null) {
      return null;
    }
    List<Object> out = new ArrayList<>();
    for (long i : at) {
      long j = i < 0 ? i + data.size() : i;
      if (j < 0 || j >= data.size()) {
        return null;
      }
      out.add(data.elements().get((int) j));
    }
    return Content.of(out);
  }

  private Content slice(Node n) {
    Content data = in(n, 0);
    SliceBounds b = SliceBounds.of(n, shapes);
    if (data == null || b == null || b.axes().length != 1 || b.starts()[0] == null || b.ends()[0] == null) {
      return null;
    }
    long step = b.steps()[0];
    int size = data.size();
    List<Object> out = new ArrayList<>();
    if (step > 0) {
      int to = clamp(b.ends()[0], size);
      for (long i = clamp(b.starts()[0], size); i < to; i += step) {
        out.add(data.elements().get((int) i));
      }
    } else if (step == -1 && b.starts()[0] == -1) {
      out.addAll(data.elements());
      Collections.reverse(out);
    } else {
      return null;
    }
    return Content.of(out);
  }

  private Content concat(Node n) {
    List<Object> out = new ArrayList<>();
    for (int i = 0; i < n.inputs(); i++) {
      Content c = in(n, i);
      if (c == null) {
        // One unknown part: its elements are unknown, if only we know how many there are.
        List<Dim> d = shapes.of(n.input(i));
        if (d == null || d.size() != 1 || !d.get(0).isStatic() || d.get(0).value() > Content.LIMIT) {
          return null;
        }
        out.addAll(Collections.nCopies((int) d.get(0).value(), null));
      } else {
        out.addAll(c.elements());
      }
    }
    return Content.of(out);
  }

  private Content binary(Node n) {
    Content a = in(n, 0);
    Content b = in(n, 1);
    if (a == null || b == null || n.inputs() != 2 || (a.size() != b.size() && a.size() != 1 && b.size() != 1)) {
      return null;
    }
    int size = Math.max(a.size(), b.size());
    List<Object> out = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      int ia = a.size() == 1 ? 0 : i;
      int ib = b.size() == 1 ? 0 : i;
      Dim x = a.integer(ia);
      Dim y = b.integer(ib);
      out.add(x != null && y != null ? whole(n.op(), x, y) : real(n.op(), a.number(ia), b.number(ib)));
    }
    return Content.of(out);
  }

  private static Dim whole(String op, Dim x, Dim y) {
    return switch (op) {
      case "Add" -> x.plus(y);
      case "Sub" -> x.minus(y);
      case "Mul" -> x.times(y);
      // Towards zero, as ONNX divides integers; a size is never negative.
      case "Div" -> x.isStatic() && y.isStatic() && y.value() != 0 ? Dim.of(x.value() / y.value()) : x.over(y);
      case "Mod" -> x.modulo(y);
      default -> x.isStatic() && y.isStatic() ? decided(op, x.value(), y.value()) : symbolic(op, x, y);
    };
  }

  private static Dim decided(String op, long x, long y) {
    return switch (op) {
      case "Min" -> Dim.of(Math.min(x, y));
      case "Max" -> Dim.of(Math.max(x, y));
      case "Equal" -> bool(x == y);
      case "Greater" -> bool(x > y);
      case "Less" -> bool(x < y);
      case "GreaterOrEqual" -> bool(x >= y);
      case "LessOrEqual" -> bool(x <= y);
      case "And" -> bool(x != 0 && y != 0);
      case "Or" -> bool(x != 0 || y != 0);
      default -> null;
    };
  }

  /** A size is at least 1: exporters compare sizes with -1 and 0 all the time. */
  private static Dim symbolic(String op, Dim x, Dim y) {
    if (x.equals(y)) {
      return switch (op) {
        case "Equal", "GreaterOrEqual", "LessOrEqual" -> bool(true);
        case "Greater", "Less" -> bool(false);
        case "Min", "Max" -> x;
        default -> null;
      };
    }
    boolean xAbove = x.isPositive() && y.isStatic() && y.value() <= 0;
    boolean yAbove = y.isPositive() && x.isStatic() && x.value() <= 0;
    return !xAbove && !yAbove ? null : switch (op) {
      case "Equal" -> bool(false);
      case "Greater", "GreaterOrEqual" -> bool(xAbove);
      case "Less", "LessOrEqual" -> bool(yAbove);
      case "Max" -> xAbove ? x : y;
      case "Min" -> xAbove ? y : x;
      default -> null;
    };
  }

  private static Dim bool(boolean b) {
    return Dim.of(b ? 1 : 0);
  }

  private static Object real(String op, double x, double y) {
    if (Double.isNaN(x) || Double.isNaN(y)) {
      return null;
    }
    return switch (op) {
      case "Add" -> x + y;
      case "Sub" -> x - y;
      case "Mul" -> x * y;
      case "Div" -> x / y;
      case "Pow" -> Math.pow(x, y);
      case "Min" -> Math.min(x, y);
      case "Max" -> Math.max(x, y);
      case "Equal" -> bool(x == y);
      case "Greater" -> bool(x > y);
      case "Less" -> bool(x < y);
      default -> null;
    };
  }

  private Content unary(Node n) {
    Content c = in(n, 0);
    if (c == null) {
      return null;
    }
    List<Object> out = new ArrayList<>();
    for (int i = 0; i < c.size(); i++) {
      Dim d = c.integer(i);
      double x = c.number(i);
      out.add(switch (n.op()) {
        case "Neg" -> d != null ? d.times(Dim.of(-1)) : Double.isNaN(x) ? null : (Object) (-x);
        case "Not" -> d != null && d.isStatic() ? bool(d.value() == 0) : null;
        case "Abs" -> d != null && d.isPositive() ? d : Double.isNaN(x) ? null : d != null ? Dim.of((long) Math.abs(x)) : (Object) Math.abs(x);
        case "Sqrt" -> Double.isNaN(x) ? null : (Object) Math.sqrt(x);
        case "Exp" -> Double.isNaN(x) ? null : (Object) Math.exp(x);
        case "Log" -> Double.isNaN(x) ? null : (Object) Math.log(x);
        case "Reciprocal" -> Double.isNaN(x) ? null : (Object) (1 / x);
        case "Floor" -> Double.isNaN(x) ? null : (Object) Math.floor(x);
        default -> Double.isNaN(x) ? null : (Object) Math.ceil(x);
      });
    }
    return Content.of(out);
  }

  private Content where(Node n) {
    Content condition = in(n, 0);
    Content a = in(n, 1);
    Content b = in(n, 2);
    if (condition == null || a == null || b == null) {
      return null;
    }
    int size = Math.max(condition.size(), Math.max(a.size(), b.size()));
    List<Object> out = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      if (i >= condition.size() && condition.size() != 1) {
        return null;
      }
      Dim c = condition.integer(condition.size() == 1 ? 0 : i);
      if (c == null || !c.isStatic()) {
        out.add(null);
        continue;
      }
      Content from = c.value() != 0 ? a : b;
      if (i >= from.size() && from.size() != 1) {
        return null;
      }
      out.add(from.elements().get(from.size() == 1 ? 0 : i));
    }
    return Content.of(out);
  }

  private Content filled(Node n) {
    Content shape = in(n, 0);
    long[] size = shape == null ? null : shape.statics();
    if (size == null || size.length > 1 || (size.length == 1 && (size[0] < 0 || size[0] > Content.LIMIT))) {
      return null;
    }
    Content value = n.tensor("value") == null ? Content.one(0.0) : of(n.tensor("value"));
    return value == null || value.size() != 1 ? null
        : Content.of(Collections.nCopies(size.length == 0 ? 1 : (int) size[0], value.elements().get(0)));
  }

  private Content expand(Node n) {
    Content c = in(n, 0);
    Content shape = in(n, 1);
    long[] size = shape == null ? null : shape.statics();
    return c == null || c.size() != 1 || size == null || size.length != 1 || size[0] < 1 || size[0] > Content.LIMIT
        ? null : Content.of(Collections.nCopies((int) size[0], c.elements().get(0)));
  }

  private Content product(Node n) {
    Content c = in(n, 0);
    List<Dim> d = c == null ? null : c.integers();
    return d == null || d.contains(null) ? null : Content.one(d.stream().reduce(Dim.of(1), Dim::times));
  }

  private Content range(Node n) {
    double from = shapes.scalar(n.input(0));
    double to = shapes.scalar(n.input(1));
    double by = shapes.scalar(n.input(2));
    if (!(by != 0) || Double.isNaN(from) || Double.isNaN(to) || Math.abs((to - from) / by) > Content.LIMIT
        || in(n, 0).integer(0) == null) {
      return null;
    }
    List<Dim> out = new ArrayList<>();
    for (double x = from; by > 0 ? x < to : x > to; x += by) {
      out.add(Dim.of((long) x));
    }
    return Content.of(out);
  }
}
