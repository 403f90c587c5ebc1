package dev.hla.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.hla.cli.BenchedOperator.Shape;
import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.measure.FmaPeak;
import dev.hla.runtime.measure.ProcessMemory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Times attentions against each other and against the multiply-add peak. At each length all of them are open at once and
 * take turns, so that whatever else goes on on the machine meets all alike; medians are what counts.
 */
final class BenchRun {
  /** Softmax stops where one run would take longer. */
  private static final double LONGEST_MILLIS = 60_000;
  private static final int LEAST_ROUNDS = 5;
  private static final int MOST_ROUNDS = 200;
  /** Threads of a session go on looking for work for a moment after a run; another session must not be timed meanwhile. */
  private static final long REST_MILLIS = 2;
  private static final int RANDOM_BLOCK = 1 << 18;

  private final Settings settings;
  private final Consumer<String> step;
  private final Map<String, Tensor> buffers = new HashMap<>();
  private final List<Double> peaks = new ArrayList<>();
  private final List<Timed> timed = new ArrayList<>();
  private final List<LeftOut> leftOut = new ArrayList<>();
  /** Those that have not stopped. */
  private final Set<BenchedOperator> running = EnumSet.noneOf(BenchedOperator.class);
  /** What each took at the length before. */
  private final Map<BenchedOperator, Timed> last = new EnumMap<>(BenchedOperator.class);

  /**
   * What to measure.
   *
   * @param tokens lengths, growing
   * @param threads of one operator, 0 for the runtime's choice
   * @param seconds that the rounds of one length take at least
   */
  record Settings(List<Integer> tokens, List<RankSpec> ranks, int heads, int headDim, ElementType type, int threads, double seconds) {}

  /**
   * One operator at one length.
   *
   * @param ranks empty for softmax
   * @param ms the median
   * @param gflops operations that the result needs, by the median
   * @param addedMb how far resident memory rose in the first run, or null where the system does not tell
   */
  record Row(
      String op, int tokens, int[] ranks, int[] powers, double ms, double bestMs, int runs, double gflops, double shareOfPeak,
      Double timesMha, @JsonInclude(JsonInclude.Include.ALWAYS) Double addedMb) {}

  /** What was not measured from some length on. */
  record LeftOut(String op, int tokens, String reason) {}

  /** The power of the tokens that an operator's time grows with, fitted over all lengths. */
  record Growth(String op, int[] ranks, int[] powers, int fromTokens, int toTokens, double exponent) {}

  /** @param peakGflops the median of all measurements between runs, the yardstick of every share */
  record Result(double peakGflops, double bestPeakGflops, List<Row> rows, List<Growth> growth, List<LeftOut> leftOut) {}

  private record Timed(BenchedOperator op, RankSpec ranks, int tokens, List<Double> millis, Double addedMb) {
    double median() {
      return BenchRun.median(millis);
    }
  }

  /** An operator that is open at the present length. */
  private record Entry(Timed timed, ModelSession session, ModelSession.Prepared prepared) {}

  private BenchRun(Settings settings, Consumer<String> step) {
    this.settings = settings;
    this.step = step;
  }

  /** @param step hears what comes next */
  static Result run(Settings settings, Consumer<String> step) {
    return new BenchRun(settings, step).run();
  }

  private Result run() {
    try (FmaPeak peak = new FmaPeak(settings.threads())) {
      peaks.add(peak.gflops());
      running.addAll(List.of(BenchedOperator.values()));
      for (int tokens : settings.tokens()) {
        measure(tokens, peak);
      }
    }
    return result();
  }

