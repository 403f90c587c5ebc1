package dev.hla.converter.rewrite;

import dev.hla.converter.Activation;
import dev.hla.converter.HadamardFunction;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.graph.Node;
import dev.hla.converter.wiring.MaskOperand;
import dev.hla.converter.wiring.Operand;
import dev.hla.converter.wiring.Wiring;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.StringStringEntryProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * Lowers one site: to one fused node, with tokens before heads where the graph allows it, or to feature maps as ordinary
 * nodes, key mask and the core operator; then to the layout that the graph expects.
 */
final class SiteRewriter {
  private static final Set<Activation> FUSED_ACTIVATIONS = Set.of(Activation.IDENTITY, Activation.SOFTPLUS, Activation.RELU, Activation.EXP);

  private static final List<String> SIDES = List.of("query", "key", "value");

  private final AttentionSite site;
  private final Wiring wiring;
  private final SiteMaps maps;
  private final Emitter out;
  private final int type;
  private final boolean fused;
  /** The operands of a fused node, or null: then it takes heads before tokens, or the site becomes no fused node. */
  private final TokensFirst tokensFirst;
  private final Lowering lowering;

  SiteRewriter(AttentionSite site, SiteMaps maps, Lowering lowering, Emitter out) {
    this.site = site;
    this.wiring = Wiring.of(site);
    this.maps = maps;
    this.out = out;
    this.type = wiring.value().type();
    this.lowering = lowering;
    this.fused = lowering == Lowering.FUSED && fusable();
    this.tokensFirst = fused ? tokensFirst() : null;
  }

  /** The node of the original whose output the new nodes give in its place. */
  Node replaced() {
    return wiring.graph().producer(result().value());
  }

  /** The operator that the site becomes: fused with its maps, or the core operator after maps of plain nodes; "" for none. */
  String operator() {
    return lowering == Lowering.PORTABLE ? "" : fused ? HadamardFunction.FUSED : HadamardFunction.CORE;
  }

  private Operand result() {
    return tokensFirst == null ? wiring.output() : tokensFirst.output();
  }

  /** Emits everything; the last node gives the tensor that the graph reads in place of the original's. */
  void emit(boolean fitted) {
    if (tokensFirst != null) {
      Operand[] qkv = inOneType(operands(tokensFirst.query(), tokensFirst.key(), tokensFirst.value()));
      Operand ofQuery = takenOut(qkv[0], "query");
      String query = tokensFirst.output().axes().equals(Operand.PACKED) ? packed(ofQuery, "query") : ofQuery.value();
      emitFused(List.of(query, takenOut(qkv[1], "key").value(), takenOut(qkv[2], "value").value()), Operand.BNHD, tokensFirst.output().value(), fitted);
    } else if (fused) {
      Operand[] qkv = inOneType(operands(wiring.query(), wiring.key(), wiring.value()));
      List<String> rows = List.of(headsFirst(qkv[0], "query", site.heads()), headsFirst(qkv[1], "key", wiring.kvHeads()),
          headsFirst(qkv[2], "value", wiring.kvHeads()));
      deliver(output -> emitFused(rows, Operand.BHND, output, fitted));
    } else {
      emitCore(fitted);
    }
  }

  /** The fused node takes no hidden layer, and a mask only if it is the same for all heads. */
  private boolean fusable() {
    return maps != null && (wiring.mask() == null || !wiring.mask().perHead()) && maps.query().hidden().isEmpty() && maps.key().hidden().isEmpty()
        && maps.activations().stream().allMatch(FUSED_ACTIVATIONS::contains) && castable(wiring.query()) && castable(wiring.key());
  }

  /** Whether it can be cast to the type of the values: the fused node takes tensors of one type. */
  private boolean castable(Operand operand) {
    return operand.type() == type || operand.type() == DataType.FLOAT_VALUE || (type == DataType.FLOAT_VALUE && operand.type() != 0);
  }

  private Operand[] inOneType(Operand[] qkv) {
    for (int i = 0; i < 2; i++) {
      if (qkv[i].type() != type) {
        qkv[i] = new Operand(out.cast(qkv[i].value(), type, i == 0 ? "query" : "key"), qkv[i].axes(), type);
      }
    }
    return qkv;
  }

  /** Null where an operand has heads first and no Transpose that made it so, or heads are grouped. */
  private TokensFirst tokensFirst() {
    TokensFirst operands = wiring.kvHeads() == site.heads() ? TokensFirst.of(wiring) : null;
    return operands != null && (operands.output().type() == type || operands.output().type() == 0) ? operands : null;
  }

