package dev.hla.cli;

import com.google.protobuf.ByteString;
import dev.hla.converter.FactorUse;
import dev.hla.converter.FusedUses;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.RankSpec;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.ElementType;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** The attentions that {@code bench op} measures, each as a model of its own. */
enum BenchedOperator {
  /** Hadamard linear attention on features that are there already. */
  HADAMARD("query_features", "key_features", "value"),
  /** The same with its feature maps. */
  FUSED("query", "key", "value", "query_weight", "query_bias", "key_weight", "key_bias"),
  /** The function in a converted file that stands for {@link #HADAMARD} where the library is not registered: plain ONNX. */
  HADAMARD_FUNCTION("query_features", "key_features", "value"),
  /** The function that stands for {@link #FUSED}. */
  FUSED_FUNCTION("query", "key", "value", "query_weight", "query_bias", "key_weight", "key_bias"),
  /** com.microsoft MultiHeadAttention, ONNX Runtime's own. */
  MHA("query_packed", "key_packed", "value_packed"),
  /** ai.onnx Attention of opset 23. */
  ATTENTION("query", "key", "value"),
  /** MatMul, Softmax, MatMul, as exporters write it. */
  SOFTMAX("query", "key", "value");

  private static final String MICROSOFT = "com.microsoft";
  private static final long OPSET = 17;
  private static final long OPSET_OF_ATTENTION = 23;
  private static final long IR_OF_ATTENTION = 11;

  private final List<String> inputs;

  BenchedOperator(String... inputs) {
    this.inputs = List.of(inputs);
  }

  /** Sizes of one problem; the width of values is that of queries. */
  record Shape(long tokens, long heads, long width, ElementType type) {}

  /** Its name in results. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** True where the cost grows with the square of the tokens. */
  boolean isSoftmax() {
    return compareTo(FUSED_FUNCTION) > 0;
  }

  /** True where the operator library runs it. */
  boolean isOfLibrary() {
    return compareTo(FUSED) <= 0;
  }

  List<String> inputs() {
    return inputs;
  }

  /** Operations that the result needs; exponentials, maxima and divisions do not count. */
  double flops(Shape s, RankSpec ranks) {
    if (isSoftmax()) {
      return 4.0 * s.tokens() * s.tokens() * s.width() * s.heads();
    }
    double attention = 4.0 * s.tokens() * ranks.products() * (s.width() + 1) * s.heads();
    return this == HADAMARD || this == HADAMARD_FUNCTION ? attention : attention + 2.0 * 2 * s.tokens() * s.width() * ranks.width() * s.heads();
  }

  /**
   * Memory that runs take at most, by what was measured of these operators: the output, and the matrix of weights where there
   * is one. From the second run on ONNX Runtime plans its memory, beside what the first one took: softmax went from 4.1 to 8.1
   * bytes a weight so, in float16 (which is cast to float and back around every node) from 8.6 to 19 to 23. What Java and the
   * runtime take for themselves meanwhile comes on top: a run of 106 MB by these figures took 108.
   */
  double bytes(Shape s) {
    double row = (double) s.heads() * s.tokens() * s.type().bytes();
    boolean cast = s.type() != ElementType.FLOAT32;
    double weights = (double) s.heads() * s.tokens() * s.tokens();
    return switch (this) {
      case HADAMARD, FUSED -> row * s.width() + (64 << 20);
      // All inputs in float, and twice the output, one perhaps in float.
      case HADAMARD_FUNCTION, FUSED_FUNCTION -> (cast ? 10 : 2) * row * s.width() + (480 << 20);
      // It brings heads before tokens first, in copies.
      case MHA -> 5 * row * s.width() + (64 << 20);
      case ATTENTION -> weights * (cast ? 6.2 : 4.2) + 8 * row * s.width() + (16 << 20);
      case SOFTMAX -> weights * (cast ? 24 : 8.2) + 8 * row * s.width() + (16 << 20);
    };
  }

  /** Shapes of the inputs, in their order. */
  List<long[]> shapes(Shape s, RankSpec ranks) {
    long[] rows = {1, s.heads(), s.tokens(), s.width()};
    return switch (this) {
      case HADAMARD, HADAMARD_FUNCTION -> List.of(new long[] {1, s.heads(), s.tokens(), ranks.width()}, new long[] {1, s.heads(), s.tokens(), ranks.width()}, rows);
      case FUSED, FUSED_FUNCTION -> {
        long[] weight = {s.heads(), s.width(), ranks.width()};
        long[] bias = {s.heads(), ranks.width()};
        yield List.of(rows, rows, rows, weight, bias, weight, bias);
      }
      case MHA -> Collections.nCopies(3, new long[] {1, s.tokens(), s.heads() * s.width()});
      case ATTENTION, SOFTMAX -> Collections.nCopies(3, rows);
    };
  }

