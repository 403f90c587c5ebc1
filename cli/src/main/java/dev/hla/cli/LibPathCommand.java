package dev.hla.cli;

import dev.hla.runtime.HlaOperators;
import picocli.CommandLine.Command;

/** Prints where the operator library is, for hosts that register it themselves. */
@Command(name = "lib-path", description = {
    "Prints the path of the operator library for this machine, for programs that register it themselves.",
    "Out of the jar it is written to the user's cache folder, where it stays; another version gets another path."})
final class LibPathCommand extends Verb {
  /** What --json prints. */
  record Result(String path, String foundBy) {}

  @Override
  int execute() {
    HlaOperators.Found found = HlaOperators.find();
    json(new Result(found.path().toString(), found.foundBy()));
    say("%s", found.path());
    return Exit.DONE;
  }
}