  private void emitFused(List<String> queryKeyValue, String layout, String output, boolean fitted) {
    List<String> inputs = new ArrayList<>(queryKeyValue);
    for (String side : List.of("query", "key")) {
      SiteMaps.Side map = side.equals("query") ? maps.query() : maps.key();
      inputs.add(out.reals(side + ".weight", type, map.weight(), map.heads(), map.headDim(), map.width()));
      inputs.add(out.reals(side + ".bias", type, map.bias(), map.heads(), map.width()));
    }
    if (wiring.mask() != null) {
      inputs.add(keyMask(wiring.mask()));
    }
    NodeProto.Builder node = out.add(HadamardFunction.FUSED, HadamardFunction.DOMAIN, "fused", inputs, List.of(output),
        List.of(Emitter.ints("ranks", longs(maps.ranks())), Emitter.ints("powers", longs(maps.powers())), Emitter.real("epsilon", maps.epsilon()),
            Emitter.string("activations", maps.activations().stream().map(Activation::word).collect(Collectors.joining(","))),
            Emitter.string("layout", layout), Emitter.integer("num_heads", site.heads())));
    out.replaceLast(described(node, fitted));
  }

  private NodeProto described(NodeProto.Builder node, boolean fitted) {
    return node.addMetadataProps(entry("hla.site", site.name())).addMetadataProps(entry("hla.form", site.form()))
        .addMetadataProps(entry("hla.source_node", site.node())).addMetadataProps(entry("hla.source_output", result().value()))
        .addMetadataProps(entry("hla.maps", fitted ? "fitted" : "unfitted")).build();
  }

  private void emitCore(boolean fitted) {
    Operand[] qkv = operands(wiring.query(), wiring.key(), wiring.value());
    FeatureEmitter features = new FeatureEmitter(out, maps);
    String query = features.features(headsFirst(qkv[0], "query", site.heads()), qkv[0].type(), maps.query(), "query", type);
    // A mask takes a product, which ONNX Runtime's CPU provider has not for bfloat16.
    int working = wiring.mask() != null && type == DataType.BFLOAT16_VALUE ? DataType.FLOAT_VALUE : type;
    String key = features.features(headsFirst(qkv[1], "key", wiring.kvHeads()), qkv[1].type(), maps.key(), "key", working);
    if (wiring.mask() != null) {
      key = out.node("Mul", "masked_key_features", List.of(key, keyFactor(wiring.mask(), Arrays.stream(maps.powers()).sum(), working)));
      key = working == type ? key : out.cast(key, type, "masked_key_features");
    }
    String value = headsFirst(qkv[2], "value", wiring.kvHeads());
    if (lowering == Lowering.PORTABLE) {
      emitPlain(query, key, value, fitted);
      return;
    }
    String keyFeatures = key;
    deliver(output -> {
      NodeProto.Builder core = out.add(HadamardFunction.CORE, HadamardFunction.DOMAIN, "core", List.of(query, keyFeatures, value), List.of(output),
          List.of(Emitter.ints("ranks", longs(maps.ranks())), Emitter.ints("powers", longs(maps.powers())), Emitter.real("epsilon", maps.epsilon())));
      out.replaceLast(described(core, fitted));
    });
  }

