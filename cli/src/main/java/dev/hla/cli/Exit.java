package dev.hla.cli;

/** The exit codes of every verb. */
final class Exit {
  /** Done, and every check held. */
  static final int DONE = 0;
  /** The work failed; no file was left half written. */
  static final int FAILED = 1;
  /** The command line was wrong. */
  static final int USAGE = 2;
  /** Done, but a check did not hold (verify, demo, bench maps, doctor). */
  static final int CHECK_FAILED = 3;

  private Exit() {}
}
