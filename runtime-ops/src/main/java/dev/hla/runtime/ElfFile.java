package dev.hla.runtime;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Whether a shared library is all there. The dynamic linker maps a file without looking at its length, and one that was cut
 * short ends the process with SIGBUS. All other faults of a file it tells itself.
 */
final class ElfFile {
  private static final int HEADER_BYTES = 64;
  private static final int SEGMENT_BYTES = 56;
  private static final int ELF = 0x464c457f;
  private static final byte BITS_64 = 2;
  private static final byte LITTLE_ENDIAN = 1;
  private static final int LOADED = 1;

  private ElfFile() {}

  /** How long the file must be for what of it gets loaded; 0 where it is no 64-bit little-endian ELF file. */
  static long neededBytes(Path file) throws IOException {
    try (SeekableByteChannel in = Files.newByteChannel(file)) {
      ByteBuffer header = read(in, 0, HEADER_BYTES);
      if (header.remaining() < HEADER_BYTES || header.getInt(0) != ELF || header.get(4) != BITS_64 || header.get(5) != LITTLE_ENDIAN) {
        return 0;
      }
      long table = header.getLong(32);
      int count = Short.toUnsignedInt(header.getShort(56));
      ByteBuffer segments = read(in, table, count * SEGMENT_BYTES);
      if (segments.remaining() < count * SEGMENT_BYTES) {
        return table + count * SEGMENT_BYTES;
      }
      long needed = 0;
      for (int at = 0; at < segments.remaining(); at += SEGMENT_BYTES) {
        if (segments.getInt(at) == LOADED) {
          needed = Math.max(needed, segments.getLong(at + 8) + segments.getLong(at + 32));
        }
      }
      return needed;
    }
  }

  private static ByteBuffer read(SeekableByteChannel in, long from, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if (from >= 0 && from < in.size()) {
      in.position(from);
      while (buffer.hasRemaining() && in.read(buffer) >= 0) {
        continue;
      }
    }
    return buffer.flip();
  }
}
