package dev.hla.cli;

import dev.hla.converter.HlaException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * What every verb shares: the options --json, -q, --debug and --help, and the two streams. A verb fills {@link #execute}
 * and prints through {@link #say}, {@link #json} and {@link #progress}; it throws {@link HlaException} for a failure that
 * the user can act on and {@link #wrongUsage} for a command line that makes no sense.
 */
@Command(mixinStandardHelpOptions = true, versionProvider = Hla.Version.class)
abstract class Verb implements Callable<Integer> {
  @Spec CommandSpec spec;

  @Option(names = "--json", description = "print one JSON document on standard output, and nothing else there")
  boolean json;

  @Option(names = {"-q", "--quiet"}, description = "print errors only")
  boolean quiet;

  @Option(names = "--debug", description = "print the stack trace of a failure")
  boolean debug;

  /** Does the work; returns one of {@link Exit}. */
  abstract int execute() throws Exception;

  @Override
  public final Integer call() throws Exception {
    try {
      return execute();
    } finally {
      spec.commandLine().getOut().flush();
    }
  }

  /** Prints a line of text for people; silent with --json and with -q. */
  final void say(String format, Object... arguments) {
    if (!json && !quiet) {
      PrintWriter out = spec.commandLine().getOut();
      out.println(arguments.length == 0 ? format : String.format(java.util.Locale.ROOT, format, arguments));
      out.flush();
    }
  }

  /** Prints the document of --json (a record, a map, a list); silent without --json. */
  final void json(Object document) {
    if (json) {
      spec.commandLine().getOut().println(Json.write(document));
    }
  }

  /** A line on standard error that shows how far long work has come; silent where standard error is no terminal. */
  final Progress progress(String what, long total) {
    return new Progress(quiet ? null : spec.commandLine().getErr(), what, total);
  }

  /** A note on standard error that is not an error. */
  final void warn(String message) {
    if (!quiet) {
      PrintWriter err = spec.commandLine().getErr();
      err.println(spec.qualifiedName() + ": " + message);
      err.flush();
    }
  }

  /** A command line that parses but makes no sense: exit code 2. */
  final CommandLine.ParameterException wrongUsage(String message) {
    return new CommandLine.ParameterException(spec.commandLine(), message);
  }

  /** The file, if it is there to be read. */
  static Path existing(Path file) {
    if (!Files.exists(file)) {
      throw new HlaException(file + ": no such file");
    }
    if (Files.isDirectory(file)) {
      throw new HlaException(file + ": is a folder; a file is wanted");
    }
    // Whoever opens a pipe waits for its other end.
    if (!Files.isRegularFile(file)) {
      throw new HlaException(file + ": is a device, a pipe or a socket; a file is wanted");
    }
    if (!Files.isReadable(file)) {
      throw new HlaException(file + ": may not be read");
    }
    return file;
  }
}
