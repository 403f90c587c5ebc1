package dev.hla.cli;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Animation;
import dev.hla.runtime.Picture;
import dev.hla.runtime.Verification;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Shows the whole path on a real model. */
@Command(name = "demo", description = {
    "Inspects, converts, verifies and samples a small trained video model, and shows it all on one page.",
    "The same prompts are sampled with the original and the converted model, and both are timed. The page needs nothing beside it."})
final class DemoCommand extends Verb {
  private static final String DEFAULT_FOLDER = "out/demo";
  private static final int SHEET_SCALE = 6;
  private static final int ANIMATION_SCALE = 10;
  static final int FRAME_MILLIS = 160;

  @Option(names = {"-o", "--output"}, paramLabel = "FOLDER",
      description = "where to write; it must be empty or new (default: " + DEFAULT_FOLDER + ", or the next free number after it)")
  Path folder;

  @Option(names = "--longest", paramLabel = "TOKENS", defaultValue = "8192", converter = OptionValues.DemoTokens.class,
      description = "time runs of the model with 512 tokens, twice as many, and so on up to this many (512 to 8192; default: 8192, which takes about 4 GB)")
  int longest;

  /** What --json prints. */
  record Result(
      String page, String model, List<VerifyCommand.Site> sites, double relativeError, double pathsDiffer, List<Clip> clips,
      List<Demo.Timing> milliseconds, LibraryReport library, double seconds) {}

  /** @param psnr of the converted model's clip against the original's, in dB */
  record Clip(String prompt, double psnr, double originalSeconds, double convertedSeconds) {}

  @Override
  int execute() throws IOException {
    long start = System.nanoTime();
    Path target = folder();
    Demo demo = Demo.run(target.resolve("shapes_wan_hla.onnx"), longest, step -> say("  " + step));
    double seconds = (System.nanoTime() - start) / 1e9;

    Path page = target.resolve("index.html");
    String html = DemoPage.of(demo, seconds);
    OutputFile.at(page, false).write(out -> out.write(html.getBytes(StandardCharsets.UTF_8)));
    Demo.Clip first = demo.clips().get(0);
    List<List<Picture>> clips = List.of(Picture.frames(first.original(), SHEET_SCALE), Picture.frames(first.converted(), SHEET_SCALE));
    OutputFile.at(target.resolve("videos.png"), false).write(out -> Animation.png(
        List.of(Picture.column(clips.stream().map(clip -> Picture.row(clip, GenerateCommand.GAP)).toList(), GenerateCommand.GAP)),
        FRAME_MILLIS, out));
    List<List<Picture>> large =
        List.of(Picture.frames(first.original(), ANIMATION_SCALE), Picture.frames(first.converted(), ANIMATION_SCALE));
    OutputFile.at(target.resolve("videos.gif"), false).write(out ->
        Animation.gif(Picture.sideBySide(large, 2 * GenerateCommand.GAP), FRAME_MILLIS, out));

    report(demo, page, seconds);
    return demo.sites().stream().allMatch(VerifyCommand.Site::holds) ? Exit.DONE : Exit.CHECK_FAILED;
  }

  /** An explicit folder must be free; without one, the first free one of out/demo, out/demo-2, ... is taken. */
  private Path folder() throws IOException {
    if (folder != null) {
      if (Files.isDirectory(folder)) {
        try (var entries = Files.list(folder)) {
          if (entries.findAny().isPresent()) {
            throw new HlaException(folder + ": is not empty; name a new folder");
          }
        }
      }
      return OutputFolder.at(folder);
    }
    Path free = Path.of(DEFAULT_FOLDER);
    for (int i = 2; Files.exists(free); i++) {
      free = Path.of(DEFAULT_FOLDER + "-" + i);
    }
    return OutputFolder.at(free);
  }

  private void report(Demo demo, Path page, double seconds) {
    Demo.Timing last = demo.timings().get(demo.timings().size() - 1);
    Result result = new Result(page.toString(), demo.converted().toString(), demo.sites(), error(demo.comparison()), error(demo.agreement()),
        demo.clips().stream().map(c -> new Clip(c.prompt(), c.psnr(), c.originalSeconds(), c.convertedSeconds())).toList(),
        demo.timings(), LibraryReport.of(demo.comparison().library()), seconds);
    json(result);
    say(VerifyCommand.siteTable(result.sites()).toString());
    say("the converted model's output differs by %s from the original's; as plain ONNX it gives the same within %s",
        Table.number(result.relativeError()), Table.number(result.pathsDiffer()));
    say("one run with %d tokens: %.0f ms with softmax, %.0f ms converted (%.1f times faster), %.0f ms converted as plain ONNX",
        last.tokens(), last.original(), last.library(), last.original() / last.library(), last.plain());
    say("the page, made in %.0f s: %s", seconds, page);
  }

  static double error(Verification verification) {
    return verification.outputs().get(0).difference().relative();
  }
}
