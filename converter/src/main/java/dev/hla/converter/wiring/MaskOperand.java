package dev.hla.converter.wiring;

/**
 * A key mask as the rewriter needs it.
 *
 * @param value the tensor's name
 * @param form how it acts
 * @param factor what numbers of the form ADDED are multiplied with before they meet the scores
 * @param axes its axes in order, one letter each: B batch, H heads, Q queries (of size 1, or each the same), M keys
 * @param perHead whether it may differ from head to head
 * @param repeated whether it has a row for each query, all of them the same, of which one is to be taken
 */
public record MaskOperand(String value, Form form, double factor, String axes, boolean perHead, boolean repeated) {
  /** What a mask holds. */
  public enum Form {
    /** Numbers added to the scores. */
    ADDED,
    /** True (or 1) where a key takes part. */
    KEEP,
    /** True where a key is left out. */
    DROP
  }
}
