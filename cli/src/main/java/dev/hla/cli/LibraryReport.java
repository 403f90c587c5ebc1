package dev.hla.cli;

import dev.hla.runtime.HlaOperators;

/**
 * The operator library that ran a model, as results tell of it.
 *
 * @param foundBy how its file was found
 * @param reason why this instruction set and not a faster one
 */
record LibraryReport(String path, String foundBy, String version, String instructionSet, String kernel, String reason) {
  /** @return null where none was registered */
  static LibraryReport of(HlaOperators.Registration r) {
    return r == null ? null
        : new LibraryReport(r.library().toString(), r.foundBy(), r.version(), r.instructionSet(), r.kernel(), r.reason());
  }

  /** In one line, for people. */
  static String text(LibraryReport library) {
    return library == null ? "without the operator library" : "operator library (" + library.instructionSet() + ")";
  }
}
