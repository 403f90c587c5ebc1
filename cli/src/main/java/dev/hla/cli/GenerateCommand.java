package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Animation;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.FlowSampler;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Picture;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Samples a clip, from one model or from two side by side. */
@Command(name = "generate", description = {
    "Samples a clip from a flow-matching video model (Euler steps, classifier-free guidance).",
    "Two models start from the same noise and are shown side by side."})
final class GenerateCommand extends Verb {
  /** Between frames in a sheet, and between clips in an animation. */
  static final int GAP = 4;

  private static final int FREE_FRAMES = 8;
  private static final int FREE_SIZE = 24;

  @Parameters(index = "0", paramLabel = "MODEL", description = "an ONNX file")
  Path model;

  @Parameters(index = "1", arity = "0..1", paramLabel = "MODEL_B", description = "another, for comparison")
  Path second;

  @ArgGroup(multiplicity = "1")
  Text text;

  static final class Text {
    @Option(names = "--prompt", paramLabel = "WORDS", description = "the prompt, in words of the vocabulary")
    String prompt;

    @Option(names = "--embeddings", paramLabel = "FILE.npz:NAME", description = "the prompt's embedding, [tokens, width]")
    String embeddings;
  }

  @Option(names = "--empty", paramLabel = "FILE.npz:NAME", description = "the embedding of no prompt (default: zeros)")
  String empty;

  @Option(names = "--vocabulary", paramLabel = "FILE.json", description = "words and their embeddings (default: vocabulary.json beside MODEL)")
  Path vocabulary;

  @Option(names = "--noise", paramLabel = "FILE.npz:NAME", description = "the noise to start from (default: random)")
  String noise;

