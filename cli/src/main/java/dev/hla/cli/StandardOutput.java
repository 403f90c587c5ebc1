package dev.hla.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/** Standard output, which remembers that it lost something: a print stream would only keep quiet about it. */
final class StandardOutput extends OutputStream {
  private final OutputStream out = new FileOutputStream(FileDescriptor.out);
  private IOException failure;

  @Override
  public void write(int b) {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    if (failure != null) {
      return;
    }
    try {
      out.write(bytes, offset, length);
    } catch (IOException e) {
      failure = e;
    }
  }

  /** Why something was lost, or null where nothing was, or nobody wanted it: who reads a pipe may stop early, as head does. */
  String lost() {
    return failure == null || "Broken pipe".equals(failure.getMessage()) ? null : String.valueOf(failure.getMessage());
  }
}
