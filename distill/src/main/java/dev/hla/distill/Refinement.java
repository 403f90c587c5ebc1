package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/**
 * Moves the maps of all sites together so that the output of the converted model comes near the original's: SOAP on the
 * squared error of the output, relative to the output. The original runs in ONNX Runtime; what depends on the maps is
 * computed where gradients flow, see {@link MovedGraph}. Only the maps move.
 */
public final class Refinement implements AutoCloseable {
  private static final double CLIP = 1;

  private final MovedGraph graph;
  private final ModelSession original;
  private final Calibration calibration;
  private final int samples;
  private final Settings settings;
  private Map<String, Tensor> constants;

  /**
   * How to refine.
   *
   * @param steps of the optimiser
   * @param rate its peak learning rate
   * @param batch sets of inputs that each step looks at
   * @param seed of their choice
   */
  public record Settings(int steps, double rate, int batch, long seed) {
    /**
     * The recipe. On shapes_wan 1000 steps of SOAP take the output's error from 0.0524 to 0.0404, where Adam, from its own
     * fits and at a rate of 3e-3, went from 0.0544 to 0.0431.
     */
    public static Settings of(int steps, long seed) {
      return new Settings(steps, 5e-3, 4, seed);
    }
  }

  /**
   * What came out.
   *
   * @param maps by site
   * @param notes what went wrong on the way, a line each
   * @param drifts those that were corrected, the costliest first
   */
  public record Refined(Map<String, SiteMaps> maps, List<String> notes, List<Drift> drifts) {}

  /**
   * How far the converted model's output drifts from what one word of a prompt says towards what another says, in the mean over
   * clips: 0 where nothing is lost, 1 where the one comes out as the other.
   *
   * @param said the word of the prompt
   * @param other a word of the same kind
   * @param before the correction, over the clips that it looks at
   * @param after it, over the same clips
   */
  public record Drift(String said, String other, double before, double after) {}

  /**
   * Prepares a model.
   *
   * @param sites the sites that have maps
   * @param calibration inputs; the first {@code samples} sets are used
   * @throws dev.hla.converter.HlaException where the model has operators that gradients cannot pass through here
   */
  public Refinement(OnnxModel model, List<AttentionSite> sites, Calibration calibration, int samples, Settings settings,
      ModelSession.Settings session) {
    this.graph = MovedGraph.of(model, sites, calibration.names());
    GraphOperators.requireAll(model.path().toString(), graph.nodes());
    this.calibration = calibration;
    this.samples = samples;
    this.settings = settings;
    this.original = ModelSession.open(graph.model().proto().toByteArray(), model.folder(), model.path() + " (observed)", session);
  }

  /**
   * Refines.
   *
   * @param maps by site; not changed
   * @param checkpoints a folder for the unfinished state, or null
   * @param threads to use, as many as the batch is large at most
   * @param onStep called after every step
   */
  public Refined refine(Map<String, SiteMaps> maps, Path checkpoints, int threads, Runnable onStep) {
    Map<String, Soap> soaps = new LinkedHashMap<>();
    maps.forEach((site, m) -> soaps.put(site, new Soap(MapWeights.of(m))));
    FitCheckpoint file = new FitCheckpoint(checkpoints == null ? null : checkpoints.resolve("refine-" + key(maps) + ".npz"));
    int from = file.restore(List.copyOf(soaps.values()));
    constants();
    try (Workers pool = new Workers(Math.min(threads, settings.batch()))) {
      for (int step = from; step < settings.steps(); step++) {
        step(soaps, step, pool);
        if ((step + 1) % FitCheckpoint.EVERY == 0) {
          file.save(List.copyOf(soaps.values()), step + 1);
        }
        onStep.run();
      }
    }
    Map<String, SiteMaps> refined = new LinkedHashMap<>();
    List<String> notes = new ArrayList<>();
    soaps.forEach((site, soap) -> {
      refined.put(site, soap.weights().maps(maps.get(site).epsilon()));
      for (int head = 0; head < soap.skipped().length; head++) {
        if (soap.skipped()[head] > 0) {
          notes.add(site + ", head " + head + ": " + soap.skipped()[head] + " of " + settings.steps()
              + " steps of the refinement had no finite gradient and were left out");
        }
      }
    });
    return new Refined(refined, List.copyOf(notes), List.of());
  }

