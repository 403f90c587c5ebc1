package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import dev.hla.onnx.ModelProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class OnnxModelTest {
  @TempDir Path folder;

  @Test
  void fieldsOfANewerFormatSurvive() throws IOException {
    UnknownFieldSet future = UnknownFieldSet.newBuilder().addField(900,
        UnknownFieldSet.Field.newBuilder().addLengthDelimited(ByteString.copyFromUtf8("from the future")).build()).build();
    ModelProto proto = TinyModel.attention().proto().toBuilder().setUnknownFields(future).build();
    Path file = Files.write(folder.resolve("m.onnx"), proto.toByteArray());
    Path copy = folder.resolve("copy.onnx");
    OnnxModel.load(file).save(copy);
    assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(copy));
  }

  @Test
  void savingOverTheFileItWasReadFromKeepsItWhole() throws IOException {
    Path file = TinyModel.attention().save(folder.resolve("m.onnx"));
    byte[] before = Files.readAllBytes(file);
    OnnxModel.load(file).save(file);
    assertArrayEquals(before, Files.readAllBytes(file));
  }

  @Test
  void nothingTakesThePlaceOfAPipe() throws Exception {
    OnnxModel m = OnnxModel.load(TinyModel.attention().save(folder.resolve("m.onnx")));
    Path pipe = folder.resolve("pipe");
    assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor());
    for (Executable write : List.<Executable>of(() -> m.save(pipe), () -> SafeTensors.write(pipe, Map.of(), List.of()))) {
      HlaException e = assertThrows(HlaException.class, write);
      assertTrue(e.getMessage().contains("pipe: is a device, a pipe or a socket"), e.getMessage());
    }
    assertEquals(Set.of("m.onnx", "pipe"), Set.of(folder.toFile().list()));
  }

  @Test
  void aMissingFolderIsNamedAndNothingIsWritten() throws IOException {
    OnnxModel m = OnnxModel.load(TinyModel.attention().save(folder.resolve("m.onnx")));
    HlaException e = assertThrows(HlaException.class, () -> m.save(folder.resolve("no").resolve("m.onnx")));
    assertTrue(e.getMessage().contains("does not exist"), e.getMessage());
  }

  @Test
  void whatIsNoModelSaysWhy() throws IOException {
    assertMessage(folder.resolve("none.onnx"), "no such file");
    assertMessage(folder, "is not a file");
    assertMessage(Files.write(folder.resolve("empty.onnx"), new byte[0]), "not an ONNX model (it has no ir_version)");
    assertMessage(Files.writeString(folder.resolve("text.onnx"), "hello, world, this is no model"), "not an ONNX model");
  }

  private static void assertMessage(Path file, String expected) {
    HlaException e = assertThrows(HlaException.class, () -> OnnxModel.load(file));
    assertTrue(e.getMessage().contains(expected), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }
}
