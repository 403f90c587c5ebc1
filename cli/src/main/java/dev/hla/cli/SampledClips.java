package dev.hla.cli;

import dev.hla.distill.Prompts;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.FlowSampler;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.ShapesClip;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Clips that the original and the converted model sample from the same prompts and noise.
 *
 * @param followed how often prompts are followed, by kind of word; null where nothing here can tell
 */
record SampledClips(List<Demo.Clip> clips, Map<String, Followed> followed) {
  /** Apart from the noise of calibration and of refinement. */
  private static final long SALT = 0x636c697073L;
  private static final String SHAPE = "shape";
  private static final String COLOUR = "colour";

  /** Of how many clips show what the prompt says. */
  record Followed(int original, int converted) {}

  /** @param psnr of the converted model's clip against the original's, in dB */
  record Compared(String prompt, double psnr) {}

  /** The clips in numbers. */
  record Summary(List<Compared> clips, double meanPsnr, double lowestPsnr, double highestPsnr, Map<String, Followed> followed) {}

  static SampledClips of(ModelSession original, ModelSession converted, Prompts prompts, CalibrationOptions options, int count, Runnable onClip) {
    FlowSampler a = new FlowSampler(original);
    FlowSampler b = new FlowSampler(converted);
    long[] shape = options.shape(a.latents());
    Random random = new Random(options.seed ^ SALT);
    List<Demo.Clip> clips = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Prompts.Prompt prompt = prompts.draw(random);
      Tensor empty = Tensor.zeros(ElementType.FLOAT32, prompt.embedding().shape());
      Tensor noise = FlowSampler.noise(random.nextLong(), shape);
      FlowSampler.Sample first = a.sample(noise, prompt.embedding(), empty, Demo.SETTINGS, () -> {});
      FlowSampler.Sample second = b.sample(noise, prompt.embedding(), empty, Demo.SETTINGS, () -> {});
      clips.add(new Demo.Clip(prompt.text(), first.video(), second.video(), first.seconds(), second.seconds()));
      onClip.run();
    }
    return new SampledClips(clips, ShapesClip.knows(prompts.group(SHAPE), prompts.group(COLOUR)) ? followed(clips) : null);
  }

  private static Map<String, Followed> followed(List<Demo.Clip> clips) {
    int[] shape = new int[2];
    int[] colour = new int[2];
    for (Demo.Clip clip : clips) {
      List<String> words = List.of(clip.prompt().split(" "));
      for (int side = 0; side < 2; side++) {
        Tensor video = side == 0 ? clip.original() : clip.converted();
        ShapesClip seen = ShapesClip.of(video.floats(), video.dim(-3), video.dim(-1));
        shape[side] += words.contains(seen.shape()) ? 1 : 0;
        colour[side] += words.contains(seen.colour()) ? 1 : 0;
      }
    }
    Map<String, Followed> followed = new LinkedHashMap<>();
    followed.put(SHAPE, new Followed(shape[0], shape[1]));
    followed.put(COLOUR, new Followed(colour[0], colour[1]));
    return followed;
  }

  Summary summary() {
    List<Compared> compared = clips.stream().map(c -> new Compared(c.prompt(), c.psnr())).toList();
    var psnr = compared.stream().mapToDouble(Compared::psnr).summaryStatistics();
    return new Summary(compared, psnr.getAverage(), psnr.getMin(), psnr.getMax(), followed);
  }
}