  /** @param ranks of the linear operators; the others take none */
  byte[] model(Shape s, RankSpec ranks) {
    return switch (this) {
      case HADAMARD, HADAMARD_FUNCTION -> model(s, ranks, OPSET, hadamard(HadamardFunction.CORE, ranks).build());
      case FUSED, FUSED_FUNCTION -> model(s, ranks, OPSET, hadamard(HadamardFunction.FUSED, ranks)
          .addAttribute(text("activations", activations(ranks)))
          .addAttribute(text("layout", "BHND"))
          .addAttribute(integer("num_heads", s.heads())).build());
      case MHA -> model(s, ranks, OPSET, node("MultiHeadAttention").setDomain(MICROSOFT).addAttribute(integer("num_heads", s.heads())).build());
      case ATTENTION -> model(s, ranks, OPSET_OF_ATTENTION, node("Attention").build());
      // The usual scale stands on neither side of the product here: queries come scaled, which favours this form a little.
      case SOFTMAX -> model(s, ranks, OPSET,
          NodeProto.newBuilder().setOpType("Transpose").setName("transpose").addInput("key").addOutput("columns")
              .addAttribute(integers("perm", new int[] {0, 1, 3, 2})).build(),
          NodeProto.newBuilder().setOpType("MatMul").setName("scores").addInput("query").addInput("columns").addOutput("score").build(),
          NodeProto.newBuilder().setOpType("Softmax").setName("softmax").addInput("score").addOutput("weight")
              .addAttribute(integer("axis", -1)).build(),
          NodeProto.newBuilder().setOpType("MatMul").setName("attention").addInput("weight").addInput("value").addOutput("output").build());
    };
  }

  private static String activations(RankSpec ranks) {
    return String.join(",", Collections.nCopies(ranks.ranks().length, "softplus"));
  }

  private List<FunctionProto> functions(Shape s, RankSpec ranks) {
    DataType type = DataType.forNumber(onnx(s.type()));
    return switch (this) {
      case HADAMARD_FUNCTION -> List.of(HadamardFunction.core(OPSET, type, Set.of(ranks)));
      case FUSED_FUNCTION -> List.of(HadamardFunction.fused(OPSET, type, new FusedUses(List.of(new FactorUse(ranks, activations(ranks))), Set.of("BHND"), false)));
      default -> List.of();
    };
  }

  private NodeProto.Builder node(String type) {
    return NodeProto.newBuilder().setOpType(type).setName("attention").addAllInput(inputs).addOutput("output");
  }

  private NodeProto.Builder hadamard(String type, RankSpec ranks) {
    return node(type).setDomain(HadamardFunction.DOMAIN)
        .addAttribute(integers("ranks", ranks.ranks())).addAttribute(integers("powers", ranks.powers()))
        .addAttribute(AttributeProto.newBuilder().setName("epsilon").setType(AttributeType.FLOAT).setF(1e-6f));
  }

  private byte[] model(Shape s, RankSpec ranks, long opset, NodeProto... nodes) {
    GraphProto.Builder graph = GraphProto.newBuilder().setName(label()).addAllNode(Arrays.asList(nodes));
    List<long[]> shapes = shapes(s, ranks);
    for (int i = 0; i < shapes.size(); i++) {
      TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
      Arrays.stream(shapes.get(i)).forEach(size -> shape.addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(size)));
      graph.addInput(value(inputs.get(i), TypeProto.Tensor.newBuilder().setElemType(onnx(s.type())).setShape(shape)));
    }
    return ModelProto.newBuilder()
        .setIrVersion(opset < OPSET_OF_ATTENTION ? HadamardFunction.MIN_IR_VERSION : IR_OF_ATTENTION)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(opset))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(HadamardFunction.DOMAIN).setVersion(HadamardFunction.DOMAIN_VERSION))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(MICROSOFT).setVersion(1))
        .addAllFunctions(functions(s, ranks))
        .setGraph(graph.addOutput(value("output", TypeProto.Tensor.newBuilder().setElemType(onnx(s.type())))))
        .build().toByteArray();
  }

  private static ValueInfoProto value(String name, TypeProto.Tensor.Builder type) {
    return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(type)).build();
  }

  private static int onnx(ElementType type) {
    return switch (type) {
      case FLOAT32 -> DataType.FLOAT.getNumber();
      case FLOAT16 -> DataType.FLOAT16.getNumber();
      case BFLOAT16 -> DataType.BFLOAT16.getNumber();
      default -> throw new IllegalArgumentException("no attention in " + type);
    };
  }

  private static AttributeProto integer(String name, long value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.INT).setI(value).build();
  }

  private static AttributeProto integers(String name, int[] values) {
    AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    Arrays.stream(values).forEach(attribute::addInts);
    return attribute.build();
  }

  private static AttributeProto text(String name, String value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(value)).build();
  }
}
