package dev.hla.converter;

import dev.hla.converter.files.OutputFiles;
import dev.hla.converter.graph.TensorReader;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.SparseTensorProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The files that a model keeps weights in. Locations are relative to the model's folder and must stay in it: an absolute
 * path, a "..", or a symbolic link that leads out is refused, since a model from elsewhere could otherwise make its
 * reader open any file of the machine.
 */
public final class ExternalData {
  /** What becomes of external weight files when a model is written somewhere else. */
  public enum Mode {
    /** They stay where they are; the new file must lie beside them. */
    REFERENCE,
    /** They are copied beside the new file. */
    COPY,
    /** They are hard-linked beside the new file: no bytes move, and the folders must be on one file system. */
    LINK
  }

  private ExternalData() {}

  /**
   * The files by location, each once; none is opened.
   *
   * @throws HlaException naming the tensor, for a location that leaves the folder or a file that is not there
   */
  public static Map<String, Path> files(OnnxModel model) {
    Map<String, Path> files = new LinkedHashMap<>();
    eachTensor(model.proto(), t -> {
      if (TensorReader.isExternal(t)) {
        String location = location(t);
        if (!files.containsKey(location)) {
          files.put(location, resolve(model, t.getName(), location));
        }
      }
    });
    return files;
  }

  private static String location(TensorProto t) {
    for (StringStringEntryProto e : t.getExternalDataList()) {
      if (e.getKey().equals("location")) {
        return e.getValue();
      }
    }
    return "";
  }

  private static Path resolve(OnnxModel model, String tensor, String location) {
    String where = model.path() + ": tensor '" + tensor + "' keeps its data in '" + location + "'";
    Path folder = model.folder();
    Path file;
    try {
      Path relative = Path.of(location);
      if (location.isEmpty() || relative.isAbsolute() || location.startsWith("/") || location.startsWith("\\")) {
        throw new HlaException(where + "; expected a path relative to the model's folder");
      }
      file = folder.resolve(relative).normalize();
      if (!file.startsWith(folder.normalize())) {
        throw new HlaException(where + ", which leaves the model's folder; move the file into it");
      }
      if (!Files.isRegularFile(file)) {
        throw new HlaException(where + ", and there is no such file in " + folder);
      }
      if (!file.toRealPath().startsWith(folder.toRealPath())) {
        throw new HlaException(where + ", a link that leaves the model's folder; copy the file into it");
      }
    } catch (InvalidPathException e) {
      throw new HlaException(where + ", which is no path (" + e.getReason() + ")", e);
    } catch (IOException e) {
      throw new HlaException(where + ", which cannot be looked up (" + e.getMessage() + ")", e);
    }
    return file;
  }

  /**
   * The weight files that are to be where a model written as target looks for them, each with the file that it is now. None if
   * they are there already.
   *
   * @throws HlaException if they are not and {@code mode} leaves them where they are, or one's place is taken
   */
  public static Map<Path, Path> toBring(OnnxModel model, Path target, Mode mode, boolean force) {
    Map<String, Path> files = files(model);
    Path folder = target.toAbsolutePath().getParent();
    if (files.isEmpty() || sameFolder(model.folder(), folder)) {
      return Map.of();
    }
    if (mode == Mode.REFERENCE) {
      throw new HlaException(target + ": the weights of " + model.path() + " lie in " + files.size() + " file(s) beside it, and a model can only refer to"
          + " files in its own folder; write into " + model.folder() + ", or say --external-data copy or link");
    }
    Map<Path, Path> bring = new LinkedHashMap<>();
    files.forEach((location, file) -> {
      Path to = folder.resolve(location).normalize();
      OutputFiles.requireFree(to, force);
      bring.put(to, file);
    });
    return bring;
  }

  private static boolean sameFolder(Path a, Path b) {
    try {
      return Files.isSameFile(a, b);
    } catch (IOException e) {
      return a.normalize().equals(b.normalize());
    }
  }

  /** Every tensor of a model: in graphs, bodies, attributes and functions. */
  private static void eachTensor(ModelProto model, Consumer<TensorProto> to) {
    eachTensor(model.getGraph(), to);
    for (FunctionProto f : model.getFunctionsList()) {
      f.getNodeList().forEach(n -> eachTensor(n, to));
      f.getAttributeProtoList().forEach(a -> eachTensor(a, to));
    }
  }

  private static void eachTensor(GraphProto graph, Consumer<TensorProto> to) {
    graph.getInitializerList().forEach(to);
    for (SparseTensorProto s : graph.getSparseInitializerList()) {
      eachTensor(s, to);
    }
    graph.getNodeList().forEach(n -> eachTensor(n, to));
  }

  private static void eachTensor(NodeProto node, Consumer<TensorProto> to) {
    node.getAttributeList().forEach(a -> eachTensor(a, to));
  }

  private static void eachTensor(AttributeProto a, Consumer<TensorProto> to) {
    if (a.hasT()) {
      to.accept(a.getT());
    }
    a.getTensorsList().forEach(to);
    if (a.hasSparseTensor()) {
      eachTensor(a.getSparseTensor(), to);
    }
    a.getSparseTensorsList().forEach(s -> eachTensor(s, to));
    if (a.hasG()) {
      eachTensor(a.getG(), to);
    }
    a.getGraphsList().forEach(g -> eachTensor(g, to));
  }

  private static void eachTensor(SparseTensorProto s, Consumer<TensorProto> to) {
    to.accept(s.getValues());
    to.accept(s.getIndices());
  }
}
