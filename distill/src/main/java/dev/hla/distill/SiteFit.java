package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import dev.hla.converter.HlaException;
import dev.hla.converter.SiteMaps;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Fits the maps of one site to the original's attention outputs: SOAP on the squared error of the output, per head, in
 * units of its variance about the mean of the values. Everything random comes from the seed and the number of the step,
 * so that an interrupted fit goes on to the same end.
 */
final class SiteFit {
  private static final double CLIP = 1;

  private final SiteData data;
  private final SiteData heldOut;
  private final FitSettings settings;
  private final long seed;

  /**
   * @param data samples to fit to
   * @param heldOut samples to measure the result on
   */
  SiteFit(SiteData data, SiteData heldOut, FitSettings settings) {
    this.data = data;
    this.heldOut = heldOut;
    this.settings = settings;
    // Sites get randomness of their own, whichever other sites are fitted beside them.
    this.seed = settings.seed() * 1_000_003 + data.name().hashCode();
  }

  /**
   * Fits.
   *
   * @param checkpoint where the state is kept from time to time, and taken up from
   */
  SiteResult fit(FitCheckpoint checkpoint) {
    long begun = System.nanoTime();
    double[] variance = SiteMeasure.variance(data);
    MapWeights start = start();
    MapWeights weights = start.copy();
    Soap soap = new Soap(weights);
    int from = checkpoint.restore(List.of(soap));
    for (int step = from; step < settings.steps(); step++) {
      if (Thread.currentThread().isInterrupted()) {
        throw new HlaException(data.name() + ": the fit was interrupted; it goes on from its last checkpoint when started again");
      }
      step(weights, soap, variance, step);
      if ((step + 1) % FitCheckpoint.EVERY == 0 || step + 1 == settings.steps()) {
        checkpoint.save(List.of(soap), step + 1);
      }
    }
    return judged(start, weights, soap, variance, (System.nanoTime() - begun) / 1e9);
  }

  private MapWeights start() {
    return settings.design().squares() ? BalancedStart.of(data, settings.design(), seed) : RandomStart.of(data, settings.design(), seed);
  }

  private void step(MapWeights weights, Soap soap, double[] variance, int step) {
    Random random = Seeds.random(seed * 7919 + step);
    float[][] gradients = gradients(weights, variance, random);
    double rate = Soap.rate(settings.rate(), step, settings.steps());
    for (int head = 0; head < weights.heads(); head++) {
      double norm = soap.norm(gradients, head);
      soap.step(gradients, head, rate, Double.isFinite(norm) ? Math.min(1, CLIP / (norm + 1e-12)) : Double.NaN);
    }
  }

  private float[][] gradients(MapWeights weights, double[] variance, Random random) {
    return Torch.withGradients(true, () -> {
      try (NDManager manager = Torch.manager()) {
        FeatureMap map = new FeatureMap(manager, weights);
        NDArray loss = null;
        for (int i = 0; i < settings.samplesPerStep(); i++) {
          SiteSample sample = data.sample(random.nextInt(data.size()));
          int[] rows = random.ints(Math.min(settings.rowsPerStep(), sample.queries()), 0, sample.queries()).toArray();
          SiteTensors tensors = SiteTensors.of(manager, sample, rows);
          NDArray y = FeatureMap.attend(
              map.sums(map.features("query", tensors.query()), map.features("key", tensors.key()), tensors.value(), tensors.keyWeight()),
              SiteMaps.DEFAULT_EPSILON);
          NDArray scale = Torch.array(manager, inverse(variance, rows.length * settings.samplesPerStep()), variance.length);
          // A sum over heads: a head's gradient has nothing of another's, even where that one's loss is NaN.
          NDArray heads = y.sub(tensors.output()).square().sum(new int[] {1, 2}).mul(scale);
          loss = loss == null ? heads.sum() : loss.add(heads.sum());
        }
        Torch.backward(loss);
        return map.gradients();
      }
    });
  }

  private static float[] inverse(double[] variance, int rows) {
    float[] inverse = new float[variance.length];
    for (int h = 0; h < inverse.length; h++) {
      // A head whose outputs never leave the mean has nothing to fit.
      inverse[h] = (float) (variance[h] > 0 ? 1 / (variance[h] * rows) : 0);
    }
    return inverse;
  }

  /** Keeps a head's start where its fit went wrong, and the mean of the values where the start is wrong as well. */
  private SiteResult judged(MapWeights start, MapWeights weights, Soap soap, double[] variance, double seconds) {
    List<String> notes = new ArrayList<>();
    SiteError mean = SiteMeasure.ofMean(heldOut);
    SiteError before = SiteMeasure.of(heldOut, start);
    SiteError after = SiteMeasure.of(heldOut, weights);
    MapWeights flat = weights.copy();
    for (int head = 0; head < weights.heads(); head++) {
      flat.flatten(head);
      if (soap.skipped()[head] > 0) {
        notes.add("head " + head + ": " + soap.skipped()[head] + " of " + settings.steps() + " steps had no finite gradient and were left out");
      }
      double best = weights.finite(head) && Double.isFinite(after.heads()[head]) ? after.heads()[head] : Double.POSITIVE_INFINITY;
      boolean worse = start.finite(head) && before.heads()[head] < best;
      if (worse) {
        weights.copyHead(start, head);
        best = before.heads()[head];
      }
      boolean finite = Double.isFinite(mean.heads()[head]) && Double.isFinite(variance[head]);
      if (!finite || !Double.isFinite(best) || best > mean.heads()[head]) {
        weights.copyHead(flat, head);
        notes.add("head " + head + ": no maps were found that beat the mean of the values" + (finite ? "" : ", as its captured values are not finite")
            + "; its maps look at nothing");
      } else if (worse) {
        notes.add("head " + head + ": the fit ended worse than its start (" + number(after.heads()[head]) + " against " + number(best) + "), which is kept");
      }
    }
    Denominator.normalise(data, weights);
    SiteError error = notes.isEmpty() ? after : SiteMeasure.of(heldOut, weights);
    return new SiteResult(data.name(), settings.design(), weights.maps(SiteMaps.DEFAULT_EPSILON), error, mean, before, List.copyOf(notes), seconds);
  }

  private static String number(double value) {
    return String.format(java.util.Locale.ROOT, "%.4f", value);
  }

}
