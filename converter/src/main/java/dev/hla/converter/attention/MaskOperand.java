package dev.hla.converter.attention;

/**
 * A key mask as the rewriter needs it.
 *
 * @param value the tensor's name; its last axis is the keys
 * @param form how it acts
 * @param factor what numbers of the form ADDED are multiplied with before they meet the scores
 * @param rank its number of axes; the one before the keys, if there is one, is the queries' and of size 1
 */
public record MaskOperand(String value, Form form, double factor, int rank) {
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
