package dev.hla.converter.rewrite;

import dev.hla.converter.ExternalData;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.files.OutputFiles;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

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
    OutputFiles.requireFree(target, force);
    OnnxModel model = rewritten.model();
    if (ExternalData.files(model).isEmpty() || rewritten.tensors().isEmpty()) {
      ExternalData.bring(model, target, mode, force);
      model.save(target);
      return;
    }
    Path sidecar = target.resolveSibling(target.getFileName() + ".hla.data");
    OutputFiles.requireFree(sidecar, force);
    try {
      Path partial = OutputFiles.partial(sidecar);
      try {
        OnnxModel outside;
        try (OutputStream out = Files.newOutputStream(partial)) {
          outside = moveOut(rewritten, sidecar.getFileName().toString(), out);
        }
        ExternalData.bring(model, target, mode, force);
        OutputFiles.moveInto(partial, sidecar);
        outside.save(target);
      } finally {
        Files.deleteIfExists(partial);
      }
    } catch (IOException e) {
      throw new HlaException(sidecar + ": cannot be written (" + e.getMessage() + ")", e);
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