  private void measure(int tokens, FmaPeak peak) {
    List<Entry> entries = new ArrayList<>();
    try {
      for (BenchedOperator op : BenchedOperator.values()) {
        for (RankSpec ranks : op.isSoftmax() ? List.of(RankSpec.parse("1")) : settings.ranks()) {
          step.accept("open " + op.label() + (op.isSoftmax() ? "" : " " + ranks) + " at " + tokens + " tokens");
          open(op, ranks, tokens, entries);
        }
      }
      long start = System.nanoTime();
      for (int round = 0; round < LEAST_ROUNDS || round < MOST_ROUNDS && seconds(start) < settings.seconds(); round++) {
        step.accept("measure " + tokens + " tokens, round " + (round + 1));
        rest();
        peaks.add(peak.gflops());
        for (Entry entry : entries) {
          List<Double> millis = entry.timed().millis();
          // A slow one has its say in the first round only.
          if (millis.isEmpty() || millis.get(0) < 1e3 * settings.seconds()) {
            rest();
            millis.add(entry.prepared().millis());
          }
        }
      }
    } finally {
      entries.forEach(BenchRun::close);
    }
    for (Entry entry : entries) {
      timed.add(entry.timed());
      last.put(entry.timed().op(), entry.timed());
    }
  }

  /** Opens an operator and runs it once, which is not timed: it takes the memory. Where that cannot be, notes why. */
  private void open(BenchedOperator op, RankSpec ranks, int tokens, List<Entry> entries) {
    if (!running.contains(op)) {
      return;
    }
    Shape shape = new Shape(tokens, settings.heads(), settings.headDim(), settings.type());
    String reason = whyNot(op, ranks, shape);
    if (reason != null) {
      stop(op, tokens, reason);
      return;
    }
    ModelSession session = null;
    ModelSession.Prepared prepared = null;
    try {
      session = ModelSession.open(op.model(shape, ranks), Path.of("."), op.label(), new ModelSession.Settings(op.isOfLibrary(), settings.threads()));
      ModelSession.Prepared first = prepared = session.prepare(inputs(op, shape, ranks));
      OptionalLong added = ProcessMemory.growth(first::millis);
      entries.add(new Entry(
          new Timed(op, ranks, tokens, new ArrayList<>(), added.isEmpty() ? null : added.getAsLong() / 1e6), session, prepared));
    } catch (HlaException e) {
      close(prepared, session);
      if (!op.isSoftmax()) {
        throw e;
      }
      // ONNX Runtime's own do not take every type.
      stop(op, tokens, e.getMessage());
    }
  }

  private void stop(BenchedOperator op, int tokens, String reason) {
    leftOut.add(new LeftOut(op.label(), tokens, reason));
    running.remove(op);
  }

  /** Why an operator cannot be run at this length, or null. */
  private String whyNot(BenchedOperator op, RankSpec ranks, Shape shape) {
    if (op.isSoftmax()) {
      Timed before = last.get(op);
      double millis = before == null ? op.flops(shape, ranks) / peakSoFar() * 1e-6
          : before.median() * Math.pow((double) shape.tokens() / before.tokens(), 2);
      if (millis > LONGEST_MILLIS) {
        return String.format(Locale.ROOT, "one run would take about %.0f s", millis / 1e3);
      }
    }
    double available = ProcessMemory.available();
    return op.bytes(shape) <= available ? null
        : String.format(Locale.ROOT, "a run needs %.1f GB, and %.1f GB are free", op.bytes(shape) / 1e9, available / 1e9);
  }

  private double peakSoFar() {
    return peaks.isEmpty() ? Double.POSITIVE_INFINITY : median(peaks);
  }

  private Map<String, Tensor> inputs(BenchedOperator op, Shape shape, RankSpec ranks) {
    Map<String, Tensor> inputs = new HashMap<>();
    List<long[]> shapes = op.shapes(shape, ranks);
    for (int i = 0; i < shapes.size(); i++) {
      String name = op.inputs().get(i);
      // Tokens first or heads first, the numbers are as random.
      inputs.put(name, buffer(name.replace("_packed", "")).leading(shapes.get(i)));
    }
    return inputs;
  }

