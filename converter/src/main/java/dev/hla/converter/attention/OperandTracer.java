package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.graph.Graph;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.Operand;
import java.util.Arrays;

/**
 * Follows an operand of a product upwards, through scales, casts of precision and changes of layout, to the tensor that
 * the model really attends with.
 */
final class OperandTracer {
  private static final long[] BATCH_MOVED = {1, 0, 2};

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
   * @param heads how many heads its last axis holds, where it is in the layout of its projection; else 0
   */
  record Traced(Operand operand, double scale, int scales, String parted, long heads) {}

  /**
   * @param axes the axes of value as the product sees them
   * @param scaled whether scales may be passed (query and key) or not (value)
   */
  Traced trace(String value, String axes, boolean scaled) {
    double scale = 1;
    int scales = 0;
    String parted = "";
    // Where batch and heads become one axis above, and come apart below: the operand if that way up leads nowhere.
    Node joining = null;
    Traced below = null;
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
      } else if (n.is("Reshape") && joining == null && isJoined(n, axes)) {
        joining = n;
        below = traced(value, axes, scale, scales, "", 0);
        axes = "XDN";
        value = n.input(0);
      } else if (n.is("Reshape") && joining != null && axes.equals("XND")) {
        if (!returns(n, joining)) {
          break;
        }
        joining = null;
        axes = Operand.BHND;
        value = n.input(0);
      } else if (n.is("Reshape") && joining == null && parted(n, axes) != null) {
        parted = parted(n, axes).substring(0, 2);
        axes = parted(n, axes);
        value = n.input(0);
      } else if (n.is("Reshape") && axes.equals("NXD") && headsOfChannels(n) > 0) {
        return projected(n, scale, scales);
      } else {
        break;
      }
    }
    return joining != null ? below : traced(value, axes, scale, scales, parted, 0);
  }

  private Traced traced(String value, String axes, double scale, int scales, String parted, long heads) {
    return new Traced(new Operand(value, axes, context.shapes.type(value)), scale, scales, parted, heads);
  }

  /** How many heads an operand has, or null where none of its axes tells. */
  Dim headsOf(Traced traced) {
    int at = traced.operand().axes().indexOf('H');
    return traced.heads() > 0 ? Dim.of(traced.heads()) : at < 0 ? null : context.shapes.dim(traced.operand().value(), at);
  }

  /** For a reshape from [N, B, H*d] to [N, B*H, d], as torch.nn.MultiheadAttention splits heads: how many there are; else 0. */
  private long headsOfChannels(Node reshape) {
    Dim channels = context.shapes.dim(reshape.input(0), -1);
    Dim width = context.shapes.dim(reshape.output(0), -1);
    Dim tokens = context.shapes.dim(reshape.input(0), 0);
    boolean known = context.shapes.rank(reshape.input(0)) == 3 && channels.isStatic() && width != null && width.isStatic() && width.value() > 0;
    return known && tokens.equals(context.shapes.dim(reshape.output(0), 0)) && channels.value() % width.value() == 0 ? channels.value() / width.value() : 0;
  }

  /** The projection whose channels a reshape makes heads beside the batch, with the batch first if a Transpose above moved it. */
  private Traced projected(Node reshape, double scale, int scales) {
    Node above = graph.producer(reshape.input(0));
    boolean moved = above != null && above.graph() == graph && above.is("Transpose") && Arrays.equals(above.integers("perm"), BATCH_MOVED);
    return traced(moved ? above.input(0) : reshape.input(0), moved ? Operand.PACKED : "NBC", scale, scales, "BH", headsOfChannels(reshape));
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

  /** Parts X into B and H upwards, or H and B where heads were moved from beside the channels to the front; null if it does not. */
  private String parted(Node reshape, String axes) {
    if (!axes.startsWith("X") || context.shapes.rank(reshape.input(0)) != 4 || !context.keepsLastTwo(reshape)) {
      return null;
    }
    Node above = graph.producer(reshape.input(0));
    long[] perm = above != null && above.is("Transpose") ? above.integers("perm") : null;
    return (perm != null && perm.length == 4 && perm[0] == 2 ? "HB" : "BH") + axes.substring(1);
  }

  /** Whether a reshape gives keys that pass through three axes for their Transpose, as torch.export writes it, their batch and heads back. */
  private boolean isJoined(Node reshape, String axes) {
    return axes.equals("BHDN") && context.shapes.rank(reshape.input(0)) == 3 && context.keepsLastTwo(reshape);
  }

  /** Whether a reshape joins the batch and heads that another one gives back. It does not where it joins grouped heads with their copies. */
  private boolean returns(Node reshape, Node joining) {
    Dim heads = context.shapes.dim(joining.output(0), 1);
    return context.shapes.rank(reshape.input(0)) == 4 && context.keepsLastTwo(reshape) && heads != null && heads.equals(context.shapes.dim(reshape.input(0), 1));
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
