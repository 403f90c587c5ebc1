package dev.hla.converter.rewrite;

import com.google.protobuf.ByteString;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.AttributeProto.AttributeType;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorProto.DataType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Collects the new nodes and tensors of one site, in order. It knows how each operator is spelled at the model's opset:
 * Squeeze, Unsqueeze and Split took their axes and sizes as attributes before opset 13.
 */
final class Emitter {
  private final String scope;
  private final long opset;
  private final Set<String> taken;
  private final List<NodeProto> nodes = new ArrayList<>();
  private final List<TensorProto> tensors = new ArrayList<>();

  /**
   * @param scope prefix of every new name: the site's
   * @param taken all names of the model; new ones are added
   */
  Emitter(String scope, long opset, Set<String> taken) {
    this.scope = scope;
    this.opset = opset;
    this.taken = taken;
  }

  List<NodeProto> nodes() {
    return nodes;
  }

  List<TensorProto> tensors() {
    return tensors;
  }

  String unique(String name) {
    String full = scope + "/" + name;
    String free = full;
    for (int i = 2; !taken.add(free); i++) {
      free = full + "_" + i;
    }
    return free;
  }

  /** A node with one output, named after what it gives. */
  String node(String op, String gives, List<String> inputs, AttributeProto... attributes) {
    String output = unique(gives);
    add(op, "", gives, inputs, List.of(output), List.of(attributes));
    return output;
  }

  NodeProto.Builder add(String op, String domain, String name, List<String> inputs, List<String> outputs, List<AttributeProto> attributes) {
    NodeProto.Builder node = NodeProto.newBuilder().setOpType(op).setName(unique(name + "." + op)).addAllInput(inputs).addAllOutput(outputs)
        .addAllAttribute(attributes);
    if (!domain.isEmpty()) {
      node.setDomain(domain);
    }
    nodes.add(node.build());
    return node;
  }

  void replaceLast(NodeProto node) {
    nodes.set(nodes.size() - 1, node);
  }

  String transpose(String x, String from, String to, String gives) {
    long[] perm = new long[to.length()];
    for (int i = 0; i < perm.length; i++) {
      perm[i] = from.indexOf(to.charAt(i));
    }
    return node("Transpose", gives, List.of(x), ints("perm", perm));
  }

  String reshape(String x, String gives, long... shape) {
    return node("Reshape", gives, List.of(x, integers(gives + ".shape", shape)));
  }

  String cast(String x, int type, String gives) {
    return node("Cast", gives, List.of(x), integer("to", type));
  }

  String squeeze(String x, String gives, long... axes) {
    return opset < 13 ? node("Squeeze", gives, List.of(x), ints("axes", axes))
        : node("Squeeze", gives, List.of(x, integers(gives + ".axes", axes)));
  }

  String unsqueeze(String x, String gives, long... axes) {
    return opset < 13 ? node("Unsqueeze", gives, List.of(x), ints("axes", axes))
        : node("Unsqueeze", gives, List.of(x, integers(gives + ".axes", axes)));
  }

  /** Parts along an axis; a single part is x itself. */
  List<String> split(String x, String gives, long axis, long... sizes) {
    if (sizes.length == 1) {
      return List.of(x);
    }
    List<String> outputs = new ArrayList<>();
    for (int i = 0; i < sizes.length; i++) {
      outputs.add(unique(gives + "." + i));
    }
    if (opset < 13) {
      add("Split", "", gives, List.of(x), outputs, List.of(integer("axis", axis), ints("split", sizes)));
    } else {
      add("Split", "", gives, List.of(x, integers(gives + ".sizes", sizes)), outputs, List.of(integer("axis", axis)));
    }
    return outputs;
  }

  String integers(String name, long... values) {
    ByteBuffer raw = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (long v : values) {
      raw.putLong(v);
    }
    return tensor(name, DataType.INT64_VALUE, raw, values.length);
  }

  /** A tensor of float, float16 or bfloat16, rounded to nearest. */
  String reals(String name, int type, float[] values, long... dims) {
    boolean wide = type == DataType.FLOAT_VALUE;
    ByteBuffer raw = ByteBuffer.allocate((wide ? 4 : 2) * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float v : values) {
      if (wide) {
        raw.putFloat(v);
      } else {
        raw.putShort(type == DataType.FLOAT16_VALUE ? Half.ofFloat(v) : Half.bfloat16(v));
      }
    }
    return tensor(name, type, raw, dims);
  }

  private String tensor(String name, int type, ByteBuffer raw, long... dims) {
    TensorProto.Builder t = TensorProto.newBuilder().setName(unique(name)).setDataType(type).setRawData(ByteString.copyFrom(raw.flip()));
    for (long d : dims) {
      t.addDims(d);
    }
    tensors.add(t.build());
    return t.getName();
  }

  static AttributeProto integer(String name, long value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.INT).setI(value).build();
  }

  static AttributeProto real(String name, float value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.FLOAT).setF(value).build();
  }

  static AttributeProto ints(String name, long... values) {
    AttributeProto.Builder a = AttributeProto.newBuilder().setName(name).setType(AttributeType.INTS);
    for (long v : values) {
      a.addInts(v);
    }
    return a.build();
  }

  static AttributeProto string(String name, String value) {
    return AttributeProto.newBuilder().setName(name).setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(value)).build();
  }
}
