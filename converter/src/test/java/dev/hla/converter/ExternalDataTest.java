package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.TensorProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExternalDataTest {
  @TempDir Path folder;

  private Path model(String location) throws IOException {
    Path file = folder.resolve("models").resolve("m.onnx");
    Files.createDirectories(file.getParent());
    return TinyModel.attention().externalWeight("big", 1, location, 0, 16, 4).save(file);
  }

  @Test
  void locationsThatLeaveTheFolderAreRefused() throws IOException {
    Files.writeString(folder.resolve("secret"), "0123456789abcdef");
    Path inside = folder.resolve("models");
    Files.createDirectories(inside);
    Files.createSymbolicLink(inside.resolve("link.data"), folder.resolve("secret"));
    assertRefused(folder.resolve("secret").toString(), "relative to the model's folder");
    assertRefused("../secret", "leaves the model's folder");
    assertRefused("sub/../../secret", "leaves the model's folder");
    assertRefused("link.data", "a link that leaves");
    assertRefused("", "relative to the model's folder");
    assertRefused("missing.data", "no such file");
  }

  private void assertRefused(String location, String expected) throws IOException {
    OnnxModel m = OnnxModel.load(model(location));
    HlaException e = assertThrows(HlaException.class, () -> ExternalData.files(m));
    assertTrue(e.getMessage().contains(expected) && e.getMessage().contains("'big'"), e.getMessage());
  }

  @Test
  void tensorsInAttributesAndFunctionsCount() throws IOException {
    TensorProto outside = TensorProto.newBuilder().setName("hidden").setDataType(1).addDims(4).setDataLocation(TensorProto.DataLocation.EXTERNAL)
        .addExternalData(dev.hla.onnx.StringStringEntryProto.newBuilder().setKey("location").setValue("../secret")).build();
    var constant = TinyModel.protoNode("Constant", List.of(), List.of("y"),
        dev.hla.onnx.AttributeProto.newBuilder().setName("value").setType(dev.hla.onnx.AttributeProto.AttributeType.TENSOR).setT(outside).build());
    OnnxModel inFunction = OnnxModel.load(TinyModel.attention().function("f", constant).save(folder.resolve("f.onnx")));
    assertThrows(HlaException.class, () -> ExternalData.files(inFunction));
    OnnxModel inAttribute = new OnnxModel(folder.resolve("a.onnx"),
        TinyModel.attention().proto().toBuilder().setGraph(TinyModel.attention().proto().getGraph().toBuilder().addNode(
            constant.toBuilder().setOutput(0, "extra"))).build());
    assertThrows(HlaException.class, () -> ExternalData.files(inAttribute));
  }

  private Rewriter.Rewritten converted(Path file) {
    OnnxModel m = OnnxModel.load(file);
    Plan plan = Plan.unfitted(AttentionFinder.find(m), RankSpec.parse("4,4"));
    return Rewriter.rewrite(m, plan);
  }

  @Test
  void aConvertedModelRefersToTheOldWeightsAndKeepsTheNewOnesAlignedInASidecar() throws IOException {
    Path source = model("w.data");
    byte[] weights = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    Files.write(source.resolveSibling("w.data"), weights);
    Path target = source.resolveSibling("out.onnx");
    converted(source).write(target);
    OnnxModel out = OnnxModel.load(target);
    assertEquals(Set.of("w.data", "out.onnx.hla.data"), ExternalData.files(out).keySet());
    int outside = 0;
    for (TensorProto t : out.proto().getGraph().getInitializerList()) {
      for (var e : t.getExternalDataList()) {
        if (e.getKey().equals("offset") && !t.getName().equals("big")) {
          outside++;
          assertEquals(0, Long.parseLong(e.getValue()) % 4096, t.getName());
        }
      }
    }
    assertEquals(4, outside, "two weights and two biases");
    assertArrayEquals(weights, Files.readAllBytes(source.resolveSibling("w.data")));
  }

  @Test
  void anotherFolderNeedsCopyOrLink() throws IOException {
    Path source = model("sub/w.data");
    Files.createDirectories(source.resolveSibling("sub"));
    Files.write(source.resolveSibling("sub").resolve("w.data"), new byte[16]);
    Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
    Path target = elsewhere.resolve("out.onnx");
    HlaException e = assertThrows(HlaException.class, () -> converted(source).write(target));
    assertTrue(e.getMessage().contains("--external-data copy or link"), e.getMessage());
    assertFalse(Files.exists(target));
    try (var left = Files.list(elsewhere)) {
      assertEquals(0, left.count(), "nothing is left behind");
    }
    for (ExternalData.Mode mode : List.of(ExternalData.Mode.COPY, ExternalData.Mode.LINK)) {
      Path to = Files.createDirectories(folder.resolve(mode.name())).resolve("out.onnx");
      converted(source).write(to, mode, false);
      assertEquals(2, ExternalData.files(OnnxModel.load(to)).size());
      assertEquals(mode == ExternalData.Mode.LINK, Files.isSameFile(source.resolveSibling("sub").resolve("w.data"), to.resolveSibling("sub").resolve("w.data")));
    }
  }

  @Test
  void noWeightsReplaceAPipe() throws Exception {
    Path source = model("w.data");
    Files.write(source.resolveSibling("w.data"), new byte[16]);
    Path target = Files.createDirectories(folder.resolve("elsewhere")).resolve("out.onnx");
    for (String name : List.of("w.data", "out.onnx.hla.data")) {
      Path pipe = target.resolveSibling(name);
      assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
      for (ExternalData.Mode mode : List.of(ExternalData.Mode.COPY, ExternalData.Mode.LINK)) {
        HlaException e = assertThrows(HlaException.class, () -> converted(source).write(target, mode, true));
        assertTrue(e.getMessage().contains(name + ": is a device, a pipe or a socket"), e.getMessage());
      }
      Files.delete(pipe);
    }
  }

  @Test
  void noFileTakesThePlaceOfWeightsThatTheModelRefersTo() throws IOException {
    for (String weights : List.of("out.onnx", "out.onnx.hla.data")) {
      Path source = model("./" + weights);
      byte[] numbers = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
      Path data = Files.write(source.resolveSibling(weights), numbers);
      Path elsewhere = Files.createDirectories(folder.resolve("elsewhere"));
      for (Path into : List.of(source.getParent(), elsewhere)) {
        HlaException e = assertThrows(HlaException.class, () -> converted(source).write(into.resolve("out.onnx"), ExternalData.Mode.COPY, true));
        assertTrue(e.getMessage().contains(weights + ": the model keeps weights in a file of that name"), e.getMessage());
      }
      assertArrayEquals(numbers, Files.readAllBytes(data));
      assertEquals(0, elsewhere.toFile().list().length);
      Files.delete(data);
    }
  }

  @Test
  void whereTheLastFileCannotBeWrittenTheWeightsAreNotLeft() throws IOException {
    Path source = model("w.data");
    Files.write(source.resolveSibling("w.data"), new byte[16]);
    Path target = Files.createDirectories(folder.resolve("elsewhere")).resolve("o".repeat(240) + ".onnx");
    // The name that a file has until it is done is longer than a file system allows.
    HlaException e = assertThrows(HlaException.class, () -> converted(source).write(target, ExternalData.Mode.COPY, false));
    assertTrue(e.getMessage().contains("cannot be written"), e.getMessage());
    assertEquals(0, target.getParent().toFile().list().length);
  }

  @Test
  void aLinkThatIsThereAlreadyIsKeptAndTheSourceKeepsItsPermissions() throws IOException {
    Path source = model("w.data");
    Path data = Files.write(source.resolveSibling("w.data"), new byte[16]);
    Path target = Files.createDirectories(folder.resolve("elsewhere")).resolve("out.onnx");
    for (int round = 0; round < 2; round++) {
      converted(source).write(target, ExternalData.Mode.LINK, true);
      assertTrue(Files.isSameFile(data, target.resolveSibling("w.data")));
      assertEquals(3, target.getParent().toFile().list().length, "model, its new tensors, weights");
    }
    Files.delete(target.resolveSibling("w.data"));
    Path other = Files.write(target.resolveSibling("w.data"), new byte[1]);
    Files.setPosixFilePermissions(other, PosixFilePermissions.fromString("rw-------"));
    var before = Files.getPosixFilePermissions(data);
    converted(source).write(target, ExternalData.Mode.LINK, true);
    assertEquals(before, Files.getPosixFilePermissions(data));
  }
}