  /** The last node tells what a node of ours would tell by its attributes and inputs. */
  private void emitPlain(String query, String key, String value, boolean fitted) {
    String attended = new PlainAttention(out, maps).attend(query, key, value, type);
    if (!outputIsHeadsFirst()) {
      deliver(attended, wiring.output());
    }
    NodeProto last = out.nodes().get(out.nodes().size() - 1);
    out.replaceLast(described(last.toBuilder().setOutput(0, wiring.output().value())
        .addMetadataProps(entry("hla.ranks", maps.spec().toString())).addMetadataProps(entry("hla.epsilon", Float.toString(maps.epsilon())))
        .addMetadataProps(entry("hla.query_features", query)).addMetadataProps(entry("hla.key_features", key)), fitted));
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  private static long[] longs(int[] values) {
    return Arrays.stream(values).asLongStream().toArray();
  }

  /** The three operands, computed first where the operator had projections or biases inside. */
  private Operand[] operands(Operand... qkv) {
    if (wiring.weight() != null) {
      String product = out.node("MatMul", "projected", List.of(qkv[0].value(), wiring.weight()));
      String projected = wiring.bias() == null ? product : out.node("Add", "projected_bias", List.of(product, wiring.bias()));
      long width = site.heads() * site.headDim();
      List<String> parts = out.split(projected, "projected", 2, width, width, width);
      for (int i = 0; i < 3; i++) {
        qkv[i] = new Operand(parts.get(i), Operand.PACKED, qkv[i].type());
      }
    } else if (wiring.bias() != null) {
      long width = site.heads() * site.headDim();
      List<String> parts = out.split(wiring.bias(), "bias", 0, width, width, width);
      for (int i = 0; i < 3; i++) {
        String own = packed(takenOut(qkv[i], SIDES.get(i)), SIDES.get(i));
        qkv[i] = new Operand(out.node("Add", "biased_" + i, List.of(own, parts.get(i))), Operand.PACKED, qkv[i].type());
      }
    }
    return qkv;
  }

  /** [B, H, N, d] of the site's type, reading the operand where it is. */
  private String headsFirst(Operand operand, String side, long heads) {
    Operand own = takenOut(operand, side);
    String value = own.value();
    String axes = own.axes();
    if (axes.endsWith("C")) {
      value = out.reshape(value, side + "_heads", 0, 0, heads, -1);
      axes = axes.replace("C", "HD");
    } else if (axes.contains("X")) {
      value = out.reshape(out.transpose(value, axes, "NDX", side + "_joined_last"), side + "_apart", 0, 0, -1, heads);
      axes = "NDBH";
    }
    if (!axes.equals(Operand.BHND)) {
      value = out.transpose(value, axes, Operand.BHND, side + "_heads_first");
    }
    if (heads < site.heads()) {
      value = repeated(value, side, heads);
    }
    return side.equals("value") && operand.type() != type ? out.cast(value, type, "value") : value;
  }

  /** An operand that lies in one tensor with others, by itself. */
  private Operand takenOut(Operand operand, String side) {
    if (!operand.isShared()) {
      return operand;
    }
    int which = side.equals("query") ? 0 : operand.axes().charAt(3) == '3' ? (side.equals("key") ? 1 : 2) : side.equals("key") ? 0 : 1;
    String value = out.node("Gather", side, List.of(operand.value(), scalarIndex(side, which)), Emitter.integer("axis", 3));
    return new Operand(value, Operand.BNHD, operand.type());
  }

  /** [B, N, H*d] of an operand with tokens before heads: a view. */
  private String packed(Operand operand, String side) {
    return operand.axes().equals(Operand.BNHD) ? out.reshape(operand.value(), side + "_packed", 0, 0, -1) : operand.value();
  }

  private String scalarIndex(String side, int which) {
    return out.squeeze(out.integers(side + ".index", which), side + "_index", 0);
  }

  /** Grouped-query attention: each head of key and value serves several query heads in a row. */
  private String repeated(String value, String side, long heads) {
    // Not by Expand: ONNX Runtime's CPU provider has none for bfloat16.
    String which = out.integers(side + ".heads", LongStream.range(0, site.heads()).map(head -> head * heads / site.heads()).toArray());
    return out.node("Gather", side + "_all_heads", List.of(value, which), Emitter.integer("axis", 1));
  }

  /** Emits what the site reads and gives in the operator's own layout, with the original attention left in place. */
  SiteProbe.Names probe() {
    Operand[] qkv = operands(wiring.query(), wiring.key(), wiring.value());
    String query = headsFirst(qkv[0], "query", site.heads());
    String key = headsFirst(qkv[1], "key", wiring.kvHeads());
    String value = headsFirst(qkv[2], "value", wiring.kvHeads());
    String output = headsFirst(wiring.output(), "output", site.heads());
    return new SiteProbe.Names(site, query, key, value, output, wiring.mask() == null ? "" : keyFactor(wiring.mask(), 1, type));
  }

  /** What is added to the logarithms of the keys' weights, float [B or 1, M]. */
  private String keyMask(MaskOperand operand) {
    MaskOperand mask = firstRow(operand);
    String rows = switch (mask.form()) {
      case KEEP -> chosen(out.cast(mask.value(), DataType.BOOL_VALUE, "kept"), 0, Float.NEGATIVE_INFINITY);
      case DROP -> chosen(mask.value(), Float.NEGATIVE_INFINITY, 0);
      case ADDED -> {
        String wide = out.cast(mask.value(), DataType.FLOAT_VALUE, "mask_float");
        yield mask.factor() == 1 ? wide
            : out.node("Mul", "scaled_mask", List.of(wide, out.reals("mask.factor", DataType.FLOAT_VALUE, new float[] {(float) mask.factor()})));
      }
    };
    return switch (mask.axes()) {
      case "BHQM" -> out.squeeze(rows, "key_mask", 1, 2);
      case "HQM" -> out.squeeze(rows, "key_mask", 0);
      case "M" -> out.unsqueeze(rows, "key_mask", 0);
      case "" -> out.unsqueeze(rows, "key_mask", 0, 1);
      default -> rows;
    };
  }

  private String chosen(String condition, float then, float otherwise) {
    return out.node("Where", "mask_rows", List.of(condition, out.reals("mask.then", DataType.FLOAT_VALUE, new float[] {then}),
        out.reals("mask.else", DataType.FLOAT_VALUE, new float[] {otherwise})));
  }

  /**
   * What each key's features are multiplied with, [.., M, 1]: 0 for a masked key, exp(m / degree) for a mask m that is
   * added.
   *
   * @param degree P = sum of powers: how often a key's features take part in one weight
   * @param type of the factor
   */
  private String keyFactor(MaskOperand operand, int degree, int type) {
    MaskOperand mask = firstRow(operand);
    String factor = mask.value();
    switch (mask.form()) {
      case KEEP -> factor = out.cast(factor, type, "kept_keys");
      case DROP -> factor = out.cast(out.node("Not", "unmasked", List.of(factor)), type, "kept_keys");
      default -> {
        // All features of a key take part P = sum of powers times in a weight, so each carries the P-th root of exp(m).
        String share = out.reals("mask.share", DataType.FLOAT_VALUE, new float[] {(float) (mask.factor() / degree)});
        String wide = out.cast(factor, DataType.FLOAT_VALUE, "mask_float");
        factor = out.cast(out.node("Exp", "mask_weight", List.of(out.node("Mul", "mask_share", List.of(wide, share)))), type, "mask_factor");
      }
    }
    return column(factor, mask.axes());
  }

  /** A mask with one row for all queries: that of the first, where each has the same. */
  private MaskOperand firstRow(MaskOperand mask) {
    return !mask.repeated() ? mask
        : new MaskOperand(out.node("Gather", "mask_first_row", List.of(mask.value(), out.integers("mask.first", 0)), Emitter.integer("axis", mask.axes().indexOf('Q'))),
            mask.form(), mask.factor(), mask.axes(), mask.perHead(), false);
  }

  /** The mask with its keys in the last but one axis, without moving data. */
  private String column(String value, String axes) {
    if (axes.equals("BM")) {
      return out.unsqueeze(value, "mask_column", 1, 3);
    }
    int rank = axes.length();
    if (rank == 0) {
      return out.unsqueeze(value, "mask_column", 0, 1);
    }
    String rows = rank >= 2 ? out.squeeze(value, "mask_row", rank - 2) : value;
    return out.unsqueeze(rows, "mask_column", rank >= 2 ? rank - 1 : 1);
  }

  /** Whether the rest of the graph reads [B, H, N, dv] of the site's type. */
  private boolean outputIsHeadsFirst() {
    return wiring.output().axes().equals(Operand.BHND) && (wiring.output().type() == type || wiring.output().type() == 0);
  }

  /** Emits an attention that gives [B, H, N, dv] under the name that it is told, and what makes of it what the graph reads. */
  private void deliver(Consumer<String> attention) {
    String output = outputIsHeadsFirst() ? wiring.output().value() : out.unique("output");
    attention.accept(output);
    if (!outputIsHeadsFirst()) {
      deliver(output, wiring.output());
    }
  }

  /** From [B, H, N, dv] to the layout and type that the rest of the graph reads, under the original's name. */
  private void deliver(String output, Operand result) {
    boolean packed = result.axes().equals(Operand.PACKED);
    boolean joined = result.axes().contains("X");
    String axes = packed ? Operand.BNHD : joined ? "NDBH" : result.axes();
    String value = output;
    boolean cast = result.type() != 0 && result.type() != type;
    if (cast) {
      value = out.cast(value, result.type(), "output_cast");
    }
    if (!axes.equals(Operand.BHND)) {
      value = out.transpose(value, Operand.BHND, axes, "output_tokens_first");
    }
    if (packed) {
      out.reshape(value, "output_packed", 0, 0, -1);
    } else if (joined) {
      // Batch and heads last, so that a reshape joins them without being told how many channels there are.
      out.transpose(out.reshape(value, "output_joined", 0, 0, -1), "NDX", result.axes(), "output_joined_first");
    }
    NodeProto last = out.nodes().get(out.nodes().size() - 1);
    out.replaceLast(last.toBuilder().setOutput(0, result.value()).build());
  }
}
