package dev.hla.distill;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The two texts of a capture folder: {@code capture.json} tells what was captured, and a line of {@code samples.jsonl} for
 * each finished sample where it lies in the files of the sites. Reading changes nothing, so that other processes may; whoever
 * writes holds {@code capture.lock}.
 */
final class CaptureIndex {
  private static final String FORMAT = "hla-capture/3";
  private static final JsonMapper JSON = new JsonMapper();

  /**
   * What was captured.
   *
   * @param inputs identity of the model and its inputs
   */
  record About(String format, String inputs, List<CapturedSite> sites) {
    About(String inputs, List<CapturedSite> sites) {
      this(FORMAT, inputs, sites);
    }
  }

  private final Path folder;
  private final Path about;
  private final Path samples;

  CaptureIndex(Path folder) {
    this.folder = folder;
    this.about = folder.resolve("capture.json");
    this.samples = folder.resolve("samples.jsonl");
  }

  /** Whoever writes holds a lock on it. */
  Path lock() {
    return folder.resolve("capture.lock");
  }

  /** The file of site number {@code k}. */
  Path file(int k) {
    return folder.resolve("site-" + k + ".f32");
  }

  /**
   * Writes what is captured, or checks that it is what was captured before; a capture without a sample is none.
   *
   * @throws HlaException where the folder holds something else
   */
  void begin(About wanted) throws IOException {
    if (!Files.exists(about) || !Files.exists(samples) || Files.size(samples) == 0) {
      Files.writeString(about, JSON.writeValueAsString(wanted));
    } else if (!wanted.equals(about())) {
      throw new HlaException(folder + ": holds a capture of another model, other sites or other inputs; remove it, or name another folder");
    }
  }

  /** What the folder says it holds. */
  About about() throws IOException {
    try {
      return JSON.readValue(Files.readString(about), About.class);
    } catch (JsonProcessingException e) {
      throw new HlaException(about + ": tells of no capture that this version reads; remove the folder, or name another", e);
    }
  }

  /** The finished samples of each site, up to the first that is not told wholly. */
  List<List<SamplePlace>> places(List<CapturedSite> sites) throws IOException {
    return places(sites, false);
  }

  /** The finished samples of each site, up to the first whose data are not all there. */
  List<List<SamplePlace>> present(List<CapturedSite> sites) throws IOException {
    return places(sites, true);
  }

  private List<List<SamplePlace>> places(List<CapturedSite> sites, boolean present) throws IOException {
    List<List<SamplePlace>> places = new ArrayList<>();
    sites.forEach(site -> places.add(new ArrayList<>()));
    if (!Files.exists(samples)) {
      return places;
    }
    for (String line : Files.readString(samples).split("(?<=\n)")) {
      SamplePlace[] sample = line.endsWith("\n") ? sample(line) : new SamplePlace[0];
      if (sample.length != sites.size() || present && !present(sample, sites)) {
        break;
      }
      for (int k = 0; k < sample.length; k++) {
        places.get(k).add(sample[k]);
      }
    }
    return places;
  }

  private static SamplePlace[] sample(String line) {
    try {
      SamplePlace[] sample = JSON.readValue(line, SamplePlace[].class);
      return sample == null ? new SamplePlace[0] : sample;
    } catch (JsonProcessingException e) {
      return new SamplePlace[0];
    }
  }

  private boolean present(SamplePlace[] sample, List<CapturedSite> sites) {
    for (int k = 0; k < sample.length; k++) {
      if (file(k).toFile().length() < sample[k].end(sites.get(k).heads())) {
        return false;
      }
    }
    return true;
  }

  /** Replaces all lines. */
  void write(List<List<SamplePlace>> places) throws IOException {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < places.get(0).size(); i++) {
      int index = i;
      lines.append(line(places.stream().map(site -> site.get(index)).toList()));
    }
    Files.writeString(samples, lines);
  }

  /** Adds a line for a sample that all sites have. */
  void append(List<SamplePlace> sample) throws IOException {
    Files.writeString(samples, line(sample), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  /** Takes away all files of a capture. */
  void remove(int sites) {
    for (int k = 0; k < sites; k++) {
      file(k).toFile().delete();
    }
    samples.toFile().delete();
    about.toFile().delete();
    lock().toFile().delete();
  }

  private static String line(List<SamplePlace> sample) throws IOException {
    return JSON.writeValueAsString(sample) + "\n";
  }
}
