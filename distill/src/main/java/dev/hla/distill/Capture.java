package dev.hla.distill;

import dev.hla.converter.ExternalData;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.SiteProbe;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs the original model on calibration inputs and keeps what its attention sites read and make, without {@link Padding}. */
public final class Capture implements AutoCloseable {
  private final OnnxModel model;
  private final List<AttentionSite> sites;
  private final Calibration calibration;
  private final CaptureFolder folder;

  private Capture(OnnxModel model, List<AttentionSite> sites, Calibration calibration, CaptureFolder folder) {
    this.model = model;
    this.sites = sites;
    this.calibration = calibration;
    this.folder = folder;
  }

  /**
   * Opens a capture; samples that the folder has from an earlier, interrupted one are kept.
   *
   * @param sites what to observe, all convertible
   * @param folder is made where it is missing
   * @throws HlaException where the folder holds a capture of something else
   */
  public static Capture open(OnnxModel model, List<AttentionSite> sites, Calibration calibration, Path folder) {
    return new Capture(model, List.copyOf(sites), calibration,
        CaptureFolder.open(folder, digest(model) + " " + calibration.identity(), sites.stream().map(CapturedSite::of).toList()));
  }

  /**
   * Captures until there are {@code samples} samples, one for each set of inputs and each of its batch.
   *
   * @param onSample called after every set of inputs
   */
  public void fill(int samples, ModelSession.Settings settings, Runnable onSample) {
    if (calibration.size() < samples) {
      throw new HlaException(calibration + ": has " + calibration.size() + (calibration.size() == 1 ? " set" : " sets") + " of inputs, " + samples
          + " are wanted; add some, or ask for fewer samples");
    }
    if (folder.size() >= samples) {
      return;
    }
    if (folder.size() == 0) {
      // A mended file makes other inputs, for which what was captured before is no good.
      calibration.check(samples);
    }
    SiteProbe probe = SiteProbe.of(model, sites);
    try (ModelSession session =
        ModelSession.open(probe.model().proto().toByteArray(), model.folder(), model.path() + " (observed)", settings)) {
      List<String> wanted = new ArrayList<>();
      for (SiteProbe.Names names : probe.sites()) {
        wanted.addAll(List.of(names.query(), names.key(), names.value(), names.output()));
        if (!names.keyWeight().isEmpty()) {
          wanted.add(names.keyWeight());
        }
      }
      while (folder.size() < samples) {
        Map<String, Tensor> values = values(session, folder.size(), wanted);
        List<SiteSample> sample = new ArrayList<>();
        probe.sites().forEach(names -> sample.add(sample(names, values)));
        folder.append(sample);
        onSample.run();
      }
      folder.force();
    }
  }

  private Map<String, Tensor> values(ModelSession session, int index, List<String> wanted) {
    Map<String, Tensor> inputs = calibration.inputs(index);
    for (Slot slot : session.inputs()) {
      Tensor input = inputs.get(slot.name());
      if (input != null && input.rank() == slot.shape().size() && input.rank() > 0 && input.dim(0) != 1) {
        throw new HlaException(calibration.name(index) + ": input " + slot.name() + " is " + input
            + "; a set of inputs is for a batch of 1 here: give each its own file");
      }
    }
    try {
      return session.run(inputs, wanted);
    } catch (HlaException e) {
      throw new HlaException(e.getMessage() + " (with " + calibration.name(index) + ")", e);
    }
  }

  private static SiteSample sample(SiteProbe.Names names, Map<String, Tensor> values) {
    Tensor query = values.get(names.query());
    Tensor key = values.get(names.key());
    Tensor value = values.get(names.value());
    Tensor output = values.get(names.output());
    int heads = query.dim(1);
    float[] keyWeight = names.keyWeight().isEmpty() ? null : broadcast(values.get(names.keyWeight()), heads, key.dim(2));
    if (query.dim(0) != 1) {
      throw new HlaException(names.site().name() + ": its queries are " + query
          + "; a site that folds tokens into the batch cannot be captured sample by sample: leave it out");
    }
    return Padding.dropped(new SiteSample(heads, query.dim(2), key.dim(2), query.dim(3), value.dim(3), query.floats(), key.floats(),
        value.floats(), output.floats(), keyWeight), names.site().kind());
  }

  /** [1 or H, M, 1] with any leading axes of size 1, as [H, M]. */
  private static float[] broadcast(Tensor weight, int heads, int keys) {
    float[] given = weight.floats();
    float[] all = new float[heads * keys];
    boolean perHead = given.length == heads * keys;
    boolean perKey = perHead || given.length == keys;
    for (int i = 0; i < all.length; i++) {
      all[i] = perHead ? given[i] : perKey ? given[i % keys] : given[0];
    }
    return all;
  }

  /** The sites, in the order of their samples. */
  public List<AttentionSite> observed() {
    return sites;
  }

  /** Where the samples are; other processes may read them there. */
  Path folder() {
    return folder.path();
  }

  /** Of the model's structure and all its weights, in files of their own too. */
  private static String digest(OnnxModel model) {
    try (DigestOutputStream out = new DigestOutputStream(OutputStream.nullOutputStream(), MessageDigest.getInstance("SHA-256"))) {
      model.proto().writeTo(out);
      for (Path weights : ExternalData.files(model).values()) {
        Files.copy(weights, out);
      }
      return HexFormat.of().formatHex(out.getMessageDigest().digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    } catch (IOException e) {
      throw new HlaException(model.path() + ": its weights cannot be read (" + e.getMessage() + ")", e);
    }
  }

  @Override
  public void close() {
    folder.close();
    calibration.close();
  }
}