  /** Random numbers for the longest problem; every other takes the first of them. */
  private Tensor buffer(String name) {
    return buffers.computeIfAbsent(name, n -> {
      long heads = settings.heads();
      long tokens = settings.tokens().get(settings.tokens().size() - 1);
      long features = settings.ranks().stream().mapToInt(RankSpec::width).max().orElse(1);
      boolean feature = n.endsWith("features");
      Tensor tensor = Tensor.zeros(settings.type(), switch (n.substring(n.lastIndexOf('_') + 1)) {
        case "features" -> new long[] {heads, tokens, features};
        case "weight" -> new long[] {heads, settings.headDim(), features};
        case "bias" -> new long[] {heads, features};
        default -> new long[] {heads, tokens, settings.headDim()};
      });
      Random random = new Random(n.hashCode());
      double scale = n.endsWith("weight") ? 1 / Math.sqrt(settings.headDim()) : 1;
      double[] block = random.doubles(RANDOM_BLOCK).map(x -> feature ? x : scale * (2 * x - 1)).toArray();
      for (int i = 0; i < tensor.size(); i++) {
        tensor.set(i, block[i % RANDOM_BLOCK]);
      }
      return tensor;
    });
  }

  private Result result() {
    double peak = median(peaks);
    Map<Integer, Double> mha = new HashMap<>();
    timed.stream().filter(t -> t.op() == BenchedOperator.MHA).forEach(t -> mha.put(t.tokens(), t.median()));
    List<Row> rows = new ArrayList<>();
    for (Timed t : timed) {
      double median = t.median();
      double gflops = t.op().flops(new Shape(t.tokens(), settings.heads(), settings.headDim(), settings.type()), t.ranks()) / median * 1e-6;
      rows.add(new Row(t.op().label(), t.tokens(), ranks(t), powers(t), median, t.millis().stream().min(Double::compare).orElse(median),
          t.millis().size(), gflops, gflops / peak, mha.containsKey(t.tokens()) ? mha.get(t.tokens()) / median : null, t.addedMb()));
    }
    return new Result(peak, peaks.stream().max(Double::compare).orElse(peak), rows, growth(), leftOut);
  }

  private List<Growth> growth() {
    List<Growth> growth = new ArrayList<>();
    for (BenchedOperator op : BenchedOperator.values()) {
      for (RankSpec ranks : settings.ranks()) {
        List<Timed> points = timed.stream().filter(t -> t.op() == op && !op.isSoftmax() && t.ranks() == ranks).toList();
        if (points.size() > 1) {
          growth.add(new Growth(op.label(), ranks.ranks(), ranks.powers(), points.get(0).tokens(), points.get(points.size() - 1).tokens(),
              exponent(points)));
        }
      }
    }
    return growth;
  }

  /** The slope of the least-squares line through the logarithms. */
  private static double exponent(List<Timed> points) {
    double meanX = points.stream().mapToDouble(t -> Math.log(t.tokens())).average().orElse(0);
    double meanY = points.stream().mapToDouble(t -> Math.log(t.median())).average().orElse(0);
    double xy = points.stream().mapToDouble(t -> (Math.log(t.tokens()) - meanX) * (Math.log(t.median()) - meanY)).sum();
    return xy / points.stream().mapToDouble(t -> Math.pow(Math.log(t.tokens()) - meanX, 2)).sum();
  }

  private static int[] ranks(Timed t) {
    return t.op().isSoftmax() ? new int[0] : t.ranks().ranks();
  }

  private static int[] powers(Timed t) {
    return t.op().isSoftmax() ? new int[0] : t.ranks().powers();
  }

  static double median(List<Double> values) {
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  private static void rest() {
    try {
      Thread.sleep(REST_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new HlaException("interrupted", e);
    }
  }

  private static void close(Entry entry) {
    close(entry.prepared(), entry.session());
  }

  private static void close(ModelSession.Prepared prepared, ModelSession session) {
    if (prepared != null) {
      prepared.close();
    }
    if (session != null) {
      session.close();
    }
  }
}
