package dev.hla.converter;

import dev.hla.converter.AttentionNodes.Side;
import dev.hla.converter.AttentionNodes.Sizes;
import dev.hla.converter.FunctionBody.Kind;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The operators of domain ai.hla as model-local functions: plain ONNX that a runtime without the operator library
 * inlines and runs, and that a runtime with the library passes over for its kernel.
 *
 * <p>A file may hold sites that differ in ranks and powers, but ONNX Runtime takes one body for each name, and every site
 * gets a copy of it. So a body is made for the nodes of its file: where they are alike everything about them is a constant, and
 * where they differ a node picks, see {@link Variants}. Products are in {@link ProductNodes}, the attention in {@link AttentionNodes}. A chunk of tokens is small enough for its products to stay in a processor's
 * cache; heads are taken one by one, or all at once where tokens are few. Factors of rank 1 are gates: they multiply
 * operands of the products and never enlarge them. Everything is computed in float.
 */
public final class HadamardFunction {
  /** Domain of the operators. */
  public static final String DOMAIN = "ai.hla";
  /** Version of the domain. */
  public static final long DOMAIN_VERSION = 1;
  /** Name of the core operator: features and values in, attention out. */
  public static final String CORE = "HadamardLinearAttention";
  /** Name of the fused operator: queries, keys, values and feature maps in, attention out. */
  public static final String FUSED = "FusedHadamardLinearAttention";
  /** Name of the streaming operator: the core operator with a state that stands for the tokens of earlier calls. */
  public static final String STREAMING = "StreamingHadamardLinearAttention";
  /** The oldest ONNX opset in which the bodies can be written. */
  public static final long MIN_OPSET = 11;
  /** The oldest IR version that knows functions: a file that carries one must say this or more. */
  public static final long MIN_IR_VERSION = 8;
  /** From here on a value can be cast to the type of another, so that one body serves every type. */
  public static final long CAST_LIKE_OPSET = 15;

  /**
   * From here on a Constant takes numbers, not only tensors, and so can read an attribute. A function may say that it
   * speaks this version in a model of an older one: constants are no longer nodes when the model's version is imposed.
   */
  private static final long CONSTANT_OPSET = 12;
  private static final String KEY_MASK = "key_mask";
  /** The node that casts the result to the type of the tensors. */
  private static final String TYPED_ROWS = "rows_in_type";
  private static final String TOKENS_FIRST = "BNHD";
  private static final List<String> FUSED_INPUTS =
      List.of("query", "key", "value", "query_weight", "query_bias", "key_weight", "key_bias");

  private final long opset;
  private final FunctionBody f;
  /** Type of the tensors; null if the body serves every type. */
  private final DataType type;

  private HadamardFunction(String name, long opset, DataType type, FunctionBody body) {
    if (opset < MIN_OPSET) {
      throw new HlaException("opset " + opset + " cannot express " + DOMAIN + "::" + name + " as a function; it takes opset "
          + MIN_OPSET + " or newer: export the model with a newer opset");
    }
    this.opset = opset;
    f = body;
    this.type = opset < CAST_LIKE_OPSET ? type : null;
  }

  /**
   * {@code ai.hla::HadamardLinearAttention} version 1: inputs query_features [B, H, N, R], key_features [B, H, M, R],
   * value [B, H, M, dv], output [B, H, N, dv], attributes ranks, powers, epsilon.
   *
   * @param opset the version of the ONNX operators that the model imports: ONNX Runtime inlines the body before it
   *     looks operators up, and then takes the model's version for them whatever the function says
   * @param type type of the tensors; from opset 15 on the body serves every type and this does not count
   * @param ranks ranks and powers of every node that is to use it, one or more; another node gets no result, or a wrong one
   * @throws HlaException if the opset is older than {@link #MIN_OPSET}, there are no ranks, or some make more than 2^20 products
   */
  public static FunctionProto core(long opset, DataType type, Collection<RankSpec> ranks) {
    FunctionBody body = new FunctionBody(opset, "query_features", "key_features", "value", "output");
    new HadamardFunction(CORE, opset, type, body).coreNodes(ranks, false);
    return function(CORE, opset, body)
        .setDocString("Hadamard Linear Attention (arXiv 2602.12128): y[i] = sum_j A[i,j] v[j] / (sum_j A[i,j] + epsilon), "
            + "A[i,j] = prod_f <query factor f of i, key factor f of j> ^ powers[f]. Linear in the tokens.")
        .addInput("query_features").addInput("key_features").addInput("value")
        .build();
  }

