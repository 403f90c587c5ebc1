package dev.hla.runtime;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.stream.ImageOutputStream;

/** Pictures as PNG, and as animations that repeat for ever: PNG (all colours exact) and GIF (256 colours a frame). */
public final class Animation {
  private static final byte[] PNG_SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

  private Animation() {}

  /**
   * Writes a PNG; an animated one where there are several frames.
   *
   * @param millis how long each frame shows
   */
  public static void png(List<Picture> frames, int millis, OutputStream out) throws IOException {
    Picture first = frames.get(0);
    out.write(PNG_SIGNATURE);
    // 8 bits a channel, red green blue.
    chunk(out, "IHDR", ByteBuffer.allocate(13).putInt(first.width()).putInt(first.height()).put(new byte[] {8, 2, 0, 0, 0}).array());
    boolean animated = frames.size() > 1;
    if (animated) {
      chunk(out, "acTL", ByteBuffer.allocate(8).putInt(frames.size()).putInt(0).array());
    }
    int sequence = 0;
    for (Picture frame : frames) {
      if (animated) {
        chunk(out, "fcTL", ByteBuffer.allocate(26).putInt(sequence++).putInt(frame.width()).putInt(frame.height())
            .putInt(0).putInt(0).putShort((short) millis).putShort((short) 1000).put((byte) 0).put((byte) 0).array());
      }
      byte[] pixels = compress(frame);
      if (frame == first) {
        chunk(out, "IDAT", pixels);
      } else {
        chunk(out, "fdAT", ByteBuffer.allocate(4 + pixels.length).putInt(sequence++).put(pixels).array());
      }
    }
    chunk(out, "IEND", new byte[0]);
  }

  private static byte[] compress(Picture frame) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Deflater deflater = new Deflater(Deflater.BEST_COMPRESSION);
    try (DeflaterOutputStream out = new DeflaterOutputStream(bytes, deflater)) {
      byte[] row = new byte[1 + 3 * frame.width()];
      for (int y = 0; y < frame.height(); y++) {
        for (int x = 0; x < frame.width(); x++) {
          int colour = frame.rgb()[y * frame.width() + x];
          row[1 + 3 * x] = (byte) (colour >> 16);
          row[2 + 3 * x] = (byte) (colour >> 8);
          row[3 + 3 * x] = (byte) colour;
        }
        out.write(row);
      }
    } finally {
      deflater.end();
    }
    return bytes.toByteArray();
  }

  private static void chunk(OutputStream out, String type, byte[] content) throws IOException {
    byte[] name = type.getBytes(StandardCharsets.US_ASCII);
    CRC32 crc = new CRC32();
    crc.update(name);
    crc.update(content);
    DataOutputStream data = new DataOutputStream(out);
    data.writeInt(content.length);
    data.write(name);
    data.write(content);
    data.writeInt((int) crc.getValue());
    data.flush();
  }

  /**
   * Writes an animated GIF.
   *
   * @param millis how long each frame shows; the format keeps hundredths of a second
   */
  public static void gif(List<Picture> frames, int millis, OutputStream out) throws IOException {
    ImageWriter writer = ImageIO.getImageWritersByFormatName("gif").next();
    try (ImageOutputStream stream = ImageIO.createImageOutputStream(out)) {
      writer.setOutput(stream);
      writer.prepareWriteSequence(null);
      for (Picture frame : frames) {
        BufferedImage image = new BufferedImage(frame.width(), frame.height(), BufferedImage.TYPE_INT_RGB);
        image.setRGB(0, 0, frame.width(), frame.height(), frame.rgb(), 0, frame.width());
        IIOMetadata metadata = writer.getDefaultImageMetadata(ImageTypeSpecifier.createFromRenderedImage(image), null);
        setTiming(metadata, millis);
        writer.writeToSequence(new IIOImage(image, null, metadata), null);
      }
      writer.endWriteSequence();
    } finally {
      writer.dispose();
    }
  }

  private static void setTiming(IIOMetadata metadata, int millis) throws IOException {
    String format = metadata.getNativeMetadataFormatName();
    IIOMetadataNode root = (IIOMetadataNode) metadata.getAsTree(format);
    IIOMetadataNode control = (IIOMetadataNode) root.getElementsByTagName("GraphicControlExtension").item(0);
    control.setAttribute("disposalMethod", "none");
    control.setAttribute("delayTime", Integer.toString(Math.max(1, millis / 10)));
    // The extension that browsers read as "repeat for ever".
    IIOMetadataNode loop = new IIOMetadataNode("ApplicationExtension");
    loop.setAttribute("applicationID", "NETSCAPE");
    loop.setAttribute("authenticationCode", "2.0");
    loop.setUserObject(new byte[] {1, 0, 0});
    IIOMetadataNode extensions = new IIOMetadataNode("ApplicationExtensions");
    extensions.appendChild(loop);
    root.appendChild(extensions);
    metadata.setFromTree(format, root);
  }
}