  /**
   * Takes away what the output drifts from the words of prompts, see {@link WordCorrection}. It costs some of the output's nearness.
   *
   * @param maps by site; not changed
   * @param threads to use
   * @param onClip called after every clip of every measurement of the drifts
   * @return the same maps where inputs have no prompts made of words or are too few, or nothing was gained
   * @throws dev.hla.converter.HlaException where PyTorch cannot be loaded, or this is interrupted
   */
  public Refined correctWords(Map<String, SiteMaps> maps, int threads, Runnable onClip) {
    int clips = WordCorrection.clips(calibration, samples);
    if (clips == 0) {
      return new Refined(maps, List.of(), List.of());
    }
    constants();
    Map<String, MapWeights> weights = new LinkedHashMap<>();
    maps.forEach((site, m) -> weights.put(site, MapWeights.of(m)));
    WordCorrection.Corrected corrected;
    try (Workers pool = new Workers(threads)) {
      List<List<Contrast>> contrasts = IntStream.range(0, clips).mapToObj(calibration::contrasts).toList();
      corrected = WordCorrection.correct(weights, new WordDrift(this, contrasts, pool, onClip), settings.seed());
    }
    Map<String, SiteMaps> moved = new LinkedHashMap<>();
    corrected.weights().forEach((site, w) -> moved.put(site, w.maps(maps.get(site).epsilon())));
    return new Refined(moved, List.of(), corrected.drifts());
  }

  /** How often {@link #correctWords} calls back at most; 0 where it does nothing. */
  static int clipsForWords(Calibration calibration, int samples) {
    return WordCorrection.passes() * WordCorrection.clips(calibration, samples);
  }

  /** The same for the same start and settings, in every process. */
  private String key(Map<String, SiteMaps> maps) {
    int hash = (settings + " " + samples + " " + calibration.identity()).hashCode();
    for (Map.Entry<String, SiteMaps> each : maps.entrySet()) {
      hash = hash * 31 + each.getKey().hashCode();
      for (MapWeights.Array array : MapWeights.of(each.getValue()).arrays()) {
        hash = hash * 31 + Arrays.hashCode(array.data());
      }
    }
    return Integer.toHexString(hash);
  }

  private void step(Map<String, Soap> soaps, int step, Workers pool) {
    Random random = Seeds.random(settings.seed() * 7919 + step);
    List<Future<Gradients>> parts = new ArrayList<>();
    for (int i = 0; i < settings.batch(); i++) {
      Map<String, Tensor> inputs = calibration.variation(random.nextInt(samples), random);
      parts.add(pool.submit(() -> gradients(soaps, read(inputs))));
    }
    // Added in the order of the batch, whichever part is done first: sums come out the same every time.
    Gradients total = new Gradients();
    parts.forEach(part -> total.add(SiteFits.get(part), 1));
    double sum = 0;
    for (Map.Entry<String, Soap> each : soaps.entrySet()) {
      for (int head = 0; head < each.getValue().weights().heads(); head++) {
        double norm = each.getValue().norm(total.of(each.getKey()), head);
        sum += Double.isFinite(norm) ? norm * norm : 0;
      }
    }
    double factor = Math.min(1, CLIP / (Math.sqrt(sum) + 1e-12));
    double rate = Soap.rate(settings.rate(), step, settings.steps());
    for (Map.Entry<String, Soap> each : soaps.entrySet()) {
      for (int head = 0; head < each.getValue().weights().heads(); head++) {
        double norm = each.getValue().norm(total.of(each.getKey()), head);
        each.getValue().step(total.of(each.getKey()), head, rate, Double.isFinite(norm) ? factor : Double.NaN);
      }
    }
  }

  /** Weights and the like, read once. */
  private void constants() {
    if (constants == null) {
      List<String> wanted = graph.constants().stream().map(graph.read()::get).toList();
      Map<String, Tensor> shown = original.run(calibration.inputs(0), wanted);
      constants = new HashMap<>();
      graph.constants().forEach(value -> constants.put(value, shown.get(graph.read().get(value))));
    }
  }

