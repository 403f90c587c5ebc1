package dev.hla.distill;

import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;

/** The captured samples of one site, read from a folder as they are asked for; memory follows one sample. */
final class CapturedData implements SiteData, AutoCloseable {
  private final Path folder;
  private final CapturedSite site;
  private final List<SamplePlace> places;
  private final FileChannel channel;

  private CapturedData(Path folder, CapturedSite site, List<SamplePlace> places, FileChannel channel) {
    this.folder = folder;
    this.site = site;
    this.places = places;
    this.channel = channel;
  }

  /**
   * Opens a capture for reading.
   *
   * @param k number of the site
   * @throws HlaException where the folder has no such capture
   */
  static CapturedData open(Path folder, int k) {
    CaptureIndex index = new CaptureIndex(folder);
    try {
      List<CapturedSite> sites = index.about().sites();
      if (k >= sites.size()) {
        throw new HlaException(folder + ": holds a capture of " + sites.size() + " sites, and site " + (k + 1)
            + " is wanted; remove it, or name another folder");
      }
      CapturedData data = new CapturedData(folder, sites.get(k), index.places(sites).get(k), FileChannel.open(index.file(k)));
      data.requireAll(index.file(k));
      return data;
    } catch (NoSuchFileException e) {
      throw new HlaException(e.getFile() + ": not there; every process that fits must see the folder of the capture", e);
    } catch (IOException e) {
      throw unreadable(folder, e);
    }
  }

  private void requireAll(Path file) throws IOException {
    long end = places.isEmpty() ? 0 : places.get(places.size() - 1).end(site.heads());
    long size = channel.size();
    if (size < end) {
      close();
      throw new HlaException(file + ": has " + size + " bytes, " + end + " expected; start the command again, which captures what is missing");
    }
  }

  private static HlaException unreadable(Path folder, IOException e) {
    return new HlaException(folder + ": the capture cannot be read (" + e.getMessage() + ")", e);
  }

  @Override
  public String name() {
    return site.name();
  }

  @Override
  public int heads() {
    return site.heads();
  }

  @Override
  public int headDim() {
    return site.headDim();
  }

  @Override
  public double scale() {
    return site.scale();
  }

  @Override
  public int size() {
    return places.size();
  }

  @Override
  public SiteSample sample(int index) {
    SamplePlace p = places.get(index);
    long h = site.heads();
    try {
      Cursor cursor = new Cursor(channel, p.offset());
      float[] query = cursor.next(h * p.queries() * p.headDim());
      float[] key = cursor.next(h * p.keys() * p.headDim());
      float[] value = cursor.next(h * p.keys() * p.valueDim());
      float[] output = cursor.next(h * p.queries() * p.valueDim());
      float[] keyWeight = p.masked() ? cursor.next(h * p.keys()) : null;
      return new SiteSample(site.heads(), p.queries(), p.keys(), p.headDim(), p.valueDim(), query, key, value, output, keyWeight);
    } catch (IOException e) {
      throw unreadable(folder, e);
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
    try {
      channel.close();
    } catch (IOException e) {
      throw new HlaException(folder + ": cannot be closed (" + e.getMessage() + ")", e);
    }
  }
}
