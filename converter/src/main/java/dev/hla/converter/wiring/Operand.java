package dev.hla.converter.wiring;

/**
 * A tensor that a site reads or gives, where it is in the graph.
 *
 * @param value its name
 * @param axes its axes in order, one letter each: B batch, H heads, N tokens, D channels; X is batch and heads in one
 *     axis, C heads and channels in one axis, as a projection leaves them; 2 or 3 an axis of as many operands, of which
 *     this is one
 * @param type TensorProto.DataType, 0 if unknown
 */
public record Operand(String value, String axes, int type) {
  public static final String BHND = "BHND";
  public static final String BNHD = "BNHD";
  public static final String PACKED = "BNC";

  /** Whether query, key and value, or two of them, lie side by side in it: [B, N, H, 2 or 3, D]. */
  public boolean isShared() {
    return axes.length() == 5;
  }
}
