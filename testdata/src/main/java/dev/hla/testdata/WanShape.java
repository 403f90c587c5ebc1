package dev.hla.testdata;

import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A model of the size of Wan2.1-14B: blocks of self-attention, text cross-attention and feed-forward, in float16, its
 * weights in sparse files beside it that take no room on the disk. It is there to be converted, not to be run.
 */
public final class WanShape {
  /** Blocks of Wan2.1-14B. */
  public static final int BLOCKS = 40;
  private static final long DIM = 5120;
  private static final long HEADS = 40;
  private static final long FEED_FORWARD = 13824;
  private static final long TOKENS = 32760;
  private static final long TEXT = 512;

  private final Path folder;
  private final GraphProto.Builder graph = GraphProto.newBuilder().setName("wan");
  private String location;
  private long bytes;

  private WanShape(Path folder) {
    this.folder = folder;
  }

  /**
   * Writes model.onnx and one weight file a block.
   *
   * @return the model file
   */
  public static Path write(Path folder) throws IOException {
    return new WanShape(folder).write();
  }

  private Path write() throws IOException {
    graph.addInput(info("hidden_states", 1, TOKENS, DIM)).addInput(info("encoder_hidden_states", 1, TEXT, DIM)).addOutput(info("sample", 1, TOKENS, DIM));
    integers("heads", 0, 0, HEADS, DIM / HEADS);
    integers("merged", 0, 0, DIM);
    half("root_scale", (float) Math.pow(DIM / HEADS, -0.25));
    String x = "hidden_states";
    for (int i = 0; i < BLOCKS; i++) {
      location = "block" + i + ".data";
      bytes = 0;
      try (RandomAccessFile file = new RandomAccessFile(folder.resolve(location).toFile(), "rw")) {
        x = add("/blocks." + i + "/Add", x, attention("/blocks." + i + "/attn", x, x));
        x = add("/blocks." + i + "/Add_1", x, attention("/blocks." + i + "/cross", x, "encoder_hidden_states"));
        String up = project("/blocks." + i + "/ffn/up", x, DIM, FEED_FORWARD);
        x = add("/blocks." + i + "/Add_2", x, project("/blocks." + i + "/ffn/down", node("Relu", "/blocks." + i + "/ffn/Relu", List.of(up)), FEED_FORWARD, DIM));
        file.setLength(bytes);
      }
    }
    graph.addNode(NodeProto.newBuilder().setOpType("Identity").setName("/Identity").addInput(x).addOutput("sample"));
    ModelProto model = ModelProto.newBuilder().setIrVersion(8).setProducerName("testdata").addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17))
        .setGraph(graph).build();
    return Files.write(folder.resolve("model.onnx"), model.toByteArray());
  }

  private String attention(String scope, String x, String context) {
    String q = heads(scope + "/q", project(scope + "/to_q", x, DIM, DIM), 0, 2, 1, 3);
    String k = heads(scope + "/k", project(scope + "/to_k", context, DIM, DIM), 0, 2, 3, 1);
    String v = heads(scope + "/v", project(scope + "/to_v", context, DIM, DIM), 0, 2, 1, 3);
    String scores = node("MatMul", scope + "/MatMul", List.of(node("Mul", scope + "/Mul", List.of(q, "root_scale")), node("Mul", scope + "/Mul_1", List.of(k, "root_scale"))));
    String p = node("Softmax", scope + "/Softmax", List.of(scores), AttributeProto.newBuilder().setName("axis").setType(AttributeType.INT).setI(-1).build());
    String o = node("MatMul", scope + "/MatMul_1", List.of(p, v));
    String merged = node("Reshape", scope + "/Reshape", List.of(node("Transpose", scope + "/Transpose", List.of(o), perm(0, 2, 1, 3)), "merged"));
    return project(scope + "/out", merged, DIM, DIM);
  }

  private String heads(String scope, String x, long... perm) {
    return node("Transpose", scope + "/Transpose", List.of(node("Reshape", scope + "/Reshape", List.of(x, "heads"))), perm(perm));
  }

  private static AttributeProto perm(long... values) {
    AttributeProto.Builder a = AttributeProto.newBuilder().setName("perm").setType(AttributeType.INTS);
    for (long v : values) {
      a.addInts(v);
    }
    return a.build();
  }

  private String add(String name, String a, String b) {
    return node("Add", name, List.of(a, b));
  }

  private String project(String scope, String x, long from, long to) {
    String weight = scope + ".weight";
    long length = 2 * from * to;
    graph.addInitializer(TensorProto.newBuilder().setName(weight).setDataType(DataType.FLOAT16_VALUE).addDims(from).addDims(to)
        .setDataLocation(TensorProto.DataLocation.EXTERNAL).addExternalData(entry("location", location))
        .addExternalData(entry("offset", Long.toString(bytes))).addExternalData(entry("length", Long.toString(length))));
    bytes += length;
    return node("MatMul", scope + "/MatMul", List.of(x, weight));
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  private String node(String op, String name, List<String> inputs, AttributeProto... attributes) {
    graph.addNode(NodeProto.newBuilder().setOpType(op).setName(name).addAllInput(inputs).addOutput(name + "_output_0").addAllAttribute(List.of(attributes)));
    return name + "_output_0";
  }

  private void integers(String name, long... values) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(DataType.INT64_VALUE).addDims(values.length);
    for (long v : values) {
      t.addInt64Data(v);
    }
    graph.addInitializer(t);
  }

  private void half(String name, float value) {
    graph.addInitializer(TensorProto.newBuilder().setName(name).setDataType(DataType.FLOAT16_VALUE).addInt32Data(Precision.FLOAT16.bits(value) & 0xffff));
  }

  private static ValueInfoProto info(String name, long... dims) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (long d : dims) {
      shape.addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(d));
    }
    return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(
        TypeProto.Tensor.newBuilder().setElemType(DataType.FLOAT16_VALUE).setShape(shape))).build();
  }
}
