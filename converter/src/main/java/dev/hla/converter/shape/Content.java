package dev.hla.converter.shape;

import dev.hla.converter.Dim;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The elements of a small tensor, in order: each a {@link Dim} (an integer or boolean), a {@link Double} (a real
 * number) or null (unknown). Tensors of more than one axis are not followed, except single elements.
 */
record Content(List<Object> elements) {
  /** Shapes have a handful of elements; longer tensors are data. */
  static final int LIMIT = 64;

  static Content of(List<? extends Object> elements) {
    return elements.size() > LIMIT ? null : new Content(new ArrayList<>(elements));
  }

  static Content one(Object element) {
    return new Content(Arrays.asList(element));
  }

  int size() {
    return elements.size();
  }

  Dim integer(int i) {
    return elements.get(i) instanceof Dim d ? d : null;
  }

  /** A static number, or NaN. */
  double number(int i) {
    Object e = elements.get(i);
    return e instanceof Double d ? d : e instanceof Dim d && d.isStatic() ? d.value() : Double.NaN;
  }

  List<Dim> integers() {
    List<Dim> out = new ArrayList<>();
    for (int i = 0; i < size(); i++) {
      if (elements.get(i) instanceof Double) {
        return null;
      }
      out.add(integer(i));
    }
    return out;
  }

  /** All elements as static integers, or null. */
  long[] statics() {
    long[] out = new long[size()];
    for (int i = 0; i < out.length; i++) {
      Dim d = integer(i);
      if (d == null || !d.isStatic()) {
        return null;
      }
      out[i] = d.value();
    }
    return out;
  }
}
