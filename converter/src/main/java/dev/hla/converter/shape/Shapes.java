package dev.hla.converter.shape;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What is known of the values under one root graph: dimensions (symbolic where the file leaves them open), element
 * types, and the content of small tensors that shapes and scales are computed from.
 */
public final class Shapes {
  private final Map<String, List<Dim>> dims = new HashMap<>();
  private final Map<String, Integer> types = new HashMap<>();
  private final Map<String, Content> contents = new HashMap<>();

  /** Infers everything under a root graph; inner graphs are covered, too. */
  public static Shapes infer(Graph root) {
    return infer(root, Map.of(), Map.of());
  }

  /**
   * Infers everything under the body of a function whose callers tell what they hand it.
   *
   * @param dims of its inputs, as far as they are known
   * @param types of its inputs
   */
  public static Shapes infer(Graph root, Map<String, List<Dim>> dims, Map<String, Integer> types) {
    Shapes shapes = new Shapes();
    dims.forEach(shapes::set);
    types.forEach(shapes::setType);
    new ShapeInference(shapes).run(root);
    return shapes;
  }

  Shapes() {}

  /** The dimensions, or null if not even their number is known. */
  public List<Dim> of(String value) {
    return dims.get(value);
  }

  /** The number of dimensions, or -1. */
  public int rank(String value) {
    List<Dim> d = dims.get(value);
    return d == null ? -1 : d.size();
  }

  /** Dimension i, counted from the end if negative; null if unknown. */
  public Dim dim(String value, int i) {
    List<Dim> d = dims.get(value);
    if (d == null) {
      return null;
    }
    int at = i < 0 ? i + d.size() : i;
    return at < 0 || at >= d.size() ? null : d.get(at);
  }

  /** TensorProto.DataType, or 0 if unknown. */
  public int type(String value) {
    return types.getOrDefault(value, 0);
  }

  /** The single number that a value is known to hold, or NaN. */
  public double scalar(String value) {
    Content c = contents.get(value);
    return c == null || c.size() != 1 ? Double.NaN : c.number(0);
  }

  /** The integers (sizes, axes) that a value is known to hold, or null; single elements may be null. */
  public List<Dim> integers(String value) {
    Content c = contents.get(value);
    return c == null ? null : c.integers();
  }

  Content content(String value) {
    return contents.get(value);
  }

  /** All that is known of one value; null or 0 where nothing is. */
  record Known(List<Dim> dims, int type, Content content) {}

  /** Forgets a value, and tells what was known of it. */
  Known take(String value) {
    Integer type = types.remove(value);
    return new Known(dims.remove(value), type == null ? 0 : type, contents.remove(value));
  }

  /** Keeps of a value what also holds for another one of its name; null for none. */
  void join(String value, Known other) {
    if (other == null) {
      return;
    }
    Known own = take(value);
    if (own.dims() != null && other.dims() != null && own.dims().size() == other.dims().size()) {
      List<Dim> both = new ArrayList<>();
      for (int i = 0; i < own.dims().size(); i++) {
        both.add(own.dims().get(i).equals(other.dims().get(i)) ? own.dims().get(i) : Dim.unnamed(value + "." + i));
      }
      set(value, both);
    }
    setType(value, own.type() == other.type() ? own.type() : 0);
    setContent(value, own.content() != null && own.content().equals(other.content()) ? own.content() : null);
  }

  void set(String value, List<Dim> d) {
    if (d != null && !value.isEmpty()) {
      dims.put(value, List.copyOf(d));
    }
  }

  void setType(String value, int type) {
    if (type != 0 && !value.isEmpty()) {
      types.put(value, type);
    }
  }

  void setContent(String value, Content content) {
    if (content != null && !value.isEmpty()) {
      contents.put(value, content);
    }
  }
}
