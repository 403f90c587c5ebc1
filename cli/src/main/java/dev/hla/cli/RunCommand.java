package dev.hla.cli;

import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Runs a model once. */
@Command(name = "run", description = "Runs a model once, on given inputs or on random ones of its shapes.")
final class RunCommand extends Verb {
  @Parameters(paramLabel = "MODEL", description = "an ONNX file")
  Path model;

  @Mixin RunOptions.Inputs inputs;

  @Mixin RunOptions options;

  @Option(names = {"-o", "--output"}, paramLabel = "OUT.npz", description = "where to write the outputs")
  Path output;

  @Option(names = "--force", description = "replace OUT.npz where it exists")
  boolean force;

  /** What --json prints. */
  record Result(
      String model, LibraryReport library, List<Input> inputs, List<Output> outputs, double openSeconds, double runSeconds,
      String output) {}

  /** @param source given, or made up */
  record Input(String name, String type, long[] shape, String source) {}

  /** Smallest, largest and mean are null where the tensor is empty. */
  record Output(String name, String type, long[] shape, Double min, Double max, Double mean, boolean finite) {
    static Output of(String name, Tensor tensor) {
      double min = Double.POSITIVE_INFINITY;
      double max = Double.NEGATIVE_INFINITY;
      double sum = 0;
      boolean finite = true;
      for (int i = 0; i < tensor.size(); i++) {
        double value = tensor.get(i);
        finite &= Double.isFinite(value);
        min = Math.min(min, value);
        max = Math.max(max, value);
        sum += value;
      }
      boolean empty = tensor.size() == 0;
      return new Output(name, tensor.type().toString(), tensor.shape(),
          empty ? null : min, empty ? null : max, empty ? null : sum / tensor.size(), finite);
    }
  }

  @Override
  int execute() throws Exception {
    existing(model);
    OutputFile file = output == null ? null : OutputFile.at(output, force);
    RunOptions.Inputs.Given given = inputs.read();
    long start = System.nanoTime();
    try (ModelSession session = ModelSession.open(model, options.settings())) {
      double openSeconds = secondsSince(start);
      Map<String, Tensor> values = given.others().complete(session.inputs(), given.values());
      start = System.nanoTime();
      Map<String, Tensor> results = session.run(values);
      double runSeconds = secondsSince(start);
      if (file != null) {
        file.write(out -> Npz.write(results, out));
      }
      report(new Result(model.toString(), LibraryReport.of(session.library()), inputs(session, values, given.values()),
          results.entrySet().stream().map(e -> Output.of(e.getKey(), e.getValue())).toList(),
          openSeconds, runSeconds, file == null ? null : file.path().toString()));
    }
    return Exit.DONE;
  }

  private static double secondsSince(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  private static List<Input> inputs(ModelSession session, Map<String, Tensor> values, Map<String, Tensor> given) {
    List<Input> inputs = new ArrayList<>();
    Stream<Slot> replaced = values.size() == session.inputs().size() ? Stream.of()
        : session.defaults().stream().filter(slot -> values.containsKey(slot.name()));
    Stream.concat(session.inputs().stream(), replaced).forEach(slot -> inputs.add(new Input(slot.name(), slot.type().toString(),
        values.get(slot.name()).shape(), given.containsKey(slot.name()) ? "given" : "made up")));
    return inputs;
  }

  private void report(Result result) {
    json(result);
    say("%s, %s", result.model(), LibraryReport.text(result.library()));
    Table inputTable = new Table("input", "type", "shape", "");
    result.inputs().forEach(in -> inputTable.row(in.name(), in.type(), Table.shape(in.shape()), in.source()));
    say(inputTable.toString());
    Table outputTable = new Table("output", "type", "shape", "min", "max", "mean");
    result.outputs().forEach(o -> outputTable.row(o.name(), o.type(), Table.shape(o.shape()),
        Table.number(o.min()), Table.number(o.max()), Table.number(o.mean())));
    say(outputTable.toString());
    say("opened in %.2f s, ran in %.3f s%s", result.openSeconds(), result.runSeconds(),
        result.output() == null ? "" : ", wrote " + result.output());
  }
}
