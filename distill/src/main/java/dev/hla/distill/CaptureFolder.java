package dev.hla.distill;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.hla.converter.HlaException;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.wiring.Wiring;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Captured samples on disk: {@code site-K.f32} has the tensors of site K, sample after sample, as float32; a line of
 * {@code samples.jsonl} for each finished sample tells their places and sizes; {@code capture.json} tells what was
 * captured. A line is written after its data, so whatever interrupts a capture, the finished samples stay good and the
 * rest is cut off when the folder is opened again. Memory follows one sample, not the capture.
 */
final class CaptureFolder implements AutoCloseable {
  private static final String FORMAT = "hla-capture/2";
  private static final JsonMapper JSON = new JsonMapper();

  private final Path folder;
  private final List<AttentionSite> sites;
  private final List<FileChannel> channels = new ArrayList<>();
  /** Of each sample, of each site. */
  private final List<List<Place>> places = new ArrayList<>();

  /** Where one site's sample is: first byte and sizes. */
  private record Place(long offset, int queries, int keys, int headDim, int valueDim, boolean masked) {
    long floats(int heads) {
      return (long) heads * ((long) queries * (headDim + valueDim) + (long) keys * (headDim + valueDim + (masked ? 1 : 0)));
    }
  }

  private CaptureFolder(Path folder, List<AttentionSite> sites) {
    this.folder = folder;
    this.sites = List.copyOf(sites);
  }

  /**
   * Opens a folder, with the samples that it has.
   *
   * @param identity of the model and its inputs; a folder that was made for another is refused
   */
  static CaptureFolder open(Path folder, String identity, List<AttentionSite> sites) {
    CaptureFolder capture = new CaptureFolder(folder, sites);
    try {
      Files.createDirectories(folder);
      capture.requireSame(identity);
      capture.readPlaces();
      for (int k = 0; k < sites.size(); k++) {
        FileChannel channel = FileChannel.open(folder.resolve("site-" + k + ".f32"), StandardOpenOption.CREATE, StandardOpenOption.READ,
            StandardOpenOption.WRITE);
        capture.channels.add(channel);
        channel.truncate(capture.end(k));
      }
      return capture;
    } catch (IOException e) {
      capture.close();
      throw new HlaException(folder + ": cannot be used for a capture (" + e.getMessage() + ")", e);
    } catch (HlaException e) {
      capture.close();
      throw e;
    }
  }

  private void requireSame(String identity) throws IOException {
    Path about = folder.resolve("capture.json");
    ObjectNode wanted = JSON.createObjectNode().put("format", FORMAT).put("inputs", identity);
    ArrayNode names = wanted.putArray("sites");
    sites.forEach(site -> names.add(site.name()));
    if (!Files.exists(about)) {
      Files.writeString(about, wanted.toString());
      return;
    }
    JsonNode found;
    try {
      found = JSON.readTree(Files.readString(about));
    } catch (JsonProcessingException e) {
      throw new HlaException(about + ": not JSON; remove the folder, or name another", e);
    }
    if (!wanted.equals(found)) {
      throw new HlaException(folder + ": holds a capture of another model, other sites or other inputs; remove it, or name another folder");
    }
  }

  private void readPlaces() throws IOException {
    Path index = folder.resolve("samples.jsonl");
    if (!Files.exists(index)) {
      return;
    }
    StringBuilder good = new StringBuilder();
    for (String line : Files.readString(index).split("(?<=\n)")) {
      try {
        List<Place> sample = line.endsWith("\n") ? places(JSON.readTree(line)) : List.of();
        if (sample.size() != sites.size() || !present(sample)) {
          break;
        }
        places.add(sample);
        good.append(line);
      } catch (JsonProcessingException e) {
        break;
      }
    }
    Files.writeString(index, good);
  }

  private List<Place> places(JsonNode json) {
    List<Place> sample = new ArrayList<>();
    json.forEach(p -> sample.add(new Place(p.path(0).asLong(), p.path(1).asInt(), p.path(2).asInt(), p.path(3).asInt(), p.path(4).asInt(),
        p.path(5).asBoolean())));
    return sample;
  }

