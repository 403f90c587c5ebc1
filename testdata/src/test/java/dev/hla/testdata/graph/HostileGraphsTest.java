package dev.hla.testdata.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.SiteReport;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.testdata.Precision;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Graphs that no exporter writes: the finder answers, or says in one line what is wrong, and always ends. */
class HostileGraphsTest {
  private static final Duration LIMIT = Duration.ofSeconds(20);

  private static SiteReport find(ModelProto model) {
    return AttentionFinder.find(new OnnxModel(Path.of("model.onnx"), model));
  }

  /** A walk over the options of the builders. */
  static AttentionSpec random(Random random) {
    while (true) {
      AttentionSpec spec = new AttentionSpec(any(AttentionForm.values(), random), any(AttentionMask.values(), random), any(Precision.values(), random),
          9 + random.nextInt(18), any(Projection.values(), random), random.nextBoolean(), random.nextBoolean(), any(Placement.values(), random));
      if (spec.isLegal()) {
        return spec;
      }
    }
  }

  private static <T> T any(T[] values, Random random) {
    return values[random.nextInt(values.length)];
  }

  static List<Long> seeds() {
    List<Long> seeds = new ArrayList<>();
    for (long s = 0; s < 40; s++) {
      seeds.add(s);
    }
    return seeds;
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void anyMixOfOptionsIsFound(long seed) {
    Random random = new Random(seed);
    for (int i = 0; i < 20; i++) {
      AttentionSpec spec = random(random);
      SiteReport report = find(AttentionModel.of(spec).model());
      assertEquals(1, report.sites().size(), () -> spec + ": " + report.notAttention());
      assertEquals(spec.form().reported(), report.sites().get(0).form(), spec::toString);
      assertEquals(spec.maskEffect().name(), report.sites().get(0).mask().name(), spec::toString);
      assertEquals(spec.cross() ? "cross" : "self", report.sites().get(0).kind().toString(), spec::toString);
      assertEquals(spec.reasonToKeep().isEmpty(), report.sites().get(0).convertible(), () -> spec + ": " + report.sites().get(0).reason());
    }
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void aDamagedGraphIsAnsweredOrRefused(long seed) {
    Random random = new Random(seed);
    for (int i = 0; i < 25; i++) {
      ModelProto model = random.nextInt(4) == 0 ? any(VideoModel.values(), random).build(random.nextBoolean(), 17).model()
          : AttentionModel.of(random(random)).model();
      ModelProto damaged = damaged(model, random);
      assertTimeoutPreemptively(LIMIT, () -> {
        try {
          find(damaged);
        } catch (HlaException e) {
          assertTrue(e.getMessage().startsWith("model.onnx") && e.getMessage().lines().count() == 1, e.getMessage());
        }
      });
    }
  }

  private static ModelProto damaged(ModelProto model, Random random) {
    ModelProto.Builder out = model.toBuilder();
    GraphProto.Builder graph = out.getGraphBuilder();
    for (int i = 1 + random.nextInt(4); i > 0 && graph.getNodeCount() > 0; i--) {
      int at = random.nextInt(graph.getNodeCount());
      NodeProto.Builder n = graph.getNodeBuilder(at);
      int other = random.nextInt(graph.getNodeCount());
      switch (random.nextInt(9)) {
        case 0 -> graph.removeNode(at);
        case 1 -> setInput(n, random, "nothing gives this");
        case 2 -> setInput(n, random, graph.getNode(other).getOutputCount() > 0 ? graph.getNode(other).getOutput(0) : "");
        case 3 -> setInput(n, random, "");
        case 4 -> n.clearInput();
        case 5 -> n.clearAttribute();
        case 6 -> n.clearOutput();
        case 7 -> n.setOpType(any(new String[] {"Softmax", "Reshape", "Transpose", "Einsum", "Split", "Slice", "Where", "Attention", "Div"}, random));
        default -> absurd(graph, random);
      }
    }
    return out.build();
  }

  private static void setInput(NodeProto.Builder n, Random random, String value) {
    if (n.getInputCount() > 0) {
      n.setInput(random.nextInt(n.getInputCount()), value);
    }
  }

  private static void absurd(GraphProto.Builder graph, Random random) {
    long size = any(new Long[] {-1L, 0L, Long.MAX_VALUE, Long.MIN_VALUE, 1L << 40}, random);
    if (graph.getInitializerCount() > 0 && random.nextBoolean()) {
      graph.getInitializerBuilder(random.nextInt(graph.getInitializerCount())).addDims(size);
    } else if (graph.getInputCount() > 0) {
      graph.getInputBuilder(random.nextInt(graph.getInputCount())).getTypeBuilder().getTensorTypeBuilder().getShapeBuilder().addDimBuilder().setDimValue(size);
    }
  }

  /** Long ways between a site and everything that is traced from it. */
  @ParameterizedTest
  @ValueSource(strings = {"Identity", "Tanh", "Add", "Cast", "Concat", "MatMul"})
  void aLongChainIsFollowedToItsEnd(String op) {
    GraphBuilder g = new GraphBuilder(17);
    Parts p = new Parts(g);
    String x = g.input("x", DataType.FLOAT_VALUE, 1, 12, Parts.C);
    g.scope("/chain");
    String weight = p.weight(0.1, Parts.C, Parts.C);
    String empty = g.real("empty", DataType.FLOAT_VALUE, new float[0], 1, 0, Parts.C);
    String y = x;
    for (int i = 0; i < 100_000; i++) {
      y = switch (op) {
        case "Add" -> g.op("Add", y, x);
        case "Cast" -> g.cast(y, DataType.FLOAT_VALUE);
        case "Concat" -> g.concat(1, y, empty);
        case "MatMul" -> g.op("MatMul", y, weight);
        default -> g.op(op, y);
      };
    }
    g.scope("/attn");
    String o = p.attend(p.split(p.linear(y)), p.split(p.linear(y)), p.split(p.linear(y)), null);
    g.scope("").output("y", o, DataType.FLOAT_VALUE, 1, 12, Parts.C);
    ModelProto model = g.model("testdata");
    SiteReport report = assertTimeoutPreemptively(LIMIT, () -> find(model));
    assertEquals("self", report.sites().get(0).kind().toString());
  }

  @Test
  void aLongWayFromScoresToSoftmaxIsNoAttention() {
    GraphBuilder g = new GraphBuilder(17);
    String y = g.input("x", DataType.FLOAT_VALUE, 1, 4, 12, 12);
    for (int i = 0; i < 100_000; i++) {
      y = g.op("Identity", y);
    }
    g.output("y", g.softmax(y, 4), DataType.FLOAT_VALUE, 1, 4, 12, 12);
    ModelProto model = g.model("testdata");
    assertEquals(1, assertTimeoutPreemptively(LIMIT, () -> find(model)).notAttention().size());
  }

  /** Each function calls the next twice: two to the power of 60 nodes, if anybody wrote them out. */
  @Test
  void nestedFunctionsAreNotWrittenOut() {
    GraphBuilder g = new GraphBuilder(17);
    String x = g.input("x", DataType.FLOAT_VALUE, 1, 12, Parts.C);
    for (int i = 0; i < 60; i++) {
      GraphBuilder f = g.function();
      f.input("v", DataType.FLOAT_VALUE);
      Parts inside = new Parts(f);
      String v = i == 0 ? inside.attend(inside.split(inside.linear("v")), inside.split(inside.linear("v")), inside.split(inside.linear("v")), null)
          : f.call("f" + (i - 1), f.call("f" + (i - 1), "v"));
      f.yields(v, DataType.FLOAT_VALUE);
      g.define("f" + i, f);
    }
    g.output("y", g.call("f59", x), DataType.FLOAT_VALUE, 1, 12, Parts.C);
    ModelProto model = g.model("testdata");
    assertEquals(1, assertTimeoutPreemptively(LIMIT, () -> find(model)).sites().size());
  }

  @Test
  void functionsThatCallEachOtherInACircleAreSearchedAllTheSame() {
    GraphBuilder g = new GraphBuilder(17);
    g.input("x", DataType.FLOAT_VALUE, 1, 12, Parts.C);
    for (String[] pair : new String[][] {{"a", "b"}, {"b", "a"}}) {
      GraphBuilder f = g.function();
      f.input("v", DataType.FLOAT_VALUE);
      f.yields(f.softmax(f.call(pair[1], "v"), 3), DataType.FLOAT_VALUE);
      g.define(pair[0], f);
    }
    g.output("y", g.call("a", "x"), DataType.FLOAT_VALUE, 1, 12, Parts.C);
    ModelProto model = g.model("testdata");
    assertEquals(2, assertTimeoutPreemptively(LIMIT, () -> find(model)).notAttention().size());
  }
}
