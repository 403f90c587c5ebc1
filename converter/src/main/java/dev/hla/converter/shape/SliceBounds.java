package dev.hla.converter.shape;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Node;
import java.util.List;

/** The starts, ends, axes and steps of a Slice: attributes before opset 10, inputs since. Unknown bounds are null. */
record SliceBounds(Dim[] symbolicStarts, Dim[] symbolicEnds, long[] axes, long[] steps) {
  /** Null if not even the axes are known. */
  static SliceBounds of(Node n, Shapes shapes) {
    if (n.attribute("starts") != null) {
      Dim[] starts = dims(n.integers("starts"));
      long[] axes = n.integers("axes");
      return new SliceBounds(starts, dims(n.integers("ends")), axes == null ? count(starts.length) : axes, ones(starts.length));
    }
    List<Dim> starts = shapes.integers(n.input(1));
    List<Dim> ends = shapes.integers(n.input(2));
    int size = starts != null ? starts.size() : ends != null ? ends.size() : -1;
    long[] axes = n.has(3) ? statics(shapes.integers(n.input(3))) : size < 0 ? null : count(size);
    if (axes == null) {
      return null;
    }
    long[] steps = n.has(4) ? statics(shapes.integers(n.input(4))) : ones(axes.length);
    if (steps == null || steps.length != axes.length || (size >= 0 && size != axes.length)
        || (starts != null && ends != null && starts.size() != ends.size())) {
      return null;
    }
    return new SliceBounds(array(starts, axes.length), array(ends, axes.length), axes, steps);
  }

  Long[] starts() {
    return statics(symbolicStarts);
  }

  Long[] ends() {
    return statics(symbolicEnds);
  }

  private static Long[] statics(Dim[] dims) {
    Long[] out = new Long[dims.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = dims[i] != null && dims[i].isStatic() ? (Long) dims[i].value() : null;
    }
    return out;
  }

  private static Dim[] dims(long[] values) {
    Dim[] out = new Dim[values.length];
    for (int i = 0; i < out.length; i++) {
      out[i] = Dim.of(values[i]);
    }
    return out;
  }

  private static Dim[] array(List<Dim> dims, int size) {
    return dims == null ? new Dim[size] : dims.toArray(new Dim[0]);
  }

  private static long[] statics(List<Dim> dims) {
    return dims == null || dims.contains(null) ? null : new Content(List.copyOf(dims)).statics();
  }

  private static long[] count(int n) {
    long[] out = new long[n];
    for (int i = 0; i < n; i++) {
      out[i] = i;
    }
    return out;
  }

  private static long[] ones(int n) {
    long[] out = new long[n];
    java.util.Arrays.fill(out, 1);
    return out;
  }
}