  /**
   * {@code ai.hla::StreamingHadamardLinearAttention} version 1: as {@link #core}, with a fourth input state and a second
   * output next_state, both float [B, H, D, dv + 1]. A state without any numbers is that before the first token. A node
   * names all four inputs, as a runtime cannot run a body that reads one that is left out; the kernel can. It names two
   * outputs, the second perhaps "".
   *
   * @param opset the version of the ONNX operators that the model imports, as for {@link #core}
   * @param type type of the tensors but the states, as for {@link #core}
   * @param ranks as for {@link #core}
   * @throws HlaException as {@link #core}
   */
  public static FunctionProto streaming(long opset, DataType type, Collection<RankSpec> ranks) {
    FunctionBody body =
        new FunctionBody(opset, "query_features", "key_features", "value", "state", "output", "next_state");
    new HadamardFunction(STREAMING, opset, type, body).coreNodes(ranks, true);
    return function(STREAMING, opset, body)
        .setDocString("HadamardLinearAttention over the keys of this call and of all before it, for which the state stands: "
            + "state[d] = sum_j w_d m_d(key features of j) [v_j, 1], m_d the monomials in order, w_d their multinomial weights.")
        .addInput("query_features").addInput("key_features").addInput("value").addInput("state").addOutput("next_state")
        .build();
  }

  /**
   * {@code ai.hla::FusedHadamardLinearAttention} version 1: inputs query, key, value, query_weight [H, d, R], query_bias
   * [H, R], key_weight, key_bias and, optional, key_mask, float [B or 1, M or 1], which is added to the logarithm of each
   * key's weights as a softmax mask is added to scores; attributes ranks, powers, epsilon, activations (one string, the factors' activations
   * with commas between), layout ({@code BHND}: [B, H, tokens, width], or {@code BNHD}: [B, tokens, H, width] or packed
   * [B, tokens, H * width]) and num_heads, which a kernel needs and the function takes from the weights. The output has
   * the layout of the query.
   *
   * @param opset the version of the ONNX operators that the model imports, as for {@link #core}
   * @param type type of the tensors, as for {@link #core}
   * @param uses how the file uses it; a node without a mask does with the body for masks, too, at the cost of a product
   * @throws HlaException as {@link #core}, or if an activation is not known or not one for each factor
   */
  public static FunctionProto fused(long opset, DataType type, FusedUses uses) {
    List<String> inputs = uses.masked() ? Stream.concat(FUSED_INPUTS.stream(), Stream.of(KEY_MASK)).toList() : FUSED_INPUTS;
    FunctionBody body = new FunctionBody(opset, inputs.toArray(String[]::new));
    new HadamardFunction(FUSED, opset, type, body).fusedNodes(uses);
    return function(FUSED, opset, body)
        .setDocString("Hadamard Linear Attention (arXiv 2602.12128) with its feature maps: each factor's slice of x W + b "
            + "passes through its activation; then as HadamardLinearAttention.")
        .addAllInput(inputs)
        .addAttribute("activations").addAttribute("layout").addAttribute("num_heads")
        .build();
  }

  /** The tensor that a fused node has for its key mask; "" where it has none. */
  public static String keyMask(NodeProto fused) {
    return fused.getInputCount() > FUSED_INPUTS.size() ? fused.getInput(FUSED_INPUTS.size()) : "";
  }

  /** The one type that a body of ours is for, as ONNX numbers it; empty if it serves every type. */
  public static OptionalInt outputType(FunctionProto function) {
    return function.getNodeList().stream().filter(n -> n.getName().equals(TYPED_ROWS) && n.getOpType().equals("Cast"))
        .mapToInt(n -> (int) n.getAttribute(0).getI()).findFirst();
  }

