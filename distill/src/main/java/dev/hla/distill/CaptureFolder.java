package dev.hla.distill;

import dev.hla.converter.HlaException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes captured samples to disk: {@code site-K.f32} has the tensors of site K, sample after sample, as float32, and a
 * {@link CaptureIndex} tells where. A sample's line is written after its data, so whatever interrupts a capture, the
 * finished samples stay good and the rest is cut off when the folder is opened again. {@link CapturedData} reads them.
 */
final class CaptureFolder implements AutoCloseable {
  private final Path folder;
  private final CaptureIndex index;
  private final List<CapturedSite> sites;
  private final List<FileChannel> channels = new ArrayList<>();
  private boolean made;
  private FileChannel lock;
  /** Of each site, of each sample. */
  private List<List<SamplePlace>> places;

  private CaptureFolder(Path folder, List<CapturedSite> sites) {
    this.folder = folder;
    this.index = new CaptureIndex(folder);
    this.sites = sites;
  }

  /**
   * Opens a folder, with the samples that it has.
   *
   * @param identity of the model and its inputs; a folder that was made for another is refused
   */
  static CaptureFolder open(Path folder, String identity, List<CapturedSite> sites) {
    CaptureFolder capture = new CaptureFolder(folder, List.copyOf(sites));
    try {
      capture.made = !Files.exists(folder);
      Files.createDirectories(folder);
      capture.lock();
      capture.index.begin(new CaptureIndex.About(identity, capture.sites));
      capture.places = capture.index.present(capture.sites);
      capture.index.write(capture.places);
      for (int k = 0; k < sites.size(); k++) {
        FileChannel channel = FileChannel.open(capture.index.file(k), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
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

  /** Two runs at once would write over each other. The system takes the lock away with the process, however that ends. */
  private void lock() throws IOException {
    lock = FileChannel.open(index.lock(), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    boolean taken;
    try {
      taken = lock.tryLock() == null;
    } catch (OverlappingFileLockException e) {
      taken = true;
    } catch (IOException e) {
      // A file system without locks.
      taken = false;
    }
    if (taken) {
      throw new HlaException(folder + ": another run is at work in it; wait for its end, or name another folder");
    }
  }

  private long end(int site) {
    List<SamplePlace> of = places.get(site);
    return of.isEmpty() ? 0 : of.get(of.size() - 1).end(sites.get(site).heads());
  }

  Path path() {
    return folder;
  }

  /** Number of finished samples. */
  int size() {
    return places.get(0).size();
  }

  /** Appends a sample: what each site read and made. */
  void append(List<SiteSample> sample) {
    List<SamplePlace> added = new ArrayList<>();
    try {
      for (int k = 0; k < sample.size(); k++) {
        SiteSample s = sample.get(k);
        SamplePlace place = SamplePlace.of(end(k), s);
        long at = place.offset();
        for (float[] part : new float[][] {s.query(), s.key(), s.value(), s.output(), s.keyWeight()}) {
          at += part == null ? 0 : write(channels.get(k), at, part);
        }
        added.add(place);
      }
      index.append(added);
      for (int k = 0; k < added.size(); k++) {
        places.get(k).add(added.get(k));
      }
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

  /** Hands all data to the file system; other machines that share it see them from then on. */
  void force() {
    try {
      for (FileChannel channel : channels) {
        channel.force(true);
      }
    } catch (IOException e) {
      throw new HlaException(folder + ": the capture cannot be written (" + e.getMessage() + ")", e);
    }
  }

  /** A capture without a sample leaves nothing behind. */
  @Override
  public void close() {
    boolean empty = places != null && size() == 0;
    try {
      for (FileChannel channel : channels) {
        channel.close();
      }
      channels.clear();
      if (empty) {
        index.remove(sites.size());
      }
      if (lock != null) {
        lock.close();
      }
      if (empty && made) {
        folder.toFile().delete();
      }
    } catch (IOException e) {
      throw new HlaException(folder + ": cannot be closed (" + e.getMessage() + ")", e);
    }
  }
}
