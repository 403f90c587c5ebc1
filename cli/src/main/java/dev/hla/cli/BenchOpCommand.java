package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Machine;
import dev.hla.runtime.measure.ProcessMemory;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Measures one attention in every form. */
@Command(name = "op", description = {
    "Measures Hadamard linear attention (hadamard: on features, fused: with its feature maps), the functions that stand for both "
        + "in a file where the library is not registered (hadamard_function, fused_function), and the softmax attentions of ONNX Runtime "
        + "(mha: com.microsoft MultiHeadAttention, attention: ai.onnx Attention, softmax: MatMul-Softmax-MatMul), taking "
        + "turns, beside the multiply-add peak of the same threads.",
    "Softmax stops where a run would take over a minute."})
final class BenchOpCommand extends Verb {
  private static final List<ElementType> TYPES = List.of(ElementType.FLOAT32, ElementType.FLOAT16, ElementType.BFLOAT16);
  private static final int MOST_TOKENS = 1 << 24;
  private static final int MOST_HEADS = 1024;
  private static final int MOST_WIDTH = 256;

  @Option(names = "--tokens", paramLabel = "N", split = "\\s*,\\s*", splitSynopsisLabel = ",", defaultValue = "1024,2048,4096,8192,16384,32768,65536",
      description = "lengths (default: ${DEFAULT-VALUE})")
  List<Integer> tokens;

  @Option(names = "--ranks", paramLabel = "SPEC",
      description = "factors: 16,16, or 16^2 for a power, or 16^2,1 with a gate; may be repeated (default: 16,16 and 32,32 and 16^2)")
  List<RankSpec> ranks = List.of();

  @Option(names = "--heads", paramLabel = "N", defaultValue = "12", description = "heads (default: ${DEFAULT-VALUE})")
  int heads;

  @Option(names = "--head-dim", paramLabel = "N", defaultValue = "128", description = "width of a head (default: ${DEFAULT-VALUE})")
  int headDim;

  @Option(names = "--type", paramLabel = "TYPE", defaultValue = "float32", description = "float32, float16 or bfloat16 (default: ${DEFAULT-VALUE})")
  ElementType type;

  @Option(names = "--threads", paramLabel = "N", defaultValue = "0", converter = OptionValues.Threads.class,
      description = "threads of one operator (default: one per core)")
  int threads;

  @Option(names = "--seconds", paramLabel = "S", defaultValue = "5",
      description = "least time for the rounds of one length; what takes longer is timed once (default: ${DEFAULT-VALUE})")
  double seconds;

  @Option(names = {"-o", "--output"}, paramLabel = "FOLDER", description = "write bench.json, and bench.html with a plot, to this folder")
  Path folder;

  @Option(names = "--force", description = "replace files that exist")
  boolean force;

  /** What --json prints and bench.json holds. */
  record Document(
      double peakGflops, double bestPeakGflops, Described machine, Problem problem, List<BenchRun.Row> rows, List<BenchRun.Growth> growth,
      List<BenchRun.LeftOut> leftOut) {}

  /**
   * The machine, without any path of it.
   *
   * @param loadBefore processes that wanted to run in the minute before, or null where the system does not tell
   * @param freeMb memory free before
   */
  record Described(
      String processor, int cores, List<String> cpuFeatures, String platform, String java, String onnxRuntime, String library,
      String instructionSet, String kernel, Double loadBefore, long freeMb) {}

  /** @param threads 0 for one per core */
  record Problem(int batch, int heads, int headDim, String type, int threads, double seconds) {}

  @Override
  int execute() throws IOException {
    BenchRun.Settings settings = settings();
    List<OutputFile> files = files();
    Described machine = machine();
    BenchRun.Result result;
    try (Progress progress = progress("", 0)) {
      result = BenchRun.run(settings, progress::step);
    }
    Document document = new Document(result.peakGflops(), result.bestPeakGflops(), machine,
        new Problem(1, heads, headDim, type.toString(), threads, seconds), result.rows(), result.growth(), result.leftOut());
    if (folder != null) {
      String page = BenchPage.of(document);
      OutputFile.writeAll(Map.of(files.get(0), out -> out.write((Json.write(document) + "\n").getBytes(StandardCharsets.UTF_8)),
          files.get(1), out -> out.write(page.getBytes(StandardCharsets.UTF_8))));
    }
    json(document);
    print(document);
    return Exit.DONE;
  }

