package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import dev.hla.converter.ToolkitVersion;
import dev.hla.distill.MapDesign;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.TypeConversionException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * The command {@code hla}: parses, calls a verb, prints. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but a check
 * did not hold. A failure is one line on standard error, {@code hla VERB: message}; {@code --debug} adds the stack trace.
 */
@Command(
    name = "hla",
    description = "Replaces softmax attention in ONNX video transformers by Hadamard linear attention, and runs the result.",
    mixinStandardHelpOptions = true,
    versionProvider = Hla.Version.class,
    commandListHeading = "%nVerbs:%n",
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {"0:done", "1:failed", "2:wrong usage", "3:done, but a check did not hold"},
    footer = "%n`hla VERB --help` says more about a verb.",
    subcommands = {
      InspectCommand.class,
      ConvertCommand.class,
      DistillCommand.class,
      PlanCommand.class,
      ReportCommand.class,
      RunCommand.class,
      VerifyCommand.class,
      GenerateCommand.class,
      DoctorCommand.class,
      LibPathCommand.class,
      BenchCommand.class,
      DemoCommand.class,
    })
public final class Hla implements Runnable {
  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  /** Runs a command line and ends the process with its exit code. */
  public static void main(String[] arguments) {
    EndSignals.endAtOnce();
    StandardOutput out = new StandardOutput();
    PrintStream err = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.err), true, StandardCharsets.UTF_8);
    int code = run(new PrintWriter(out, false, StandardCharsets.UTF_8), new PrintWriter(err, true), arguments);
    if (out.lost() != null && code != Exit.USAGE) {
      err.println("hla: standard output could not be written to the end (" + out.lost() + "); print to a place with room for it");
      code = Exit.FAILED;
    }
    System.exit(code);
  }

  /**
   * Runs a command line.
   *
   * @param out for results
   * @param err for failures, notes and progress
   * @return the exit code
   */
  public static int run(PrintWriter out, PrintWriter err, String... arguments) {
    CommandLine line = commandLine();
    line.setOut(out);
    line.setErr(err);
    line.setParameterExceptionHandler((e, args) -> wrongUsage(e, err));
    line.setExecutionExceptionHandler((e, command, parsed) -> failed(e, command, parsed, err));
    try {
      return line.execute(arguments);
    } catch (OutOfMemoryError e) {
      err.println("hla: out of memory; give the Java machine more with HLA_JAVA_OPTIONS=-Xmx8g");
      return Exit.FAILED;
    } catch (LinkageError | StackOverflowError e) {
      err.println("hla: " + oneLine(e.toString()));
      return Exit.FAILED;
    } finally {
      out.flush();
      err.flush();
    }
  }

  /** The verbs with their options, as the parser knows them. */
  public static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Hla());
    line.setUsageHelpWidth(110);
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.registerConverter(RankSpec.class, text -> understood(RankSpec::parse, text));
    line.registerConverter(MapDesign.class, text -> understood(MapDesign::parse, text));
    return line;
  }

  /** What is no value of an option is wrong usage, not a failure. */
  private static <T> T understood(Function<String, T> parse, String text) {
    try {
      return parse.apply(text);
    } catch (HlaException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a verb: "
        + String.join(", ", spec.subcommands().keySet().stream().filter(name -> !name.equals("help")).toList()));
  }

  private static int wrongUsage(ParameterException e, PrintWriter err) {
    String message = oneLine(e.getMessage());
    String hint = "";
    if (e instanceof UnmatchedArgumentException unmatched) {
      List<String> suggestions = unmatched.getSuggestions();
      String first = unmatched.getUnmatched().get(0);
      boolean verb = e.getCommandLine().getParent() == null && !first.startsWith("-");
      message = verb ? "there is no verb '" + first + "'" : "cannot make sense of '" + first + "'";
      hint = suggestions.isEmpty() ? "" : "; did you mean " + String.join(" or ", suggestions.stream().limit(2).toList()) + "?";
    }
    String name = e.getCommandLine().getCommandSpec().qualifiedName();
    err.println(name + ": " + message + hint + " (" + name + " --help)");
    return Exit.USAGE;
  }

  private static int failed(Exception e, CommandLine command, ParseResult parsed, PrintWriter err) {
    boolean debug = command.getCommand() instanceof Verb verb && verb.debug;
    err.println(command.getCommandSpec().qualifiedName() + ": " + oneLine(explain(e))
        + (debug || e instanceof HlaException ? "" : " (--debug shows where)"));
    if (debug) {
      e.printStackTrace(err);
    }
    return Exit.FAILED;
  }

  private static String explain(Exception e) {
    if (e instanceof HlaException) {
      return e.getMessage();
    }
    if (e instanceof NoSuchFileException missing) {
      return missing.getFile() + ": no such file";
    }
    if (e instanceof FileAlreadyExistsException there) {
      return there.getFile() + ": exists already";
    }
    if (e instanceof FileSystemException file) {
      return file.getReason() == null ? file.getFile() + ": may not be read or written" : file.getMessage();
    }
    String message = e.getMessage();
    return e.getClass().getSimpleName() + (message == null ? "" : ": " + message);
  }

  private static String oneLine(String text) {
    return text == null ? "" : text.strip().replaceAll("\\s*\\R\\s*", "; ");
  }

  /** The toolkit's version. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"hla " + ToolkitVersion.get()};
    }
  }
}
