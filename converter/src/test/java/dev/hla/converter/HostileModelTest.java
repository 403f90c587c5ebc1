package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.attention.AttentionFinder;
import dev.hla.onnx.NodeProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files that nobody should open: each is one line of error, or is looked at in bounded time. */
class HostileModelTest {
  @TempDir Path folder;

  @Test
  void aCycleIsNamed() {
    TinyModel m = new TinyModel().input("x", 1).node("Add", List.of("x", "b"), List.of("a")).node("Relu", List.of("a"), List.of("b")).output("b", 1);
    assertError(m, "cycle through /a/Add");
  }

  @Test
  void aMissingProducerIsNamed() {
    assertError(new TinyModel().input("x", 1).node("Add", List.of("x", "ghost"), List.of("y")).output("y", 1), "reads 'ghost', which no node");
  }

  @Test
  void twoProducersAreNamed() {
    TinyModel m = new TinyModel().input("x", 1).node("Relu", List.of("x"), List.of("y")).node("Neg", List.of("x"), List.of("y")).output("y", 1);
    assertError(m, "two producers of the value 'y'");
  }

  @Test
  void functionsThatDoubleAtEachLevelAreRefused() throws IOException {
    TinyModel m = new TinyModel().input("x", 1).node("Relu", List.of("x"), List.of("y")).output("y", 1);
    m.function("f0", TinyModel.protoNode("Relu", List.of("x"), List.of("y")));
    for (int i = 1; i < 60; i++) {
      m.function("f" + i, call("f" + (i - 1), "x", "h"), call("f" + (i - 1), "h", "y"));
    }
    m.node("Neg", List.of("x"), List.of("z"));
    Path file = save(m.proto().toBuilder().setGraph(m.proto().getGraph().toBuilder().addNode(call("f59", "y", "w"))).build().toByteArray());
    HlaException e = assertTimeoutPreemptively(Duration.ofSeconds(20), () -> assertThrows(HlaException.class, () -> OnnxModel.load(file)));
    assertTrue(e.getMessage().contains("expand to more than"), e.getMessage());
  }

  @Test
  void aFunctionThatCallsItselfIsRefused() throws IOException {
    TinyModel m = new TinyModel().input("x", 1).node("Relu", List.of("x"), List.of("y")).output("y", 1).function("f", call("f", "x", "y"));
    Path file = save(m.proto().toBuilder().setGraph(m.proto().getGraph().toBuilder().addNode(call("f", "y", "w"))).build().toByteArray());
    assertTrue(assertThrows(HlaException.class, () -> OnnxModel.load(file)).getMessage().contains("calls itself"));
  }

  private static NodeProto call(String function, String in, String out) {
    return NodeProto.newBuilder().setDomain("local").setOpType(function).setName(out + "_" + function).addInput(in).addOutput(out).build();
  }

  @Test
  void kernelsOfOtherAxesAreNoKernels() {
    for (String attribute : new String[] {"strides", "pads", "dilations"}) {
      TinyModel m = new TinyModel().input("x", 1, 4, 6, 8).node("MaxPool", List.of("x"), List.of("y"), TinyModel.ints("kernel_shape", 1, 1), TinyModel.ints(attribute, 1))
          .node("Softmax", List.of("y"), List.of("p"), TinyModel.integer("axis", -1)).output("p", 1);
      assertEquals(1, AttentionFinder.find(m.model()).notAttention().size());
    }
  }

  @Test
  void absurdSizesAreNoSizes() {
    TinyModel m = new TinyModel().input("x", Long.MAX_VALUE, Long.MAX_VALUE, 4, Long.MAX_VALUE).input("k", Long.MAX_VALUE, Long.MAX_VALUE, Long.MAX_VALUE, 4)
        .node("MatMul", List.of("x", "k"), List.of("s")).node("Softmax", List.of("s"), List.of("p"), TinyModel.integer("axis", -1))
        .node("MatMul", List.of("p", "x"), List.of("y")).output("y", 1);
    AttentionFinder.find(m.model());
  }

  @Test
  void sizesThatSquareAtEveryNodeStayShort() {
    TinyModel m = new TinyModel().input("x", "a", "b").node("Shape", List.of("x"), List.of("s0"));
    for (int i = 0; i < 200; i++) {
      m.node("Add", List.of("s" + i, "s0"), List.of("t" + i)).node("Mul", List.of("t" + i, "t" + i), List.of("s" + (i + 1)));
    }
    m.node("Softmax", List.of("x"), List.of("p")).output("p", 1);
    assertTimeoutPreemptively(Duration.ofSeconds(20), () -> AttentionFinder.find(m.model()));
  }

  @Test
  void aChainOfAHundredThousandNodesIsFollowed() {
    TinyModel m = new TinyModel().input("x", 1, 4, "tokens", 8);
    String last = "x";
    for (int i = 0; i < 100_000; i++) {
      m.node(i % 3 == 0 ? "Add" : "Relu", i % 3 == 0 ? List.of(last, last) : List.of(last), List.of("n" + i));
      last = "n" + i;
    }
    m.weight("w", 8, 8).node("MatMul", List.of(last, "w"), List.of("q")).node("Transpose", List.of("q"), List.of("kt"), TinyModel.ints("perm", 0, 1, 3, 2))
        .node("MatMul", List.of("q", "kt"), List.of("scores")).node("Softmax", List.of("scores"), List.of("p"), TinyModel.integer("axis", -1))
        .node("MatMul", List.of("p", "q"), List.of("y")).output("y", 1, 4, "tokens", 8);
    assertEquals(1, AttentionFinder.find(m.model()).sites().size());
  }

  @Test
  void randomBytesAndEveryTruncationAreOneLine() throws IOException {
    byte[] good = TinyModel.attention().proto().toByteArray();
    Random random = new Random(5);
    List<byte[]> bad = new ArrayList<>(List.of(new byte[0], "not a model".getBytes(), new byte[100]));
    for (int i = 0; i < 300; i++) {
      bad.add(java.util.Arrays.copyOf(good, random.nextInt(good.length)));
      byte[] flipped = good.clone();
      for (int j = 0; j < 1 + random.nextInt(5); j++) {
        flipped[random.nextInt(flipped.length)] = (byte) random.nextInt(256);
      }
      bad.add(flipped);
    }
    for (byte[] bytes : bad) {
      Path file = save(bytes);
      try {
        AttentionFinder.find(OnnxModel.load(file));
      } catch (HlaException e) {
        assertEquals(1, e.getMessage().lines().count(), e.getMessage());
      }
    }
  }

  @Test
  void aTruncatedFileSaysSo() throws IOException {
    byte[] good = TinyModel.attention().proto().toByteArray();
    Path file = save(java.util.Arrays.copyOf(good, good.length / 2));
    assertTrue(assertThrows(HlaException.class, () -> OnnxModel.load(file)).getMessage().contains("truncated"));
  }

  private Path save(byte[] bytes) throws IOException {
    return Files.write(Files.createTempFile(folder, "model", ".onnx"), bytes);
  }

  private static void assertError(TinyModel m, String expected) {
    HlaException e = assertThrows(HlaException.class, () -> AttentionFinder.find(m.model()));
    assertTrue(e.getMessage().contains(expected), e.getMessage());
    assertTrue(e.getMessage().startsWith("tiny.onnx"), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }
}