  private BenchRun.Settings settings() {
    tokens.forEach(n -> within("--tokens", n, MOST_TOKENS));
    within("--heads", heads, MOST_HEADS);
    within("--head-dim", headDim, MOST_WIDTH);
    if (!(seconds > 0 && seconds <= 3600)) {
      throw wrongUsage("--seconds " + seconds + ": more than 0 and at most 3600 is wanted");
    }
    if (!TYPES.contains(type)) {
      throw wrongUsage("--type " + type + ": float32, float16 or bfloat16 is wanted");
    }
    List<RankSpec> specs = ranks.isEmpty() ? Stream.of("16,16", "32,32", "16^2").map(RankSpec::parse).toList() : ranks;
    return new BenchRun.Settings(tokens.stream().distinct().sorted().toList(), specs, heads, headDim, type, threads, seconds);
  }

  private void within(String option, int value, int most) {
    if (value < 1 || value > most) {
      throw wrongUsage(option + " " + value + ": 1 to " + most + " is wanted");
    }
  }

  /** Checked before any work. */
  private List<OutputFile> files() {
    if (folder == null) {
      return List.of();
    }
    OutputFolder.at(folder);
    return List.of(OutputFile.at(folder.resolve("bench.json"), force), OutputFile.at(folder.resolve("bench.html"), force));
  }

  private static Described machine() {
    Machine m = Machine.look();
    if (m.library() == null) {
      throw new HlaException(m.libraryFailure());
    }
    double load = ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage();
    return new Described(m.processor(), m.cores(), m.cpuFeatures(), m.platform(), m.java(), m.onnxRuntime(), m.library().version(),
        m.library().instructionSet(), m.library().kernel(), load < 0 ? null : load, ProcessMemory.available() / 1_000_000);
  }

  private void print(Document d) {
    Table table = new Table("op", "ranks", "tokens", "ms", "GFLOP/s", "of peak", "x mha", "added MB");
    for (BenchRun.Row row : d.rows()) {
      table.row(row.op(), ranks(row.ranks(), row.powers()), Integer.toString(row.tokens()), text("%.2f", row.ms()), text("%.1f", row.gflops()),
          text("%.3f", row.shareOfPeak()), row.timesMha() == null ? "" : text("%.2f", row.timesMha()),
          row.addedMb() == null ? "" : text("%.1f", row.addedMb()));
    }
    say("%s", table);
    for (BenchRun.Growth g : d.growth()) {
      say("%s %s: the time grows with tokens to the power %.3f, from %d to %d", g.op(), ranks(g.ranks(), g.powers()), g.exponent(),
          g.fromTokens(), g.toTokens());
    }
    for (BenchRun.LeftOut out : d.leftOut()) {
      say("%s: not from %d tokens on: %s", out.op(), out.tokens(), out.reason());
    }
    say("multiply-add peak: %.0f GFLOP/s, the median of the run (best %.0f)", d.peakGflops(), d.bestPeakGflops());
    if (folder != null) {
      say("wrote %s and bench.html beside it", folder.resolve("bench.json"));
    }
    Described m = d.machine();
    if (m.loadBefore() != null && m.loadBefore() > 0.5 * m.cores()) {
      warn(text("other work goes on here (load %.1f on %d cores): ratios hold roughly, times do not", m.loadBefore(), m.cores()));
    }
  }

  /** Such as 16^2,1; "" for softmax. */
  static String ranks(int[] ranks, int[] powers) {
    return ranks.length == 0 ? "" : new RankSpec(ranks, powers).toString();
  }

  private static String text(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
