package dev.hla.cli;

import dev.hla.distill.Prompts;
import dev.hla.distill.SamplerCalibration;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Vocabulary;
import dev.hla.testdata.ShapesWan;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Inputs of the sample model in a folder, for --inputs: small, and sampled once for several runs. */
final class SmallClips {
  private static final long[] SHAPE = {1, 3, 2, 12, 12};

  private SmallClips() {}

  /**
   * Writes files.
   *
   * @param different how many differ; the files after them are copies of them
   */
  static void write(Path folder, int files, int different) throws IOException {
    Files.createDirectories(folder);
    ModelSession session = ModelSession.open(ShapesWan.model(), new ModelSession.Settings(false, 1));
    Prompts prompts = Prompts.of(Vocabulary.read(ShapesWan.vocabulary()), ShapesWan.vocabulary());
    try (SamplerCalibration clips = new SamplerCalibration(session, prompts, SHAPE, 1)) {
      for (int i = 0; i < files; i++) {
        try (OutputStream out = Files.newOutputStream(folder.resolve("clip-" + i + ".npz"))) {
          Npz.write(clips.inputs(i % different), out);
        }
      }
    }
  }
}