  private boolean present(List<Place> sample) {
    for (int k = 0; k < sample.size(); k++) {
      Place place = sample.get(k);
      if (folder.resolve("site-" + k + ".f32").toFile().length() < place.offset + 4 * place.floats((int) sites.get(k).heads())) {
        return false;
      }
    }
    return true;
  }

  private long end(int site) {
    if (places.isEmpty()) {
      return 0;
    }
    Place last = places.get(places.size() - 1).get(site);
    return last.offset + 4 * last.floats((int) sites.get(site).heads());
  }

  /** Number of finished samples. */
  int size() {
    return places.size();
  }

  /** Appends a sample: what each site read and made. */
  void append(List<SiteSample> sample) {
    ArrayNode line = JSON.createArrayNode();
    List<Place> added = new ArrayList<>();
    try {
      for (int k = 0; k < sample.size(); k++) {
        SiteSample s = sample.get(k);
        Place place = new Place(end(k), s.queries(), s.keys(), s.headDim(), s.valueDim(), s.keyWeight() != null);
        long at = place.offset;
        for (float[] part : new float[][] {s.query(), s.key(), s.value(), s.output(), s.keyWeight()}) {
          at += part == null ? 0 : write(channels.get(k), at, part);
        }
        added.add(place);
        line.add(JSON.createArrayNode().add(place.offset).add(place.queries).add(place.keys).add(place.headDim).add(place.valueDim)
            .add(place.masked));
      }
      Files.write(folder.resolve("samples.jsonl"), (line + "\n").getBytes(StandardCharsets.UTF_8), StandardOpenOption.CREATE,
          StandardOpenOption.APPEND);
      places.add(added);
    } catch (IOException e) {
      throw new HlaException(folder + ": the capture cannot be written (" + e.getMessage() + "); it goes on from here when started again", e);
    }
  }

  private static long write(FileChannel channel, long at, float[] values) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    long written = 0;
    while (bytes.hasRemaining()) {
      written += channel.write(bytes, at + written);
    }
    return written;
  }

  /** The samples of site number {@code k}. */
  SiteData site(int k) {
    AttentionSite site = sites.get(k);
    double scale = Wiring.of(site).appliedScale();
    return new SiteData() {
      @Override
      public String name() {
        return site.name();
      }

      @Override
      public int heads() {
        return (int) site.heads();
      }

      @Override
      public int headDim() {
        return (int) site.headDim();
      }

      @Override
      public double scale() {
        return Double.isFinite(scale) && scale > 0 ? scale : 1 / Math.sqrt(site.headDim());
      }

      @Override
      public int size() {
        return places.size();
      }

      @Override
      public SiteSample sample(int index) {
        return read(k, index);
      }
    };
  }

  private SiteSample read(int k, int index) {
    Place p = places.get(index).get(k);
    int h = (int) sites.get(k).heads();
    try {
      Cursor cursor = new Cursor(channels.get(k), p.offset);
      float[] query = cursor.next((long) h * p.queries * p.headDim);
      float[] key = cursor.next((long) h * p.keys * p.headDim);
      float[] value = cursor.next((long) h * p.keys * p.valueDim);
      float[] output = cursor.next((long) h * p.queries * p.valueDim);
      float[] keyWeight = p.masked ? cursor.next((long) h * p.keys) : null;
      return new SiteSample(h, p.queries, p.keys, p.headDim, p.valueDim, query, key, value, output, keyWeight);
    } catch (IOException e) {
      throw new HlaException(folder + ": the capture cannot be read (" + e.getMessage() + ")", e);
    }
  }

  /** Reads arrays one after the other through the page cache. */
  private static final class Cursor {
    private final FileChannel channel;
    private long at;

    Cursor(FileChannel channel, long at) {
      this.channel = channel;
      this.at = at;
    }

    float[] next(long count) throws IOException {
      float[] values = new float[Math.toIntExact(count)];
      FloatBuffer mapped = channel.map(FileChannel.MapMode.READ_ONLY, at, 4 * count).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      mapped.get(values);
      at += 4 * count;
      return values;
    }
  }

  @Override
  public void close() {
    for (FileChannel channel : channels) {
      try {
        channel.close();
      } catch (IOException e) {
        throw new HlaException(folder + ": cannot be closed (" + e.getMessage() + ")", e);
      }
    }
  }
}