  private static FunctionProto.Builder function(String name, long opset, FunctionBody body) {
    return FunctionProto.newBuilder()
        .setDomain(DOMAIN)
        .setName(name)
        .addOutput("output")
        .addAttribute("ranks").addAttribute("powers").addAttribute("epsilon")
        .addAllNode(body.nodes())
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(Math.max(opset, CONSTANT_OPSET)));
  }

  private void coreNodes(Collection<RankSpec> ranks, boolean streaming) {
    if (ranks.isEmpty()) {
      throw new HlaException("no ranks given: a function is made for the ranks and powers of the nodes that use it");
    }
    Variants<FactorUse> variants = FactorVariants.of(f, ranks.stream().distinct().map(each -> new FactorUse(each, "")).toList());
    String queryShape = f.op("query_shape", "Shape", "query_features");
    String valueShape = f.op("value_shape", "Shape", "value");
    Sizes sizes = new Sizes(
        f.dim("batch", queryShape, 0), f.dim("heads", queryShape, 1), f.dim("queries", queryShape, 2),
        f.dim("keys", valueShape, 2), f.dim("value_dim", valueShape, 3));
    AttentionNodes attention = new AttentionNodes(f, variants.map(each -> Formation.of(each.ranks())), sizes);
    AttentionNodes.Result result = attention.attend(
        epsilon(), new Side(inFloat("query_features"), null, List.of(), null), new Side(inFloat("key_features"), null, List.of(), null),
        inFloat("value"), streaming ? "state" : null);
    f.result("output", "Identity", List.of(), inOutputType(result.rows()));
    if (streaming) {
      f.result("next_state", "Identity", List.of(), result.states());
    }
  }

  /** Casts a whole input: where it is float, ONNX Runtime drops the node, as it stands in no nested graph. */
  private String inFloat(String input) {
    return f.cast(input + "_float", input, DataType.FLOAT);
  }

  /** Casts to the type of the values. Where that is float, ONNX Runtime drops the node, as it stands in no nested graph. */
  private String inOutputType(String rows) {
    return type == null ? f.op(TYPED_ROWS, "CastLike", rows, "value") : f.cast(TYPED_ROWS, rows, type);
  }

  private void fusedNodes(FusedUses uses) {
    Variants<FactorUse> variants = FactorVariants.of(f, uses.factors());
    MapNodes maps = new MapNodes(f, variants);
    Layout layout = new Layout(uses);
    String weightShape = f.op("weight_shape", "Shape", "query_weight");
    String heads = f.dim("heads", weightShape, 0);
    String headDim = f.dim("head_dim", weightShape, 1);
    String tokenAxis = layout.either("token_axis", f.vector(1), f.vector(2));
    String queryShape = f.op("query_shape", "Shape", "query");
    String keyShape = f.op("key_shape", "Shape", "key");
    String valueShape = f.op("value_shape", "Shape", "value");
    String lastValueDim = f.dim("last_value_dim", valueShape, -1);
    String packed = f.op("value_is_packed", "Equal", f.op("value_dims", "Size", valueShape), f.scalar(3));
    String valueDim = f.op("value_dim", "Where", packed, f.op("packed_value_dim", "Div", lastValueDim, heads), lastValueDim);
    Sizes sizes = new Sizes(f.dim("batch", queryShape, 0), heads,
        f.op("queries", "Gather", queryShape, tokenAxis), f.op("keys", "Gather", keyShape, tokenAxis), valueDim);

    AttentionNodes attention = new AttentionNodes(f, variants.map(each -> Formation.of(each.ranks())), sizes);
    String rows = attention.attend(
        epsilon(),
        new Side(layout.headsFirst("query", sizes, sizes.queries(), headDim), maps, maps.parameters("query"), null),
        new Side(layout.headsFirst("key", sizes, sizes.keys(), f.dim("key_dim", f.op("key_weight_shape", "Shape", "key_weight"), 1)),
            maps, maps.parameters("key"), uses.masked() ? keyFactors(sizes, variants) : null),
        layout.headsFirst("value", sizes, sizes.keys(), valueDim), null).rows();
    String lead = f.slice("query_lead", queryShape, f.vector(0), f.vector(-1), f.vector(0));
    String shape = f.concat("output_shape", 0, lead, f.vector(-1));
    // Branches return bfloat16 only from opset 16 on: they are in float.
    String shaped = layout.choose("in_layout",
        then -> then.op("tokens_first_output", "Reshape", then.transpose("tokens_first_rows", rows, 0, 2, 1, 3), shape), rows);
    f.result("output", "Identity", List.of(), inOutputType(shaped));
  }

  /** What all features of a key are multiplied with for its mask: exp(mask / degree), [B, H, M]. */
  private String keyFactors(Sizes sizes, Variants<FactorUse> variants) {
    // A Gemm takes its third operand or none, so that a node without a mask can run this body; 0 times 0 makes the shape.
    String batches = f.op("batch_of_zeros", "Expand", f.scalar(0f), f.concat("batch_of_zeros_shape", 0, sizes.batch(), f.vector(1)));
    String keys = f.op("keys_of_zeros", "Expand", f.scalar(0f), f.concat("keys_of_zeros_shape", 0, f.vector(1), sizes.keys()));
    String mask = f.op("mask_or_zeros", "Gemm", batches, keys, KEY_MASK);
    String degree = variants.reals("degree", each -> new float[] {Arrays.stream(each.ranks().powers()).sum()});
    String factor = f.op("mask_factor", "Exp", f.op("mask_share", "Div", mask, degree));
    return f.op("key_factors", "Expand", f.unsqueeze("factor_of_heads", factor, 1), f.concat("key_factors_shape", 0, sizes.batch(), sizes.heads(), sizes.keys()));
  }

  /** How tokens, heads and columns lie in query, key and value of the fused operator. */
  private final class Layout {
    /** Whether tokens come before heads in some node of the file, and heads before tokens in another: then the node decides. */
    private final boolean mixed;
    /** Whether tokens come first, where it is not mixed. */
    private final boolean tokensFirst;
    /** The same of the node, [1]; null where it is not mixed. */
    private final String nodeHasTokensFirst;

    private Layout(FusedUses uses) {
      mixed = uses.layouts().size() > 1;
      tokensFirst = uses.layouts().contains(TOKENS_FIRST);
      nodeHasTokensFirst = mixed ? f.sameText("tokens_first", f.attribute("layout", "value_string", AttributeType.STRING), TOKENS_FIRST) : null;
    }

    /** What {@code then} makes where tokens come first, else {@code asItIs}. */
    private String choose(String name, Function<FunctionBody, String> then, String asItIs) {
      if (!mixed) {
        return tokensFirst ? then.apply(f) : asItIs;
      }
      return f.choose(List.of(name), Kind.FLOAT, f.asScalar(name + "_tokens_first", nodeHasTokensFirst),
          b -> List.of(then.apply(b)), b -> List.of(b.op(name + "_as_it_is", "Identity", asItIs))).get(0);
    }

    private String either(String name, String ofTokensFirst, String ofHeadsFirst) {
      return mixed ? f.op(name, "Where", nodeHasTokensFirst, ofTokensFirst, ofHeadsFirst) : tokensFirst ? ofTokensFirst : ofHeadsFirst;
    }

    /** An input, packed or not, as [B, H, tokens, width] in float. A size of 0 stands for itself, as it is where it was. */
    private String headsFirst(String input, Sizes sizes, String tokens, String width) {
      String second = either(input + "_second_dim", tokens, sizes.heads());
      String third = either(input + "_third_dim", sizes.heads(), tokens);
      String unpacked = f.op(input + "_unpacked", "Reshape", inFloat(input), f.concat(input + "_shape_of_four", 0, sizes.batch(), second, third, width));
      return choose(input + "_rows", then -> then.transpose(input + "_heads_first", unpacked, 0, 2, 1, 3), unpacked);
    }
  }

  private String epsilon() {
    return f.attribute("epsilon", "value_float", AttributeType.FLOAT);
  }
}
