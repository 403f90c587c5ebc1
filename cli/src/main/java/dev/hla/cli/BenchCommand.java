package dev.hla.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(name = "bench", description = {"Measures: `hla bench op` the speed of one attention, beside those of ONNX Runtime; "
        + "`hla bench maps` how well families of feature maps fit the attention of a model."}, mixinStandardHelpOptions = true,
    versionProvider = Hla.Version.class,
    subcommands = {BenchOpCommand.class, BenchMapsCommand.class})
final class BenchCommand implements Runnable {
  @Spec CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "name what to measure: op or maps");
  }
}
