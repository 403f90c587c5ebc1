package dev.hla.cli;

import dev.hla.converter.Dim;
import dev.hla.onnx.TensorProto.DataType;
import java.util.Locale;

/** How sizes and element types of sites are written, in text and JSON alike. */
final class SiteText {
  private SiteText() {}

  /** A number, a symbolic expression, or "?". */
  static Object size(Dim dim) {
    return dim == null ? "?" : dim.isStatic() ? (Object) dim.value() : dim.isNamed() ? dim.toString() : "?";
  }

  static String dtype(int type) {
    DataType known = DataType.forNumber(type);
    return known == null || known == DataType.UNDEFINED ? "?" : known.name().toLowerCase(Locale.ROOT).replaceAll("^float$", "float32");
  }
}
