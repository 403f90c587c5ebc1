package dev.hla.converter.attention;

import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Operand;

/**
 * Follows an operand of a product upwards, through scales, casts of precision and changes of layout, to the tensor that
 * the model really attends with.
 */
final class OperandTracer {
  private final Context context;
  private final Graph graph;

  OperandTracer(Context context, Graph graph) {
    this.context = context;
    this.graph = graph;
  }

  /**
   * An operand, and what is on the way to it.
   *
   * @param scale of all scales together; NaN where one is no number in the file
   * @param scales how many
   * @param parted the order in which batch and heads were joined in one axis and are apart again: BH or HB; else ""
   */
  record Traced(Operand operand, double scale, int scales, String parted) {}

  /**
   * @param axes the axes of value as the product sees them
   * @param scaled whether scales may be passed (query and key) or not (value)
   */
  Traced trace(String value, String axes, boolean scaled) {
    double scale = 1;
    int scales = 0;
    String parted = "";
    while (true) {
      Node n = graph.producer(value);
      if (n == null || n.graph() != graph) {
        break;
      }
      int factor = scaled ? scaledInput(n) : -1;
      if (factor >= 0) {
        scale *= factor(n, factor);
        scales++;
        value = n.input(factor);
      } else if (n.is("Identity") || (n.is("Cast") && isReal(context.shapes.type(n.input(0))) && isReal(context.shapes.type(value)))) {
        value = n.input(0);
      } else if (n.is("Transpose") && !axes.equals(Operand.BHND) && !axes.equals(Operand.BNHD) && permuted(n, axes) != null) {
        axes = permuted(n, axes);
        value = n.input(0);
      } else if (n.is("Reshape") && regrouped(n, axes) != null) {
        String apart = regrouped(n, axes);
        parted = axes.startsWith("X") ? apart.substring(0, 2) : parted;
        axes = apart;
        value = n.input(0);
      } else {
        break;
      }
    }
    return new Traced(new Operand(value, axes, context.shapes.type(value)), scale, scales, parted);
  }

  private static boolean isReal(int type) {
    return type == 1 || type == 10 || type == 16 || type == 11;
  }

  /** For x times or divided by one number: the input that x is; else -1. */
  int scaledInput(Node n) {
    if (n.is("Mul")) {
      return context.isScalar(n.input(1)) && !context.isScalar(n.input(0)) ? 0
          : context.isScalar(n.input(0)) && !context.isScalar(n.input(1)) ? 1 : -1;
    }
    return n.is("Div") && context.isScalar(n.input(1)) && !context.isScalar(n.input(0)) ? 0 : -1;
  }

  double factor(Node n, int scaled) {
    double f = context.shapes.scalar(n.input(1 - scaled));
    return n.is("Div") ? 1 / f : f;
  }

  private static String permuted(Node transpose, String axes) {
    long[] perm = transpose.integers("perm");
    if (perm == null || perm.length != axes.length()) {
      return null;
    }
    char[] before = new char[perm.length];
    for (int i = 0; i < perm.length; i++) {
      if (perm[i] < 0 || perm[i] >= before.length) {
        return null;
      }
      before[(int) perm[i]] = axes.charAt(i);
    }
    return new String(before);
  }

  /** Parts X into B and H upwards (H and B where heads were moved from beside the channels to the front), or joins them where the keys pass through three axes and back. */
  private String regrouped(Node reshape, String axes) {
    int rank = context.shapes.rank(reshape.input(0));
    if (axes.startsWith("X") && rank == 4 && context.keepsLastTwo(reshape)) {
      Node above = graph.producer(reshape.input(0));
      long[] perm = above != null && above.is("Transpose") ? above.integers("perm") : null;
      return (perm != null && perm.length == 4 && perm[0] == 2 ? "HB" : "BH") + axes.substring(1);
    }
    return axes.equals("BHDN") && rank == 3 && context.keepsLastTwo(reshape) ? "XDN" : null;
  }

  /** The product of scales that were applied before the heads were split, for the report: x keeps them. */
  double absorbedScale(Operand operand) {
    String value = operand.value();
    for (int steps = 0; steps < 4; steps++) {
      Node n = graph.producer(value);
      if (n == null) {
        return 1;
      }
      int factor = scaledInput(n);
      if (factor >= 0) {
        return factor(n, factor);
      }
      if (!n.is("Reshape", "Transpose", "Identity", "Cast")) {
        return 1;
      }
      value = n.input(0);
    }
    return 1;
  }
}