  @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "seed of random noise (default: 0)")
  long seed;

  @Option(names = "--dim", paramLabel = "NAME=N", converter = {OptionValues.AxisName.class, OptionValues.OneOrMore.class},
      description = "size of an axis that the model leaves open, for random noise")
  Map<String, Integer> dimensions = Map.of();

  @Option(names = "--steps", paramLabel = "N", defaultValue = "25", converter = OptionValues.OneOrMore.class, description = "Euler steps (default: 25)")
  int steps;

  @Option(names = "--guidance", paramLabel = "G", defaultValue = "3", converter = OptionValues.Finite.class, description = "1 for none (default: 3)")
  float guidance;

  @Option(names = {"-o", "--output"}, paramLabel = "OUT", description = "where to write the clip: a .npy, or a .npz with video, noise"
      + " and, for two models, video_b")
  Path output;

  @Option(names = "--picture", paramLabel = "FILE", description = "a .gif or .apng: animated; a .png: the frames in a row")
  Path picture;

  @Option(names = "--scale", paramLabel = "N", defaultValue = "6", description = "picture pixels per pixel of the clip (default: 6)")
  int scale;

  @Option(names = "--frame-millis", paramLabel = "N", defaultValue = "150", converter = OptionValues.Millis.class,
      description = "how long a frame shows (default: 150)")
  int frameMillis;

  @Option(names = "--force", description = "replace files that exist")
  boolean force;

  @Mixin RunOptions options;

  /** What --json prints; what compares two models is null for one. */
  record Result(List<Sampled> models, int steps, float guidance, long[] shape, Double relativeError, Double psnr,
      Double largestDifference, String output, String picture) {}

  /** @param seconds spent sampling */
  record Sampled(String model, LibraryReport library, double seconds) {}

  @Override
  int execute() throws Exception {
    existing(model);
    if (second != null) {
      existing(second);
    }
    requireSense();
    OutputFile outputFile = output == null ? null : OutputFile.at(output, force);
    OutputFile pictureFile = picture == null ? null : OutputFile.at(picture, force);
    Tensor prompt = prompt();
    Tensor without = empty == null ? Tensor.zeros(ElementType.FLOAT32, prompt.shape()) : Npz.readReference(empty);

    List<Sampled> models = new ArrayList<>();
    List<Tensor> videos = new ArrayList<>();
    Tensor start = noise == null ? null : Npz.readReference(noise);
    for (Path file : second == null ? List.of(model) : List.of(model, second)) {
      try (ModelSession session = ModelSession.open(file, options.settings()); Progress progress = progress("step", steps)) {
        FlowSampler sampler = new FlowSampler(session);
        if (start == null) {
          start = FlowSampler.noise(seed, shape(sampler.latents()));
        }
        FlowSampler.Sample sample = sampler.sample(start, prompt, without, new FlowSampler.Settings(steps, guidance), progress::step);
        models.add(new Sampled(file.toString(), LibraryReport.of(session.library()), sample.seconds()));
        videos.add(sample.video());
      }
    }
    write(outputFile, pictureFile, start, videos);
    Difference difference = second == null ? null : Difference.between(videos.get(0), videos.get(1), "the clips");
    Result result = new Result(models, steps, guidance, start.shape(), difference == null ? null : difference.relative(),
        difference == null ? null : psnr(videos.get(0), videos.get(1)), difference == null ? null : difference.largest(),
        output == null ? null : output.toString(), picture == null ? null : picture.toString());
    json(result);
    print(result);
    return Exit.DONE;
  }

  private void requireSense() {
    if (scale < 1 || scale > 64) {
      throw wrongUsage("--scale " + scale + ": 1 to 64 is wanted");
    }
    if (output != null && !output.toString().matches(".*\\.np[yz]")) {
      throw wrongUsage("-o " + output + ": a name that ends in .npy or .npz is wanted");
    }
    if (output != null && second != null && !output.toString().endsWith(".npz")) {
      throw wrongUsage("-o " + output + ": the clips of two models need a name that ends in .npz");
    }
    if (picture != null && !picture.toString().matches(".*\\.(gif|png|apng)")) {
      throw wrongUsage("--picture " + picture + ": a name that ends in .gif, .apng or .png is wanted");
    }
  }

  private Tensor prompt() throws Exception {
    if (text.embeddings != null) {
      return Npz.readReference(text.embeddings);
    }
    Path file = vocabulary != null ? vocabulary : model.resolveSibling("vocabulary.json");
    if (vocabulary == null && !Files.exists(file)) {
      throw new HlaException("there is no vocabulary.json beside " + model + "; name one with --vocabulary, or give --embeddings");
    }
    return Vocabulary.read(existing(file)).embed(text.prompt);
  }

  private long[] shape(Slot latents) {
    dimensions.keySet().stream().filter(name -> !latents.dimensions().contains(name)).findFirst().ifPresent(name -> {
      throw wrongUsage("--dim " + name + ": the noise is " + latents.shapeText());
    });
    long[] shape = new long[latents.shape().size()];
    for (int axis = 0; axis < shape.length; axis++) {
      String name = latents.dimensions().get(axis);
      int free = axis == 0 ? 1 : axis == shape.length - 3 ? FREE_FRAMES : FREE_SIZE;
      shape[axis] = latents.shape().get(axis) >= 0 ? latents.shape().get(axis) : dimensions.getOrDefault(name, free);
    }
    return shape;
  }

  private void write(OutputFile outputFile, OutputFile pictureFile, Tensor start, List<Tensor> videos) throws Exception {
    // The picture first: a clip that has none fails before anything is written.
    List<List<Picture>> clips = new ArrayList<>();
    for (Tensor video : pictureFile == null ? List.<Tensor>of() : videos) {
      clips.add(Picture.frames(video, scale));
    }
    Map<OutputFile, OutputFile.Content> contents = new LinkedHashMap<>();
    if (outputFile != null) {
      Map<String, Tensor> arrays = new LinkedHashMap<>();
      arrays.put("video", videos.get(0));
      if (videos.size() > 1) {
        arrays.put("video_b", videos.get(1));
      }
      arrays.put("noise", start);
      boolean archive = output.toString().endsWith(".npz");
      contents.put(outputFile, out -> {
        if (archive) {
          Npz.write(arrays, out);
        } else {
          Npy.write(videos.get(0), out);
        }
      });
    }
    if (pictureFile != null) {
      contents.put(pictureFile, out -> draw(clips, out));
    }
    OutputFile.writeAll(contents);
  }

  private void draw(List<List<Picture>> clips, OutputStream out) throws java.io.IOException {
    if (picture.toString().endsWith(".gif")) {
      Animation.gif(Picture.sideBySide(clips, GAP), frameMillis, out);
    } else if (picture.toString().endsWith(".apng")) {
      Animation.png(Picture.sideBySide(clips, GAP), frameMillis, out);
    } else {
      Animation.png(List.of(Picture.column(clips.stream().map(clip -> Picture.row(clip, GAP)).toList(), GAP)), frameMillis, out);
    }
  }

  /** Peak signal-to-noise ratio in dB of the pictures, so of pixels clipped to -1..1. */
  static double psnr(Tensor a, Tensor b) {
    double error = 0;
    for (int i = 0; i < a.size(); i++) {
      double difference = Math.max(-1, Math.min(1, a.get(i))) - Math.max(-1, Math.min(1, b.get(i)));
      error += difference * difference;
    }
    return 10 * Math.log10(4 * a.size() / error);
  }

  private void print(Result result) {
    for (Sampled sampled : result.models()) {
      say("%s: %d steps in %.2f s, %s", sampled.model(), result.steps(), sampled.seconds(), LibraryReport.text(sampled.library()));
    }
    if (result.psnr() != null) {
      say("the clips differ by %.1f dB (relative error %s)", result.psnr(), Table.number(result.relativeError()));
    }
    for (String file : new String[] {result.output(), result.picture()}) {
      if (file != null) {
        say("wrote %s", file);
      }
    }
  }
}
