package dev.hla.converter.rewrite;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.hla.converter.FactorUse;
import dev.hla.converter.FusedUses;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.RankSpec;
import dev.hla.converter.TinyModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RewriterTest {
  private static Plan plan(OnnxModel m, String... globs) {
    return plan(m, RankSpec.parse("3^2,2,1"), globs);
  }

  private static Plan plan(OnnxModel m, RankSpec ranks, String... globs) {
    return new SiteSelection(null, ranks, List.of(globs), Set.of(), 0).plan(AttentionFinder.find(m));
  }

  private static OnnxModel convert(OnnxModel m) {
    return Rewriter.rewrite(m, plan(m)).model();
  }

  private static List<String> ops(OnnxModel m) {
    return m.proto().getGraph().getNodeList().stream().map(NodeProto::getOpType).toList();
  }

  @Test
  void theSoftmaxItsProductsAndItsTransposeGo() {
    OnnxModel m = convert(TinyModel.attention().model());
    List<String> ops = ops(m);
    assertEquals(List.of("MatMul", "MatMul", "MatMul", "FusedHadamardLinearAttention"), ops);
    NodeProto fused = m.proto().getGraph().getNodeList().stream().filter(n -> n.getDomain().equals("ai.hla")).findFirst().orElseThrow();
    assertEquals("y", fused.getOutput(0), "the graph reads the same name as before");
    assertEquals(Set.of("hla.site", "hla.form", "hla.source_node", "hla.source_output", "hla.maps"),
        fused.getMetadataPropsList().stream().map(p -> p.getKey()).collect(Collectors.toSet()));
    assertEquals(List.of("ranks", "powers", "epsilon", "activations", "layout", "num_heads"), fused.getAttributeList().stream().map(a -> a.getName()).toList());
    assertEquals("BHND", fused.getAttributeList().stream().filter(a -> a.getName().equals("layout")).findFirst().orElseThrow().getS().toStringUtf8(),
        "queries, keys and values have heads first, and no Transpose made them so");
    assertEquals(1, m.proto().getFunctionsCount());
  }

  /** With fewer, behind Reshape, Transpose and Reshape, ONNX Runtime 1.30 crashes on float16. */
  @ParameterizedTest
  @EnumSource(value = Lowering.class, names = {"CORE", "PORTABLE"})
  void weightsOfMapsHaveAsManyAxesAsQueries(Lowering lowering) {
    OnnxModel model = TinyModel.attention().model();
    GraphProto graph = Rewriter.rewrite(model, plan(model), lowering).model().proto().getGraph();
    List<TensorProto> weights = graph.getInitializerList().stream().filter(t -> t.getName().matches(".*/(query|key)\\.weight")).toList();
    assertEquals(2, weights.size());
    weights.forEach(weight -> assertEquals(4, weight.getDimsCount(), weight.getName()));
  }

  @Test
  void floatQueriesAndKeysOfHalfPrecisionValuesAreCastForTheFusedNode() {
    List<NodeProto> nodes = convert(withHalfPrecisionValues()).proto().getGraph().getNodeList();
    NodeProto fused = nodes.stream().filter(n -> n.getOpType().equals("FusedHadamardLinearAttention")).findFirst().orElseThrow();
    for (int i = 0; i < 2; i++) {
      String input = fused.getInput(i);
      NodeProto cast = nodes.stream().filter(n -> n.getOutputList().contains(input)).findFirst().orElseThrow();
      assertEquals("Cast " + List.of("q", "k").get(i) + " " + DataType.FLOAT16_VALUE, cast.getOpType() + " " + cast.getInput(0) + " " + cast.getAttribute(0).getI());
    }
    assertEquals("v", fused.getInput(2));
  }

  private static OnnxModel withHalfPrecisionValues() {
    return new TinyModel().input("x", 1, 4, "tokens", 8).weight("wq", 8, 8).weight("wk", 8, 8).weight("wv", 8, 8)
        .node("MatMul", List.of("x", "wq"), List.of("q")).node("MatMul", List.of("x", "wk"), List.of("k"))
        .node("Cast", List.of("x"), List.of("xh"), TinyModel.integer("to", DataType.FLOAT16_VALUE))
        .node("Cast", List.of("wv"), List.of("wvh"), TinyModel.integer("to", DataType.FLOAT16_VALUE))
        .node("MatMul", List.of("xh", "wvh"), List.of("v"))
        .node("Transpose", List.of("k"), List.of("kt"), TinyModel.ints("perm", 0, 1, 3, 2))
        .node("MatMul", List.of("q", "kt"), List.of("scores"))
        .node("Softmax", List.of("scores"), List.of("p"), TinyModel.integer("axis", -1))
        .node("Cast", List.of("p"), List.of("ph"), TinyModel.integer("to", DataType.FLOAT16_VALUE))
        .node("MatMul", List.of("ph", "v"), List.of("yh"))
        .node("Cast", List.of("yh"), List.of("y"), TinyModel.integer("to", DataType.FLOAT_VALUE)).output("y", 1, 4, "tokens", 8).model();
  }

  @Test
  void aKeyMaskOfAllHeadsIsTheFusedNodesLastInput() {
    NodeProto fused = only(convert(masked(1)), "FusedHadamardLinearAttention");
    assertEquals(8, fused.getInputCount());
    NodeProto squeeze = only(convert(masked(1)), "Squeeze");
    assertEquals(List.of(fused.getInput(7)), squeeze.getOutputList(), "[1, 1, 1, M] as [1, M]");
  }

  @Test
  void aKeyMaskThatMayDifferFromHeadToHeadIsLeftToTheCoreOperator() {
    assertEquals(3, only(convert(masked(4)), "HadamardLinearAttention").getInputCount());
  }

  @Test
  void aSecondConversionsMaskIsKnownToTheFunction() {
    OnnxModel both = besideAttention(masked(1));
    OnnxModel first = Rewriter.rewrite(both, plan(both, "p_2")).model();
    assertEquals(7, first.proto().getFunctions(0).getInputCount());
    OnnxModel second = Rewriter.rewrite(first, plan(first)).model();
    assertEquals("key_mask", second.proto().getFunctions(0).getInput(7));
    assertEquals(List.of(7, 8), second.proto().getGraph().getNodeList().stream().filter(n -> n.getDomain().equals("ai.hla"))
        .map(NodeProto::getInputCount).sorted().toList());
  }

  @ParameterizedTest
  @EnumSource(value = Lowering.class, names = {"CORE", "FUSED"})
  void aSecondConversionsRanksAreKnownToTheFunction(Lowering lowering) {
    OnnxModel both = besideAttention(TinyModel.attention().model());
    OnnxModel first = Rewriter.rewrite(both, plan(both, RankSpec.parse("4^2"), "p_2"), lowering).model();
    OnnxModel second = Rewriter.rewrite(first, plan(first, RankSpec.parse("3,2,1")), lowering).model();
    List<NodeProto> nodes = second.proto().getGraph().getNodeList().stream().filter(n -> n.getDomain().equals("ai.hla")).toList();
    assertEquals(Set.of("4^2", "3,2,1"), nodes.stream().map(n -> FactorUse.of(n).ranks().toString()).collect(Collectors.toSet()));
    List<FactorUse> uses = nodes.stream().map(FactorUse::of).toList();
    assertEquals(List.of(lowering == Lowering.CORE ? HadamardFunction.core(17, DataType.FLOAT, uses.stream().map(FactorUse::ranks).toList())
        : HadamardFunction.fused(17, DataType.FLOAT, new FusedUses(uses, Set.of("BHND"), false))), second.proto().getFunctionsList());
  }

  /** Before opset 15 a function is of one type. */
  @Test
  void twoElementTypesOfAnOldOpsetAreRefusedAtOnceAndOneAfterTheOther() {
    OnnxModel now = besideAttention(withHalfPrecisionValues());
    assertEquals(2, nodesOfOurs(Rewriter.rewrite(now, plan(now)).model()));
    OnnxModel old = new OnnxModel(now.path(), now.proto().toBuilder().setOpsetImport(0, OperatorSetIdProto.newBuilder().setVersion(14)).build());
    assertEquals("tiny.onnx: the sites p and p_2 have different element types, which a file of opset 14 cannot express in one function; "
        + "convert one type at a time with --sites, or export with opset 15 or newer", refusal(old));
    assertEquals("tiny.onnx: already has a function ai.hla::FusedHadamardLinearAttention for another element type, and a file of opset 14 cannot have both; "
        + "convert the original model instead", refusal(Rewriter.rewrite(old, plan(old, "p_2")).model()));
  }

  @Test
  void anEarlierNodeThatNoFunctionCanServeIsNamed() {
    assertEquals("tiny.onnx: node 'odd': attribute ranks has 1099511627776, which is beyond any that the operator takes", refusal(beside(1L << 40, "exp")));
    assertEquals("tiny.onnx: node 'odd': rank 0 of factor 1; a rank is 1 or more", refusal(beside(0, "exp")));
    assertEquals("tiny.onnx: activations \"exp,exp\" for 1 factors (4); each factor has one", refusal(beside(4, "exp,exp")));
  }

  /** An attention beside a fused node. */
  private static OnnxModel beside(long rank, String activations) {
    ModelProto.Builder model = TinyModel.attention().proto().toBuilder();
    model.getGraphBuilder().addNode(NodeProto.newBuilder().setDomain("ai.hla").setOpType("FusedHadamardLinearAttention").setName("odd")
        .addAllInput(List.of("x", "x", "x", "wq", "wq", "wq", "wq")).addOutput("odd").addAttribute(TinyModel.ints("ranks", rank)).addAttribute(TinyModel.ints("powers", 1))
        .addAttribute(AttributeProto.newBuilder().setName("activations").setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(activations))));
    return new OnnxModel(TinyModel.attention().model().path(), model.build());
  }

  private static String refusal(OnnxModel model) {
    return assertThrows(HlaException.class, () -> convert(model)).getMessage();
  }

  private static long nodesOfOurs(OnnxModel m) {
    return m.proto().getGraph().getNodeList().stream().filter(n -> n.getDomain().equals("ai.hla")).count();
  }

  /** With a second attention beside it, all of whose names end in _2. */
  private static OnnxModel besideAttention(OnnxModel model) {
    return new OnnxModel(model.path(), model.proto().toBuilder()
        .setGraph(model.proto().getGraph().toBuilder().mergeFrom(suffixed(TinyModel.attention().model().proto().getGraph(), "_2"))).build());
  }

  private static OnnxModel masked(int heads) {
    return new TinyModel().input("x", 1, 4, "tokens", 8).input("mask", 1, heads, 1, "tokens")
        .weight("wq", 8, 8).weight("wk", 8, 8).weight("wv", 8, 8)
        .node("MatMul", List.of("x", "wq"), List.of("q")).node("MatMul", List.of("x", "wk"), List.of("k")).node("MatMul", List.of("x", "wv"), List.of("v"))
        .node("Transpose", List.of("k"), List.of("kt"), TinyModel.ints("perm", 0, 1, 3, 2))
        .node("MatMul", List.of("q", "kt"), List.of("scores")).node("Add", List.of("scores", "mask"), List.of("masked"))
        .node("Softmax", List.of("masked"), List.of("p"), TinyModel.integer("axis", -1))
        .node("MatMul", List.of("p", "v"), List.of("y")).output("y", 1, 4, "tokens", 8).model();
  }

  /** The graph with other names. */
  private static GraphProto suffixed(GraphProto graph, String suffix) {
    GraphProto.Builder renamed = graph.toBuilder();
    renamed.getInputBuilderList().forEach(i -> i.setName(i.getName() + suffix));
    renamed.getOutputBuilderList().forEach(o -> o.setName(o.getName() + suffix));
    renamed.getInitializerBuilderList().forEach(i -> i.setName(i.getName() + suffix));
    for (NodeProto.Builder n : renamed.getNodeBuilderList()) {
      n.setName(n.getName() + suffix);
      for (int i = 0; i < n.getInputCount(); i++) {
        n.setInput(i, n.getInput(i) + suffix);
      }
      n.setOutput(0, n.getOutput(0) + suffix);
    }
    return renamed.build();
  }

  private static NodeProto only(OnnxModel m, String op) {
    List<NodeProto> found = m.proto().getGraph().getNodeList().stream().filter(n -> n.getOpType().equals(op)).toList();
    assertEquals(1, found.size(), () -> op + " among " + ops(m));
    return found.get(0);
  }

  @Test
  void everythingElseStaysInItsOrder() {
    OnnxModel before = TinyModel.attention().node("Relu", List.of("y"), List.of("z")).node("Neg", List.of("x"), List.of("unread")).model();
    OnnxModel after = convert(before);
    List<NodeProto> kept = before.proto().getGraph().getNodeList().stream().filter(after.proto().getGraph().getNodeList()::contains).toList();
    assertEquals(List.of("MatMul", "MatMul", "MatMul", "Relu", "Neg"), kept.stream().map(NodeProto::getOpType).toList());
    List<NodeProto> inAfter = after.proto().getGraph().getNodeList().stream().filter(kept::contains).toList();
    assertEquals(kept, inAfter);
    assertTrue(after.proto().getGraph().getInitializerList().containsAll(before.proto().getGraph().getInitializerList()));
  }

  @Test
  void withoutAChosenSiteTheModelIsTheSame() {
    OnnxModel m = TinyModel.attention().model();
    assertSame(m, Rewriter.rewrite(m, new Plan(List.of(), List.of())).model());
  }

  @Test
  void aConvertedModelHasNoSiteLeftAndConvertsToItself() {
    OnnxModel once = convert(TinyModel.attention().model());
    assertTrue(AttentionFinder.find(once).sites().isEmpty());
    assertTrue(AttentionFinder.find(once).notAttention().isEmpty());
  }

  @Test
  void twoConversionsAreEqual() {
    assertEquals(convert(TinyModel.attention().model()).proto(), convert(TinyModel.attention().model()).proto());
  }

  @Test
  void aGlobThatMatchesNothingIsAnError() {
    OnnxModel m = TinyModel.attention().model();
    HlaException e = assertThrows(HlaException.class, () -> plan(m, "blocks.*"));
    assertTrue(e.getMessage().contains("no attention site matches 'blocks.*'; it has p"), e.getMessage());
  }

  @Test
  void theCheckerFindsABrokenModel() {
    OnnxModel unsorted = new TinyModel().input("x", 1).node("Relu", List.of("a"), List.of("y")).node("Neg", List.of("x"), List.of("a")).output("y", 1).model();
    assertTrue(assertThrows(HlaException.class, () -> ModelChecker.check(unsorted)).getMessage().contains("before"));
    OnnxModel foreign = new OnnxModel(unsorted.path(), new TinyModel().input("x", 1).node("Relu", List.of("x"), List.of("y")).output("y", 1).proto()
        .toBuilder().setGraph(new TinyModel().input("x", 1).proto().getGraph().toBuilder()
            .addNode(NodeProto.newBuilder().setDomain("far.away").setOpType("Thing").addInput("x").addOutput("y"))).build());
    assertTrue(assertThrows(HlaException.class, () -> ModelChecker.check(foreign)).getMessage().contains("'far.away'"));
    OnnxModel headless = new TinyModel().input("x", 1).node("Relu", List.of("x"), List.of("a")).output("y", 1).model();
    assertTrue(assertThrows(HlaException.class, () -> ModelChecker.check(headless)).getMessage().contains("output 'y'"));
  }
}
