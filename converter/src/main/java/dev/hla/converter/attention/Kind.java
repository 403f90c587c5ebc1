package dev.hla.converter.attention;

import java.util.Locale;

/** What attends to what, told by tracing the projections of query, key and value, never by names. */
public enum Kind {
  /** Query, key and value are projections of one stream of tokens. */
  SELF,
  /** Keys and values come from another tensor than the queries. */
  CROSS,
  /** Tokens of two streams (text and video) attend to each other and to themselves. */
  JOINT,
  /** Self-attention among tokens of a conditioning branch, such as a text refiner. */
  TEXT;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
