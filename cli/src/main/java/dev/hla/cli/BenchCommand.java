package dev.hla.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(name = "bench", description = "Measures speed: `hla bench op` one attention, beside those of ONNX Runtime.", mixinStandardHelpOptions = true,
    subcommands = BenchOpCommand.class)
final class BenchCommand implements Runnable {
  @Spec CommandSpec spec;

  @Override
  public void run() {
    throw new CommandLine.ParameterException(spec.commandLine(), "name what to measure: op");
  }
}
