package dev.hla.testdata.graph;

/**
 * q, k or v on its way to the scores.
 *
 * @param axes BNC (heads and channels in one axis), BNHD or BHND
 */
record Head(String value, String axes, int heads) {
  static final String PACKED = "BNC";
  static final String TOKENS_FIRST = "BNHD";
  static final String HEADS_FIRST = "BHND";
}
