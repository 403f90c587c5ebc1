package dev.hla.converter.attention;

/** A form that does not fit; the message names the node that broke it and what was expected there. */
final class NoMatch extends Exception {
  private static final long serialVersionUID = 1;

  NoMatch(String reason) {
    super(reason, null, false, false);
  }
}