  /** What the moving part reads, and the original's output. */
  Map<String, Tensor> read(Map<String, Tensor> inputs) {
    Map<String, String> varying = new LinkedHashMap<>(graph.read());
    varying.keySet().removeAll(graph.constants());
    Map<String, Tensor> shown = original.run(inputs, varying.values());
    Map<String, Tensor> values = new HashMap<>(constants);
    varying.forEach((value, name) -> values.put(value, shown.get(name)));
    return values;
  }

  private Gradients gradients(Map<String, Soap> soaps, Map<String, Tensor> read) {
    return Torch.withGradients(true, () -> {
      try (NDManager manager = Torch.manager()) {
        Map<String, FeatureMap> maps = new HashMap<>();
        soaps.forEach((site, soap) -> maps.put(site, new FeatureMap(manager, soap.weights())));
        NDArray output = new GraphRun(manager, graph, maps, read).output();
        Tensor teacher = read.get(graph.output());
        NDArray wanted = Torch.array(manager, teacher.floats(), teacher.shape());
        float[] rows = rows(read, teacher);
        if (rows != null) {
          NDArray weight = Torch.array(manager, rows, 1, rows.length, 1);
          output = output.mul(weight);
          wanted = wanted.mul(weight);
        }
        Torch.backward(output.sub(wanted).square().sum().div(wanted.square().sum().mul(Torch.scalar(wanted, settings.batch()))));
        Gradients gradients = new Gradients();
        maps.forEach((site, map) -> gradients.put(site, map.gradients()));
        return gradients;
      }
    });
  }

  /** Weights of the output's rows, or null where all count alike. */
  private float[] rows(Map<String, Tensor> read, Tensor output) {
    return graph.sites().values().stream().filter(names -> Padding.tells(names.site(), names.keyWeight()) && read.containsKey(names.keyWeight()))
        .findFirst().map(names -> Padding.rows(read.get(names.keyWeight()), output.shape())).orElse(null);
  }

  /** The output of the converted model as it is computed here, for one set of inputs. */
  Tensor output(Map<String, SiteMaps> maps, int sample) {
    constants();
    Map<String, Tensor> read = read(calibration.inputs(sample));
    return Torch.withGradients(false, () -> {
      try (NDManager manager = Torch.manager()) {
        Map<String, FeatureMap> features = new HashMap<>();
        maps.forEach((site, m) -> features.put(site, new FeatureMap(manager, MapWeights.of(m))));
        NDArray output = new GraphRun(manager, graph, features, read).output();
        return Tensor.of(output.toFloatArray(), output.getShape().getShape());
      }
    });
  }

  /** The original's output among what was read. */
  float[] output(Map<String, Tensor> read) {
    return read.get(graph.output()).floats();
  }

  /** The original's output for other inputs. */
  float[] originalOutput(Map<String, Tensor> inputs) {
    String name = graph.read().get(graph.output());
    return original.run(inputs, List.of(name)).get(name).floats();
  }

  /**
   * The converted model's output.
   *
   * @param gradients of its scalar products with arrays
   */
  record Products(float[] output, List<Gradients> gradients) {}

  /**
   * Runs the converted model.
   *
   * @param read what the original gave
   * @param arrays of the output's size, to be multiplied with it
   */
  Products products(Map<String, MapWeights> weights, Map<String, Tensor> read, List<float[]> arrays) {
    return Torch.withGradients(!arrays.isEmpty(), () -> {
      try (NDManager manager = Torch.manager()) {
        Map<String, FeatureMap> maps = new LinkedHashMap<>();
        weights.forEach((site, w) -> maps.put(site, new FeatureMap(manager, w)));
        NDArray output = new GraphRun(manager, graph, maps, read).output();
        List<Gradients> gradients = new ArrayList<>();
        for (float[] array : arrays) {
          Torch.backward(output, Torch.array(manager, array, read.get(graph.output()).shape()));
          Gradients ofArray = new Gradients();
          maps.forEach((site, map) -> ofArray.put(site, map.takeGradients()));
          gradients.add(ofArray);
        }
        return new Products(output.toFloatArray(), gradients);
      }
    });
  }

  @Override
  public void close() {
    original.close();
  }
}
