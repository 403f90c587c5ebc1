package dev.hla.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import org.junit.jupiter.api.Test;

class PictureTest {
  /** Two frames of 1 x 2 pixels: red and black, then white and an overshooting blue. */
  private static final Tensor CLIP = Tensor.of(new float[] {
      1, -1, 1, -1.5f,
      -1, -1, 1, -1,
      -1, -1, 1, 1.5f}, 1, 3, 2, 1, 2);

  @Test
  void pixelsAreScaledAndClipped() {
    List<Picture> frames = Picture.frames(CLIP, 2);
    assertEquals(2, frames.size());
    assertEquals(4, frames.get(0).width());
    assertEquals(2, frames.get(0).height());
    assertEquals(0xff0000, frames.get(0).rgb()[0]);
    assertEquals(0xff0000, frames.get(0).rgb()[5]);
    assertEquals(0x000000, frames.get(0).rgb()[2]);
    assertEquals(0xffffff, frames.get(1).rgb()[1]);
    assertEquals(0x0000ff, frames.get(1).rgb()[3]);
  }

  @Test
  void sheetsPutFramesInARowAndClipsBelowEachOther() {
    List<Picture> frames = Picture.frames(CLIP, 1);
    Picture row = Picture.row(frames, 3);
    assertEquals(7, row.width());
    assertEquals(0xff0000, row.rgb()[0]);
    assertEquals(0xffffff, row.rgb()[5]);
    Picture sheet = Picture.column(List.of(row, row), 1);
    assertEquals(3, sheet.height());
    assertEquals(0xff0000, sheet.rgb()[2 * 7]);
  }

  @Test
  void pngIsReadBackByAnotherReader() throws IOException {
    Picture picture = Picture.row(Picture.frames(CLIP, 1), 1);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Animation.png(List.of(picture), 100, out);
    BufferedImage image = ImageIO.read(new ByteArrayInputStream(out.toByteArray()));
    for (int i = 0; i < picture.rgb().length; i++) {
      assertEquals(picture.rgb()[i], image.getRGB(i % picture.width(), i / picture.width()) & 0xffffff);
    }
  }

  @Test
  void anAnimatedPngHoldsEveryFrame() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Animation.png(Picture.frames(CLIP, 4), 100, out);
    String bytes = out.toString(StandardCharsets.ISO_8859_1);
    assertEquals(2, bytes.split("fcTL", -1).length - 1);
    assertEquals(1, bytes.split("fdAT", -1).length - 1);
    // Readers that know no animation show the first frame.
    assertEquals(0xff0000, ImageIO.read(new ByteArrayInputStream(out.toByteArray())).getRGB(0, 0) & 0xffffff);
  }

  @Test
  void anAnimatedGifHoldsEveryFrameAndRepeats() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Animation.gif(Picture.frames(CLIP, 4), 120, out);
    assertTrue(out.toString(StandardCharsets.ISO_8859_1).contains("NETSCAPE2.0"));
    ImageReader reader = ImageIO.getImageReadersByFormatName("gif").next();
    reader.setInput(ImageIO.createImageInputStream(new ByteArrayInputStream(out.toByteArray())));
    assertEquals(2, reader.getNumImages(true));
    assertEquals(0xff0000, reader.read(0).getRGB(0, 0) & 0xffffff);
    assertEquals(0x0000ff, reader.read(1).getRGB(4, 0) & 0xffffff);
  }

  @Test
  void latentsHaveNoPicture() {
    HlaException e = assertThrows(HlaException.class, () -> Picture.frames(Tensor.zeros(ElementType.FLOAT32, 1, 16, 2, 1, 1), 1));
    assertTrue(e.getMessage().contains("has 16"), e.getMessage());
  }
}
