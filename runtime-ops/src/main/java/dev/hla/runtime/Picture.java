package dev.hla.runtime;

import dev.hla.converter.HlaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A picture in 8-bit red, green and blue.
 *
 * @param rgb 0xRRGGBB, row by row
 */
public record Picture(int width, int height, int[] rgb) {
  /** Between frames and between clips. */
  private static final int GREY = 0x606060;

  private static Picture filled(int width, int height) {
    Picture picture = new Picture(width, height, new int[width * height]);
    Arrays.fill(picture.rgb, GREY);
    return picture;
  }

  /**
   * The frames of the first clip of a batch.
   *
   * @param video [batch, 3, frames, height, width], or without batch; red, green, blue in -1..1, clipped
   * @param scale pixels of the picture per pixel of the clip, along both axes
   */
  public static List<Picture> frames(Tensor video, int scale) {
    if (video.rank() != 5 && video.rank() != 4) {
      throw new HlaException(video + " is no clip; [batch, 3, frames, height, width] is");
    }
    int channels = video.dim(-4);
    int frames = video.dim(-3);
    int height = video.dim(-2);
    int width = video.dim(-1);
    if (channels != 3) {
      throw new HlaException("a picture needs 3 channels (red, green, blue), but the clip has " + channels
          + ": these are latents for a decoder of their own");
    }
    List<Picture> pictures = new ArrayList<>();
    for (int f = 0; f < frames; f++) {
      Picture picture = filled(width * scale, height * scale);
      for (int y = 0; y < picture.height; y++) {
        for (int x = 0; x < picture.width; x++) {
          int colour = 0;
          for (int c = 0; c < 3; c++) {
            double value = video.get(((c * frames + f) * height + y / scale) * width + x / scale);
            colour = colour << 8 | (int) Math.rint(Math.min(255, Math.max(0, (value + 1) * 127.5)));
          }
          picture.rgb[y * picture.width + x] = colour;
        }
      }
      pictures.add(picture);
    }
    return pictures;
  }

  /** Pictures of one height next to each other, with a gap. */
  public static Picture row(List<Picture> pictures, int gap) {
    int width = pictures.stream().mapToInt(Picture::width).sum() + gap * (pictures.size() - 1);
    Picture row = filled(width, pictures.stream().mapToInt(Picture::height).max().orElseThrow());
    int left = 0;
    for (Picture picture : pictures) {
      row.paste(picture, left, 0);
      left += picture.width + gap;
    }
    return row;
  }

  /** Pictures below each other, with a gap. */
  public static Picture column(List<Picture> pictures, int gap) {
    int height = pictures.stream().mapToInt(Picture::height).sum() + gap * (pictures.size() - 1);
    Picture column = filled(pictures.stream().mapToInt(Picture::width).max().orElseThrow(), height);
    int top = 0;
    for (Picture picture : pictures) {
      column.paste(picture, 0, top);
      top += picture.height + gap;
    }
    return column;
  }

  /** Clips side by side, frame by frame; they have equally many frames. */
  public static List<Picture> sideBySide(List<List<Picture>> clips, int gap) {
    List<Picture> frames = new ArrayList<>();
    for (int f = 0; f < clips.get(0).size(); f++) {
      int frame = f;
      frames.add(row(clips.stream().map(clip -> clip.get(frame)).toList(), gap));
    }
    return frames;
  }

  private void paste(Picture other, int left, int top) {
    for (int y = 0; y < other.height; y++) {
      System.arraycopy(other.rgb, y * other.width, rgb, (top + y) * width + left, other.width);
    }
  }
}
