package dev.hla.converter.attention;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.TinyModel;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Attention operators that do more than the fused operator can stand for: why they are kept. */
class OperatorReasonsTest {
  private static final String MULTI_HEAD = "MultiHeadAttention";
  private static final String BY_QUERY =
      "the mask depends on the query, so the weights are no plain product over keys; expected one that is the same for every query";

  private static TinyModel model() {
    return new TinyModel().input("q", 2, 12, 32).input("k", 2, 7, 32).input("v", 2, 7, 32).input("k4", 2, 4, 7, 8).input("v4", 2, 4, 7, 8)
        .input("lengths", 2).input("wide", 2, 7, 40).input("keep", 2, 7).input("added", 2, 1, 1, 7).input("state", 2, 4, 3, 8).output("scores", 2, 4, 12, 7)
        .input("valid", 2).weight("bias", 96).weight("w", 32, 96).output("y", 2, 12, 32);
  }

  static Stream<Arguments> nodes() {
    AttributeProto heads = TinyModel.integer("num_heads", 4);
    return Stream.of(
        Arguments.of("plain", node(MULTI_HEAD, List.of("q", "k", "v"), heads), ""),
        Arguments.of("keys with heads first", node(MULTI_HEAD, List.of("q", "k4", "v4"), heads), ""),
        Arguments.of("a bias beside keys with heads first", node(MULTI_HEAD, List.of("q", "k4", "v4", "bias"), heads),
            "it has a bias, and keys with heads first, to which none is added; expected no bias"),
        Arguments.of("a key cache", node(MULTI_HEAD, List.of("q", "k", "v", "", "", "", "k4", "v4"), heads),
            "it continues a key cache (past_key); expected whole sequences"),
        Arguments.of("lengths", node(MULTI_HEAD, List.of("q", "k", "v", "", "lengths"), heads),
            "its key_padding_mask holds sequence lengths; expected one entry a key, [B, M]"),
        Arguments.of("two masks", node(MULTI_HEAD, List.of("q", "k", "v", "", "keep", "added"), heads),
            "it has a key_padding_mask and an attention_bias; expected one mask"),
        Arguments.of("a causal one with lengths", node(MULTI_HEAD, List.of("q", "k", "v", "", "lengths"), heads, TinyModel.integer("unidirectional", 1)), BY_QUERY),
        Arguments.of("a bias and wide values", node(MULTI_HEAD, List.of("q", "k", "wide", "bias"), heads),
            "it has a bias, and values of another width than queries; expected the same, or no bias"),
        Arguments.of("projections and two masks", node("Attention", List.of("q", "w", "bias", "keep", "", "added"), heads),
            "it has a mask_index and an attention_bias; expected one mask"),
        Arguments.of("projections and a mask of keys", node("Attention", List.of("q", "w", "bias", "keep"), heads), ""),
        Arguments.of("a number of keys that count", onnx(List.of("q", "k", "v", "", "", "", "valid"), "y"),
            "it is told how many keys count (nonpad_kv_seqlen); expected a mask with an entry for each key"),
        Arguments.of("scores that are read", onnx(List.of("q", "k", "v"), "y", "", "", "scores"),
            "its output qk_matmul_output is read, too; expected the attention output alone"),
        Arguments.of("a rotation", node("Attention", List.of("q", "w", "bias"), heads, TinyModel.integer("do_rotary", 1)),
            "it rotates query and key itself (do_rotary); expected plain projections"));
  }

  /** An operator that projects inside, behind a residual sum: the sum's operands are no streams of their own. */
  @Test
  void oneThatProjectsReadsOneStream() {
    ModelProto.Builder proto = model().weight("up", 32, 32).weight("gamma", 32).node("MatMul", List.of("q", "up"), List.of("moved"))
        .node("com.microsoft.SkipLayerNormalization", List.of("moved", "q", "gamma"), List.of("x")).proto().toBuilder();
    proto.getGraphBuilder().addNode(node("Attention", List.of("x", "w", "bias"), TinyModel.integer("num_heads", 4)));
    assertEquals(Kind.SELF, AttentionFinder.find(new OnnxModel(model().model().path(), proto.build())).sites().get(0).kind());
  }

  @ParameterizedTest
  @CsvSource({"QAttention, is attention over quantized tensors", "LongformerAttention, is attention over some of the keys only",
      "DecoderMaskedSelfAttention, is an attention operator with a key cache"})
  void operatorsThatAreNoAttentionToReplaceAreListed(String op, String reason) {
    ModelProto.Builder proto = model().proto().toBuilder();
    proto.getGraphBuilder().addNode(node(op, List.of("q", "w", "bias")));
    String came = AttentionFinder.find(new OnnxModel(model().model().path(), proto.build())).notAttention().get(0).reason();
    assertTrue(came.contains(reason), came);
  }

  private static NodeProto onnx(List<String> inputs, String... outputs) {
    return TinyModel.protoNode("Attention", inputs, List.of(outputs), TinyModel.integer("q_num_heads", 4), TinyModel.integer("kv_num_heads", 4));
  }

  private static NodeProto node(String op, List<String> inputs, AttributeProto... attributes) {
    return TinyModel.protoNode("com.microsoft." + op, inputs, List.of("y"), attributes);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("nodes")
  void areGiven(String name, NodeProto node, String reason) {
    ModelProto.Builder proto = model().proto().toBuilder().addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("com.microsoft").setVersion(1));
    proto.getGraphBuilder().addNode(node);
    AttentionSite site = AttentionFinder.find(new OnnxModel(model().model().path(), proto.build())).sites().get(0);
    assertEquals(reason, site.reason());
    assertEquals(reason.isEmpty(), site.convertible());
  }
}
