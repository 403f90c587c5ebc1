package dev.hla.converter.attention;

import java.util.Locale;

/** How a mask acts on the scores. */
public enum MaskKind {
  /** No mask, or one that adds the same number to all keys of a row, such as zeros. */
  NONE,
  /** The same for every query: exact in Hadamard attention, as factors on the keys' features. */
  KEY,
  /** Depends on the query, or nothing shows that it does not: no plain sum over keys, so the site is kept. */
  FULL;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
