package dev.hla.converter;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnsafeByteOperations;
import dev.hla.converter.files.OutputFiles;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.OperatorSetIdProto;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A model file: its structure in memory, its weights on disk. The file is mapped, so weights inside it are paged in only
 * if somebody reads them; weights in other files are neither opened nor copied. Fields that this version of the format
 * does not know survive loading and saving.
 *
 * @param path the file it came from, or the file it would be beside
 * @param proto the whole model
 */
public record OnnxModel(Path path, ModelProto proto) {
  /** Nested messages; a graph in a graph takes three. */
  private static final int DEEPEST = 300;

  /** @throws HlaException if there is no such file, or it is no complete ONNX model */
  public static OnnxModel load(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new HlaException(file + ": " + (Files.exists(file) ? "is not a file" : "no such file") + "; give the path of an .onnx model");
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size > Integer.MAX_VALUE) {
        throw new HlaException(file + ": " + size + " bytes in one protobuf file, the format ends at 2 GiB;"
            + " save the model with its weights in external data");
      }
      MappedByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, size);
      CodedInputStream in = UnsafeByteOperations.unsafeWrap(bytes).newCodedInput();
      in.enableAliasing(true);
      in.setSizeLimit(Integer.MAX_VALUE);
      in.setRecursionLimit(DEEPEST);
      ModelProto proto = ModelProto.parseFrom(in);
      if (!proto.hasGraph() || !proto.hasIrVersion() || proto.getOpsetImportCount() == 0) {
        throw new HlaException(file + ": not an ONNX model (it has no "
            + (!proto.hasIrVersion() ? "ir_version" : !proto.hasGraph() ? "graph" : "opset_import") + ")");
      }
      FunctionExpansion.check(file.toString(), proto);
      return new OnnxModel(file, proto);
    } catch (InvalidProtocolBufferException e) {
      throw new HlaException(file + ": not an ONNX model, or a damaged or truncated one (" + firstLine(e) + ")", e);
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be read (" + firstLine(e) + ")", e);
    }
  }

  private static String firstLine(IOException e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("").strip();
  }

  /** Writes the model whole or not at all: to another name in the same folder, then renamed over the target. */
  public void save(Path file) {
    Path folder = file.toAbsolutePath().getParent();
    if (!Files.isDirectory(folder)) {
      throw new HlaException(file + ": the folder " + folder + " does not exist; make it first");
    }
    try (OutputFiles files = new OutputFiles()) {
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(files.begin(file)), 1 << 20)) {
        proto.writeTo(out);
      }
      files.moveIntoPlace();
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be written (" + firstLine(e) + ")", e);
    }
  }

  /** The version of a domain ("" is ai.onnx) that the model imports, or 0. */
  public long opset(String domain) {
    for (OperatorSetIdProto id : proto.getOpsetImportList()) {
      String d = id.getDomain().equals("ai.onnx") ? "" : id.getDomain();
      if (d.equals(domain)) {
        return id.getVersion();
      }
    }
    return 0;
  }

  /** The folder that locations of external data are relative to. */
  public Path folder() {
    return path.toAbsolutePath().getParent();
  }
}
