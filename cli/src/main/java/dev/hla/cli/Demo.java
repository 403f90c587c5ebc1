package dev.hla.cli;

import dev.hla.converter.FeatureMaps;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.SiteReport;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.FlowSampler;
import dev.hla.runtime.Machine;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.RandomInputs;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Verification;
import dev.hla.runtime.Vocabulary;
import dev.hla.runtime.measure.ProcessMemory;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The whole path on the trained model of testdata, and what came of it.
 *
 * @param original the model
 * @param converted the file that was made of it
 * @param nodesBefore nodes of its graph
 * @param nodesAfter nodes of the converted graph
 * @param comparison the converted model against the original, on the model's example inputs
 * @param agreement the converted model on the operator library against itself as plain ONNX
 * @param clips the same prompts and noise sampled by both
 * @param timings one run of the model at growing lengths of the clip
 */
record Demo(
    Path original, Path converted, SiteReport report, Plan plan, int nodesBefore, int nodesAfter, Verification comparison,
    Verification agreement, List<Clip> clips, List<Timing> timings, Machine machine) {
  static final String REFERENCE_PROMPT = "red disc right slow";
  static final FlowSampler.Settings SETTINGS = new FlowSampler.Settings(25, 3);

  private static final List<String> MORE_PROMPTS =
      List.of("blue square left fast", "green ring up slow", "magenta disc right-up fast", "white ring left-down slow");
  private static final int SEED = 11;

  /** The clip has 64 tokens a frame. The longest needs about 2 GB for the original's attention weights. */
  private static final int[] FRAMES = {8, 16, 32, 64, 128};
  private static final int TOKENS_PER_FRAME = 64;
  static final int LEAST_TOKENS = FRAMES[0] * TOKENS_PER_FRAME;
  static final int MOST_TOKENS = FRAMES[FRAMES.length - 1] * TOKENS_PER_FRAME;
  private static final long FREE_MEMORY_PER_SQUARED_TOKEN = 64;
  /** A busy or slow machine stops at a shorter length, so that the demo stays short. */
  private static final double SECONDS_OF_TIMING = 25;
  private static final double SECONDS_PER_LENGTH = 2;
  private static final int LEAST_ROUNDS = 2;
  private static final int MOST_ROUNDS = 20;

  /** @param original and converted: float32 [1, 3, frames, height, width] */
  record Clip(String prompt, Tensor original, Tensor converted, double originalSeconds, double convertedSeconds) {
    double psnr() {
      return GenerateCommand.psnr(original, converted);
    }
  }

  /** Milliseconds of one run of the whole model, the best of several. */
  record Timing(int tokens, double original, double plain, double library) {}

  /**
   * Goes the whole path.
   *
   * @param converted where to write the converted model
   * @param longest up to how many tokens to time a run
   * @param step hears what comes next
   */
  static Demo run(Path converted, int longest, Consumer<String> step) throws IOException {
    Path original = ShapesWan.model();
    step.accept("inspect " + original.getFileName());
    OnnxModel model = OnnxModel.load(original);
    SiteReport report = AttentionFinder.find(model);

    step.accept("convert with " + ShapesWan.maps().getFileName());
    FeatureMaps maps = FeatureMaps.load(ShapesWan.maps());
    Plan plan = Plan.of(report, maps);
    Rewriter.Rewritten rewritten = Rewriter.rewrite(model, plan);
    rewritten.write(converted);

    step.accept("verify");
    Map<String, Tensor> inputs = Npz.readAll(ShapesWan.exampleInputs());
    Verification.Side withLibrary = new Verification.Side(converted, ModelSession.Settings.DEFAULT);
    Verification.Side plain = new Verification.Side(converted, new ModelSession.Settings(false, 0));
    RandomInputs none = new RandomInputs(Map.of(), 0);
    Verification comparison =
        Verification.of(new Verification.Side(original, ModelSession.Settings.DEFAULT), withLibrary, inputs, none);
    Verification agreement = Verification.of(plain, withLibrary, inputs, none);

    try (ModelSession a = ModelSession.open(original, ModelSession.Settings.DEFAULT);
        ModelSession b = ModelSession.open(converted, ModelSession.Settings.DEFAULT);
        ModelSession c = ModelSession.open(converted, new ModelSession.Settings(false, 0))) {
      List<Clip> clips = clips(a, b, step);
      List<Timing> timings = timings(a, b, c, longest, step);
      return new Demo(original, converted, report, plan, model.proto().getGraph().getNodeCount(),
          rewritten.model().proto().getGraph().getNodeCount(), comparison, agreement, clips, timings, Machine.look());
    }
  }

  private static List<Clip> clips(ModelSession a, ModelSession b, Consumer<String> step) throws IOException {
    Vocabulary vocabulary = Vocabulary.read(ShapesWan.vocabulary());
    FlowSampler original = new FlowSampler(a);
    FlowSampler converted = new FlowSampler(b);
    Tensor reference = Npz.readReference(ShapesWan.reference() + ":noise");
    List<Clip> clips = new ArrayList<>();
    List<String> prompts = new ArrayList<>(List.of(REFERENCE_PROMPT));
    prompts.addAll(MORE_PROMPTS);
    for (String prompt : prompts) {
      step.accept("sample '" + prompt + "' with both models");
      Tensor noise = clips.isEmpty() ? reference : FlowSampler.noise(SEED + clips.size(), reference.shape());
      Tensor text = vocabulary.embed(prompt);
      Tensor empty = Tensor.zeros(ElementType.FLOAT32, text.shape());
      FlowSampler.Sample first = original.sample(noise, text, empty, SETTINGS, () -> {});
      FlowSampler.Sample second = converted.sample(noise, text, empty, SETTINGS, () -> {});
      clips.add(new Clip(prompt, first.video(), second.video(), first.seconds(), second.seconds()));
    }
    return clips;
  }

  private static List<Timing> timings(ModelSession a, ModelSession b, ModelSession c, int longest, Consumer<String> step) {
    List<Timing> timings = new ArrayList<>();
    long start = System.nanoTime();
    for (int frames : FRAMES) {
      long tokens = (long) frames * TOKENS_PER_FRAME;
      if (tokens > longest || (System.nanoTime() - start) / 1e9 > SECONDS_OF_TIMING) {
        break;
      }
      if (ProcessMemory.available() < FREE_MEMORY_PER_SQUARED_TOKEN * tokens * tokens) {
        step.accept("no timing of " + tokens + " tokens: the original needs more memory than is free here");
        break;
      }
      step.accept("time one run with " + tokens + " tokens");
      Map<String, Tensor> inputs = new LinkedHashMap<>();
      inputs.put("hidden_states", FlowSampler.noise(SEED, 1, 3, frames, 24, 24));
      inputs.put("timestep", Tensor.of(new float[] {500}, 1));
      inputs.put("encoder_hidden_states", Tensor.zeros(ElementType.FLOAT32, 1, 4, 32));
      double[] best = best(List.of(a, c, b), inputs);
      timings.add(new Timing((int) tokens, best[0], best[1], best[2]));
    }
    return timings;
  }

  /**
   * The best of several runs of each model. They take turns, so that what else goes on here meets all of them alike; a
   * first round does not count.
   */
  private static double[] best(List<ModelSession> sessions, Map<String, Tensor> inputs) {
    double[] best = new double[sessions.size()];
    Arrays.fill(best, Double.POSITIVE_INFINITY);
    long start = System.nanoTime();
    for (int round = 0; round <= LEAST_ROUNDS || round <= MOST_ROUNDS && (System.nanoTime() - start) / 1e9 < SECONDS_PER_LENGTH; round++) {
      for (int i = 0; i < best.length; i++) {
        long before = System.nanoTime();
        sessions.get(i).run(inputs);
        double millis = (System.nanoTime() - before) / 1e6;
        best[i] = round == 0 ? best[i] : Math.min(best[i], millis);
      }
    }
    return best;
  }

  /** Sites that were converted, as verify prints them. */
  List<VerifyCommand.Site> sites() {
    return comparison.sites().stream().map(site -> VerifyCommand.site(site, VerifyCommand.CONVERTED_SITE_LIMIT)).toList();
  }

  /** Numbers of state, the product that replaces the number of keys. */
  static long state(List<Integer> ranks, List<Integer> powers) {
    long state = 1;
    for (int f = 0; f < ranks.size(); f++) {
      long monomials = 1;
      for (int i = 0; i < powers.get(f); i++) {
        monomials = monomials * (ranks.get(f) + i) / (i + 1);
      }
      state *= monomials;
    }
    return state;
  }
}
