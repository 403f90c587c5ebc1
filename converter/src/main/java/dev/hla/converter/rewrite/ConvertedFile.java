package dev.hla.converter.rewrite;

import dev.hla.converter.ExternalData;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.files.OutputFiles;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/**
 * Writes a rewritten model. Weights in external files are never read: the new file refers to them, or they are copied or
 * linked beside it. New tensors stay in the model file, unless the model keeps its weights outside: then they go to a
 * file of their own beside it, NAME.hla.data, each at a multiple of 4096 bytes so that it can be mapped.
 */
final class ConvertedFile {
  private static final int ALIGNMENT = 4096;

  private ConvertedFile() {}

  /**
   * @param force replace existing files
   * @throws HlaException if a file exists already, or cannot be written; then nothing is left behind
   */
  static void write(Rewriter.Rewritten rewritten, Path target, ExternalData.Mode mode, boolean force) {
    Set<String> locations = ExternalData.files(rewritten.model()).keySet();
    Map<Path, Path> weights = ExternalData.toBring(rewritten.model(), target, mode, force);
    requirePlace(target, locations, force);
    Path sidecar = target.resolveSibling(target.getFileName() + ".hla.data");
    boolean outside = !locations.isEmpty() && !rewritten.tensors().isEmpty();
    if (outside) {
      requirePlace(sidecar, locations, force);
    }
    Path writing = target;
    try (OutputFiles files = new OutputFiles()) {
      for (Map.Entry<Path, Path> each : weights.entrySet()) {
        bring(each.getValue(), each.getKey(), mode, files);
      }
      OnnxModel model = rewritten.model();
      if (outside) {
        writing = sidecar;
        try (OutputStream out = Files.newOutputStream(files.begin(sidecar))) {
          model = moveOut(rewritten, sidecar.getFileName().toString(), out);
        }
        writing = target;
      }
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(files.begin(target)), 1 << 20)) {
        model.proto().writeTo(out);
      }
      files.moveIntoPlace();
    } catch (IOException e) {
      throw new HlaException(writing + ": cannot be written (" + e.getMessage() + ")", e);
    }
  }

  /** A file that this model needs to be free, and not to hold weights that it refers to. */
  private static void requirePlace(Path file, Set<String> locations, boolean force) {
    OutputFiles.requireFree(file, force);
    Path place = file.toAbsolutePath().normalize();
    if (locations.stream().anyMatch(location -> place.resolveSibling(location).normalize().equals(place))) {
      throw new HlaException(file + ": the model keeps weights in a file of that name, which would be lost; give the converted model another name");
    }
  }

  private static void bring(Path file, Path to, ExternalData.Mode mode, OutputFiles files) {
    try {
      Files.createDirectories(to.getParent());
      if (mode == ExternalData.Mode.LINK) {
        files.link(file, to);
      } else {
        files.copy(file, to);
      }
    } catch (IOException | UnsupportedOperationException e) {
      throw new HlaException(to + ": the weights cannot be " + (mode == ExternalData.Mode.LINK ? "linked" : "copied") + " there (" + e.getMessage() + ")"
          + (mode == ExternalData.Mode.LINK ? "; say --external-data copy" : ""), e);
    }
  }

  private static OnnxModel moveOut(Rewriter.Rewritten rewritten, String location, OutputStream out) throws IOException {
    GraphProto.Builder graph = rewritten.model().proto().getGraph().toBuilder();
    long offset = 0;
    for (int i = 0; i < graph.getInitializerCount(); i++) {
      TensorProto t = graph.getInitializer(i);
      // Shapes and axes must stay where shape inference sees them; a single number is not worth a page.
      if (!rewritten.tensors().contains(t.getName()) || t.getDataType() == TensorProto.DataType.INT64_VALUE || t.getDimsCount() == 0) {
        continue;
      }
      out.write(new byte[(int) (-offset & (ALIGNMENT - 1))]);
      offset += -offset & (ALIGNMENT - 1);
      t.getRawData().writeTo(out);
      graph.setInitializer(i, t.toBuilder().clearRawData().setDataLocation(TensorProto.DataLocation.EXTERNAL)
          .addExternalData(entry("location", location)).addExternalData(entry("offset", Long.toString(offset)))
          .addExternalData(entry("length", Integer.toString(t.getRawData().size()))).build());
      offset += t.getRawData().size();
    }
    return new OnnxModel(rewritten.model().path(), rewritten.model().proto().toBuilder().setGraph(graph).build());
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }
}
