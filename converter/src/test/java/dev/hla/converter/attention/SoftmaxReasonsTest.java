package dev.hla.converter.attention;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.hla.converter.Dim;
import dev.hla.converter.TinyModel;
import dev.hla.converter.wiring.WiredSite;
import dev.hla.onnx.AttributeProto;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Nodes around a softmax that make it more than attention, or that do not: what is found, and why it is kept. */
class SoftmaxReasonsTest {
  private static final AttributeProto[] NONE = {};
  private static final String CHANGED = "Where /p2/Where changes probabilities after the softmax; expected the product with the values alone";

  /** Scores s of q and k, [2, 4, 12, 7], and what may meet them. */
  private static TinyModel scores() {
    return new TinyModel().input("q", 2, 4, 12, 8).input("kt", 2, 4, 8, 6).input("v", 2, 4, 6, 8).input("drop", 2, 1, 1, 6).input("causal", 1, 1, 12, 6)
        .input("m", 2, 1, 1, 6).input("thirds", 2, 1, 1, 2).input("t", 1).input("flat", 8, 1, 6).input("rows", 2, 1, 12, 1).input("other", 2, 4, 12, 6).number("low", -1e9f).number("zero", 0).number("one", 1).number("half", 0.5f)
        .node("MatMul", List.of("q", "kt"), List.of("s"));
  }

  /** The softmax p of scores. */
  private static TinyModel softmax(TinyModel m, String scores) {
    return m.node("Softmax", List.of(scores), List.of("p"), TinyModel.integer("axis", -1));
  }

  /** The attention output of probabilities. */
  private static TinyModel attended(TinyModel m, String probabilities) {
    return m.node("MatMul", List.of(probabilities, "v"), List.of("y")).output("y", 2, 4, 12, 8);
  }

  private static TinyModel plain(String scores) {
    return attended(softmax(scores(), scores), "p");
  }

  private static TinyModel after(String op, String... inputs) {
    return attended(softmax(scores(), "s").node(op, List.of(inputs), List.of("p2")), "p2");
  }

  private static TinyModel masked() {
    return softmax(keysMasked(), "masked");
  }

  private static TinyModel keysMasked() {
    return scores().node("Where", List.of("drop", "low", "s"), List.of("masked"));
  }

  /** Rows in which every score is low, asked of what the softmax reads. */
  private static TinyModel rowsOf(TinyModel m, String asked) {
    return m.node("Greater", List.of(asked, "low"), List.of("kept")).node("ReduceMax", List.of("kept"), List.of("any"), TinyModel.ints("axes", -1));
  }

  /** Probabilities of the rows whose highest score is above a bound. */
  private static TinyModel highest(String bound) {
    return softmax(scores(), "s").node("ReduceMax", List.of("s"), List.of("most"), TinyModel.ints("axes", -1)).node("Greater", List.of("most", bound), List.of("any"))
        .node("Where", List.of("any", "p", "zero"), List.of("p2"));
  }

  static Stream<Arguments> probabilities() {
    return Stream.of(
        Arguments.of("plain", plain("s"), ""),
        Arguments.of("a causal mask", after("Where", "causal", "p", "zero"), CHANGED),
        Arguments.of("other probabilities", after("Where", "drop", "other", "p"), CHANGED),
        Arguments.of("a mask of keys that is not on the scores", after("Where", "drop", "zero", "p"), CHANGED),
        Arguments.of("a mask of queries", after("Where", "rows", "p", "zero"), CHANGED),
        Arguments.of("the scores' mask again", attended(masked().node("Where", List.of("drop", "zero", "p"), List.of("p2")), "p2"), ""),
        Arguments.of("the scores' mask again, negated",
            attended(masked().node("Not", List.of("drop"), List.of("keep")).node("Where", List.of("keep", "p", "zero"), List.of("p2")), "p2"), ""),
        Arguments.of("the scores' mask the other way round", attended(masked().node("Where", List.of("drop", "p", "zero"), List.of("p2")), "p2"), CHANGED),
        Arguments.of("an added mask again", attended(softmax(scores().node("Where", List.of("drop", "low", "zero"), List.of("mask"))
            .node("Add", List.of("s", "mask"), List.of("masked")), "masked").node("Where", List.of("drop", "zero", "p"), List.of("p2")), "p2"), ""),
        Arguments.of("a guard of rows without keys", attended(rowsOf(masked(), "masked").node("Where", List.of("any", "p", "zero"), List.of("p2")), "p2"), ""),
        Arguments.of("rows chosen by something else", attended(rowsOf(masked(), "other").node("Where", List.of("any", "p", "zero"), List.of("p2")), "p2"), CHANGED),
        Arguments.of("rows whose scores are low", attended(highest("low"), "p2"), ""),
        Arguments.of("rows whose scores are not high", attended(highest("one"), "p2"), CHANGED),
        Arguments.of("a Dropout", after("Dropout", "p", "half"), ""),
        Arguments.of("a Dropout without training", after("Dropout", "p", "half", "zero"), ""),
        Arguments.of("a Dropout that an input rules", after("Dropout", "p", "half", "t"),
            "Dropout /p2/Dropout drops probabilities where its training_mode says so; expected a model for inference"),
        Arguments.of("a Dropout in training", after("Dropout", "p", "half", "one"),
            "Dropout /p2/Dropout drops probabilities where its training_mode says so; expected a model for inference"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("probabilities")
  void areGiven(String name, TinyModel model, String reason) {
    SiteReport report = AttentionFinder.find(model.model());
    assertEquals(List.of(), report.notAttention());
    assertEquals(reason, report.sites().get(0).reason());
  }

  private static TinyModel decomposed(long... axes) {
    return attended(scores().integers("axes", axes).node("Exp", List.of("s"), List.of("e")).node("ReduceSum", List.of("e", "axes"), List.of("sum"))
        .node("Div", List.of("e", "sum"), List.of("p")), "p");
  }

  private static TinyModel fused(String attribute) {
    return new TinyModel().input("q", 4, 4, 4, 4).input("k", 4, 4, 4, 4).input("v", 4, 4, 4, 4)
        .node("com.microsoft.FusedMatMul", List.of("q", "k"), List.of("s"), attribute.isEmpty() ? NONE : new AttributeProto[] {TinyModel.integer(attribute, 1)})
        .node("Softmax", List.of("s"), List.of("p"), TinyModel.integer("axis", -1)).node("com.microsoft.FusedMatMul", List.of("p", "v"), List.of("y")).output("y", 4, 4, 4, 4);
  }

  private static TinyModel einsum(String scores, String product) {
    return new TinyModel().input("q", 2, 12, 4, 8).input("k", 2, 6, 4, 8).input("v", 2, 6, 4, 8)
        .node("Einsum", scores.startsWith("bk") ? List.of("k", "q") : List.of("q", "k"), List.of("s"), TinyModel.string("equation", scores))
        .node("Softmax", List.of("s"), List.of("p"), TinyModel.integer("axis", -1))
        .node("Einsum", List.of("p", "v"), List.of("y"), TinyModel.string("equation", product)).output("y");
  }

  static Stream<Arguments> products() {
    return Stream.of(
        Arguments.of("a sum over the keys", decomposed(-1), ""),
        Arguments.of("a sum over the keys, counted from the first", decomposed(3), ""),
        Arguments.of("a sum over heads and keys", decomposed(1, 3), "ReduceSum /sum/ReduceSum does not reduce the last axis alone; expected the keys' axis with keepdims"),
        Arguments.of("a scale of each head",
            attended(softmax(scores().weight("each", 4, 1, 1).node("Mul", List.of("s", "each"), List.of("scaled")), "scaled"), "p"),
            "Mul /scaled/Mul multiplies what the softmax reads by a tensor, as by a scale of each head; expected one number, a mask or the product of query and key"),
        Arguments.of("a mask of more queries than the scores have",
            attended(softmax(scores().input("single", 2, 4, 1, 8).node("MatMul", List.of("single", "kt"), List.of("row")).node("Add", List.of("row", "causal"), List.of("masked")), "masked"), "p"),
            "a mask repeats its scores 12 times along an axis of one entry, at Add /masked/Add; expected one of their sizes"),
        Arguments.of("a mask of five axes", computed("Reshape m five"), "a mask gives its scores 5 axes; expected 4, as they have without it"),
        Arguments.of("fused products", fused(""), ""),
        Arguments.of("a fused product of tokens first", fused("transBatchA"), ""),
        Arguments.of("a fused product of keys first", fused("transBatchB"), ""),
        Arguments.of("an einsum", einsum("bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd"), ""),
        Arguments.of("an einsum of key and query", einsum("bkhd,bqhd->bhqk", "bhqk,bkhd->bqhd"), ""),
        Arguments.of("an einsum with heads before the batch", einsum("bqhd,bkhd->hbqk", "hbqk,bkhd->bqhd"),
            "Einsum /s/Einsum computes bqhd,bkhd->hbqk, which swaps batch and heads; expected them in the scores' order in the query"),
        Arguments.of("a sum over the heads", einsum("bqhd,bkhd->bhqk", "bhqk,bkhd->bqd"), "the Einsum term 'bqd' has 3 axes; expected 4, named bhqd"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("products")
  void areNone(String name, TinyModel model, String reason) {
    SiteReport report = AttentionFinder.find(model.model());
    assertEquals(reason.isEmpty() ? List.of() : List.of(reason), report.notAttention().stream().map(NotAttention::reason).toList());
    assertEquals(reason.isEmpty() ? List.of("") : List.of(), report.sites().stream().map(AttentionSite::reason).toList());
    report.sites().forEach(s -> assertEquals(Dim.of(6).equals(s.keyTokens()) ? Dim.of(12) : s.keyTokens(), s.queryTokens()));
  }

  private static TinyModel added(TinyModel m, String mask) {
    return added(m, "s", mask);
  }

  private static TinyModel added(TinyModel m, String scores, String mask) {
    return attended(softmax(m.node("Add", List.of(scores, mask), List.of("masked")), "masked"), "p");
  }

  /** A mask that is computed, by the last of a few nodes: its operator and inputs, its output its own name. */
  private static TinyModel computed(String... nodes) {
    TinyModel m = scores().input("batch", 2, 1, 6).integers("rows3", 2, 12, 6).integers("each", 2, 1, 12, 6).integers("five", 1, 2, 1, 1, 6).integers("times", 1, 1, 12, 1).integers("thrice", 1, 1, 12, 3)
        .integers("nought", 0).integers("unit", 1).integers("twelve", 12).integers("last", 1).integers("positions", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
        .integers("column", 12, 1).integers("six", 0, 1, 2, 3, 4, 5).integers("sixth", 6, 1).input("fours", 4, 1, 1, 6).integers("tallest", 4, 1, 12, 6).integers("crossed", 1, 4, 12, 6).input("square", 6, 12);
    String mask = "";
    for (String node : nodes) {
      List<String> words = List.of(node.split(" "));
      mask = words.get(0).toLowerCase(Locale.ROOT);
      AttributeProto[] last = mask.equals("reducemax") ? new AttributeProto[] {TinyModel.ints("axes", -1)} : NONE;
      m.node(words.get(0), words.subList(1, words.size()), List.of(mask), last);
    }
    return added(m, mask);
  }

  /** Scores that meet one mask after the other. */
  private static TinyModel twice(String first, String second) {
    return added(scores().node("Add", List.of("s", first), List.of("once")), "once", second);
  }

  private static TinyModel joined(String mask) {
    TinyModel m = scores().integers("joined", 8, 12, 6).integers("apart", 2, 4, 12, 6).input("first", 2, 4, 1, 6).input("shared", 1, 1, 6)
        .integers("flatly", 8, 1, 6).node("Reshape", List.of("first", "flatly"), List.of("regrouped"))
        .input("lone", 8, 1, 1, 6).node("Reshape", List.of("lone", "flatly"), List.of("alone"))
        .node("Reshape", List.of("s", "joined"), List.of("s3")).node("Add", List.of("s3", mask), List.of("masked"));
    return attended(softmax(m, "masked").node("Reshape", List.of("p", "apart"), List.of("p4")), "p4");
  }

  private static TinyModel scaled(boolean masked, String factor) {
    TinyModel m = scores().node("Exp", List.of("half"), List.of("e")).node("Min", List.of("e", "one"), List.of("clipped"));
    m = masked ? m.node("Add", List.of("s", "m"), List.of("met")) : m.node("Identity", List.of("s"), List.of("met"));
    return attended(softmax(m.node("Mul", List.of("met", factor), List.of("scaled")), "scaled"), "p");
  }

  static Stream<Arguments> masks() {
    String unknown = "the scores are scaled after their mask by a number that the file does not hold, so what the mask adds is unknown; expected a constant scale";
    String depends = "the mask depends on the query, so the weights are no plain product over keys; expected one that is the same for every query";
    return Stream.of(
        Arguments.of("a scale", scaled(false, "half"), MaskKind.NONE, 0.5, ""),
        Arguments.of("a scale that the file does not hold", scaled(false, "t"), MaskKind.NONE, Double.NaN, ""),
        Arguments.of("a computed scale", scaled(false, "e"), MaskKind.NONE, Math.exp(0.5), ""),
        Arguments.of("a mask and a computed scale", scaled(true, "clipped"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask and a scale that the file does not hold", scaled(true, "t"), MaskKind.KEY, Double.NaN, unknown),
        Arguments.of("a mask tiled for each query", computed("Tile m times"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask tiled along the keys", computed("Tile thirds thrice"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask computed where it is expanded", computed("Expand m each", "Sub one expand"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask that meets a condition of every query", computed("Range nought twelve unit", "Unsqueeze range last", "GreaterOrEqual unsqueeze nought",
            "And greaterorequal m", "Where and zero low"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask that meets a condition of every position in the file", computed("Reshape positions column", "GreaterOrEqual reshape nought",
            "And greaterorequal m", "Where and zero low"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask that meets a condition of some queries", computed("Range nought twelve unit", "Unsqueeze range last", "GreaterOrEqual unsqueeze unit",
            "And greaterorequal m", "Where and zero low"), MaskKind.FULL, 1.0, depends),
        Arguments.of("a mask that is one row of a comparison", computed("Reshape six sixth", "GreaterOrEqual reshape six", "Gather greaterorequal unit", "Where gather zero low"),
            MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask that is gathered after it is expanded", computed("Expand m each", "Gather expand nought", "Sub one gather"), MaskKind.KEY, 1.0, ""),
        Arguments.of("a mask of each query, turned into one of keys", computed("Transpose square", "Sub one transpose"), MaskKind.FULL, 1.0, depends),
        Arguments.of("a mask of a batch, given an axis of heads after it is expanded", computed("Expand batch rows3", "Reshape expand each"), MaskKind.FULL, 1.0,
            "it cannot be told which of batch and heads lead the axes of its mask batch; expected [B, H, 1, M] there or above"),
        Arguments.of("a mask of heads that are the batch above", computed("Expand fours tallest", "Reshape expand crossed"), MaskKind.FULL, 1.0,
            "it cannot be told which of batch and heads lead the axes of its mask fours; expected [B, H, 1, M] there or above"),
        Arguments.of("a mask that depends on the query", computed("Add m causal"), MaskKind.FULL, 1.0, depends),
        Arguments.of("a bias of queries, then a mask of keys", twice("causal", "m"), MaskKind.FULL, 1.0, depends),
        Arguments.of("a mask of keys, then a bias of queries", twice("m", "causal"), MaskKind.FULL, 1.0, depends),
        Arguments.of("zeros, then a mask of keys", twice("zero", "m"), MaskKind.KEY, 1.0, ""),
        Arguments.of("two masks of keys", twice("m", "drop"), MaskKind.KEY, 1.0, "two masks of keys, m and drop, meet its scores; expected one"),
        Arguments.of("one number a row", computed("ReduceMax s"), MaskKind.NONE, 1.0, ""),
        Arguments.of("a mask of unknown rank", computed("Unknown m"), MaskKind.FULL, 1.0,
            "the number of axes of its mask unknown cannot be told from the file; expected [B, H, 1, M] or fewer axes"),
        Arguments.of("batch and heads in one axis of scores and mask", joined("flat"), MaskKind.FULL, 1.0,
            "it cannot be told which of batch and heads lead the axes of its mask flat; expected [B, H, 1, M] there or above"),
        Arguments.of("batch and heads joined in the mask, too", joined("regrouped"), MaskKind.KEY, 1.0, ""),
        Arguments.of("one axis of the mask for both", joined("alone"), MaskKind.KEY, 1.0, "its mask lone has 8 for the batch, where 2 are needed; expected as many, or one for all"),
        Arguments.of("a mask that a scale turns round",
            attended(softmax(keysMasked().number("minus", -1).node("Mul", List.of("masked", "minus"), List.of("turned")), "turned"), "p"), MaskKind.KEY, -1.0,
            "the scores are multiplied by -1.0 after Where /masked/Where, so that keys which it leaves out count again; expected a scale that keeps them low"),
        Arguments.of("a mask and a scale", attended(softmax(keysMasked().node("Mul", List.of("masked", "half"), List.of("scaled")), "scaled"), "p"), MaskKind.KEY, 0.5, ""),
        Arguments.of("one mask for all of them", joined("shared"), MaskKind.KEY, 1.0, ""));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("masks")
  void areTraced(String name, TinyModel model, MaskKind kind, double scale, String reason) {
    SiteReport report = AttentionFinder.find(model.model());
    assertEquals(List.of(), report.notAttention());
    AttentionSite site = report.sites().get(0);
    assertEquals(reason, site.reason());
    assertEquals(kind, site.mask());
    assertEquals(scale, site.scale(), 1e-6);
  }

  /** Operands [B, N, H, d] of which batch and heads become one axis, in either order. */
  private static TinyModel merged(boolean valueToo, String... mask) {
    TinyModel m = new TinyModel().input("m", 2, 1, 1, 6).input("keys", 1, 6).integers("split", 2, -1, 4, 8).integers("joined", 8, -1, 8)
        .integers("parted", valueToo ? 4 : 2, valueToo ? 2 : 4, 6, 8).integers("four", 4, 2, 6, 6).integers("three", 8, 6, 6);
    for (String o : List.of("q", "k", "v")) {
      boolean headsFirst = valueToo || !o.equals("v");
      m.input(o, 2, 6, 32).node("Reshape", List.of(o, "split"), List.of(o + "4"))
          .node("Transpose", List.of(o + "4"), List.of(o + "t"), headsFirst ? TinyModel.ints("perm", 2, 0, 1, 3) : TinyModel.ints("perm", 0, 2, 1, 3))
          .node("Reshape", List.of(o + "t", "joined"), List.of(o + "3"));
    }
    m.node("Transpose", List.of("k3"), List.of("flipped"), TinyModel.ints("perm", 0, 2, 1)).node("MatMul", List.of("q3", "flipped"), List.of("s"));
    for (String meets : mask) {
      m.node("Reshape", List.of("s", "four"), List.of("s4")).node("Add", List.of("s4", meets), List.of("masked4"))
          .node("Reshape", List.of("masked4", "three"), List.of("masked"));
    }
    return softmax(m, mask.length > 0 ? "masked" : "s").node("MatMul", List.of("p", "v3"), List.of("y3")).node("Reshape", List.of("y3", "parted"), List.of("y")).output("y");
  }

  static Stream<Arguments> orders() {
    return Stream.of(
        Arguments.of("heads first", merged(true), ""),
        Arguments.of("heads first, and a mask of keys", merged(true, "keys"), ""),
        Arguments.of("heads first, and a mask with a batch", merged(true, "m"),
            "heads come before the batch where q4 joins them, which leaves the axes of its mask open; expected one of keys alone"),
        Arguments.of("heads first, read where they are joined", merged(true).output("y3"),
            "heads come before the batch in one axis of its output y3, which nothing parts; expected a Reshape to four axes"),
        Arguments.of("heads first in query and key alone", merged(false), "query, key and value join batch and heads in one axis in different orders; expected one order"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("orders")
  void ofBatchAndHeadsAreTold(String name, TinyModel model, String reason) {
    SiteReport report = AttentionFinder.find(model.model());
    assertEquals(List.of(), report.notAttention());
    WiredSite site = (WiredSite) report.sites().get(0);
    assertEquals(reason, site.reason());
    assertEquals("4 heads, batch 2, 6 tokens", site.heads() + " heads, batch " + site.batch() + ", " + site.queryTokens() + " tokens");
    assertEquals(reason.isEmpty() ? "HBND" : site.wiring().output().axes(), site.wiring().output().axes());
  }

  @Test
  void projectionsMayBeEinsums() {
    TinyModel model = new TinyModel().input("x", 2, 6, 32);
    for (String o : List.of("q", "k", "v")) {
      model.weight("w" + o, 32, 4, 8).node("Einsum", List.of("x", "w" + o), List.of(o), TinyModel.string("equation", "abc,cde->abde"));
    }
    model.node("Einsum", List.of("k", "q"), List.of("s"), TinyModel.string("equation", "aecd,abcd->acbe"));
    AttentionSite site = AttentionFinder.find(softmax(model, "s").node("Einsum", List.of("p", "v"), List.of("y"), TinyModel.string("equation", "acbe,aecd->abcd"))
        .output("y").model()).sites().get(0);
    assertEquals(Kind.SELF, site.kind());
    assertEquals("", site.reason());
  }

  static Stream<Arguments> axes() {
    return Stream.of(
        Arguments.of("the queries' axis", 2, List.of("its axis is 2 of 4; expected the last, the keys")),
        Arguments.of("the keys' axis", 3, List.of()));
  }

  /** Products with batch and heads in one axis, and a softmax with them apart. */
  @ParameterizedTest(name = "{0}")
  @MethodSource("axes")
  void areThoseOfTheSoftmax(String name, int axis, List<String> reasons) {
    TinyModel model = new TinyModel().input("q4", 2, 4, 12, 8).input("kt4", 2, 4, 8, 12).input("v4", 2, 4, 12, 8)
        .integers("tall", 8, 12, 8).integers("wide", 8, 8, 12).integers("square", 8, 12, 12).integers("apart", 2, 4, 12, 12).integers("out", 2, 4, 12, 8)
        .node("Reshape", List.of("q4", "tall"), List.of("q")).node("Reshape", List.of("kt4", "wide"), List.of("kt"))
        .node("Reshape", List.of("v4", "tall"), List.of("v")).node("MatMul", List.of("q", "kt"), List.of("s"))
        .node("Reshape", List.of("s", "apart"), List.of("s4")).node("Softmax", List.of("s4"), List.of("p4"), TinyModel.integer("axis", axis))
        .node("Reshape", List.of("p4", "square"), List.of("p")).node("MatMul", List.of("p", "v"), List.of("y3"))
        .node("Reshape", List.of("y3", "out"), List.of("y")).output("y", 2, 4, 12, 8);
    SiteReport report = AttentionFinder.find(model.model());
    assertEquals(reasons, report.notAttention().stream().map(NotAttention::reason).toList());
    assertEquals(reasons.isEmpty() ? List.of("merged") : List.of(), report.sites().stream().map(AttentionSite::form).toList());
    assertEquals(true, report.sites().stream().allMatch(AttentionSite::convertible));
  }

  /** Tokens x [2, 6, 32] whose heads are split by a reshape to [2, 6, -1, 8]: their number is told where the shape of x is. */
  private static TinyModel split(TinyModel m) {
    m.integers("split", 2, 6, -1, 8);
    for (String o : List.of("q", "k", "v")) {
      m.weight("w" + o, 32, 32).node("MatMul", List.of("x", "w" + o), List.of("p" + o)).node("Reshape", List.of("p" + o, "split"), List.of("s" + o))
          .node("Transpose", List.of("s" + o), List.of(o), o.equals("k") ? TinyModel.ints("perm", 0, 2, 3, 1) : TinyModel.ints("perm", 0, 2, 1, 3));
    }
    return softmax(m.node("MatMul", List.of("q", "k"), List.of("s")), "s").node("MatMul", List.of("p", "v"), List.of("y")).output("y");
  }

  static Stream<Arguments> embeddings() {
    return Stream.of(
        Arguments.of("elements gathered from a table", split(new TinyModel().input("table", 9, 6, 32).input("which", 2, 6, 32)
            .node("GatherElements", List.of("table", "which"), List.of("x")))),
        Arguments.of("parts gathered from a table", split(new TinyModel().input("table", 9, 32).input("which", 2, 6, 1)
            .node("GatherND", List.of("table", "which"), List.of("x")))),
        Arguments.of("pooled features", split(new TinyModel().input("image", 2, 32, 4, 6).integers("grid", 0, 6, -1)
            .node("MaxPool", List.of("image"), List.of("pooled"), TinyModel.ints("kernel_shape", 2, 2), TinyModel.ints("strides", 2, 2))
            .node("Reshape", List.of("pooled", "grid"), List.of("x")))),
        Arguments.of("resized features", split(new TinyModel().input("image", 2, 32, 4, 6).integers("grid", 0, 6, -1).integers("sizes", 2, 32, 2, 3)
            .node("Resize", List.of("image", "", "", "sizes"), List.of("small")).node("Reshape", List.of("small", "grid"), List.of("x")))),
        Arguments.of("noise", split(new TinyModel().input("like", 2, 6, 32).node("RandomNormalLike", List.of("like"), List.of("noise"))
            .node("Add", List.of("noise", "like"), List.of("x")))),
        Arguments.of("patches in blocks of channels", split(new TinyModel().input("image", 2, 3, 4, 6).weight("patch", 32, 3, 2, 2)
            .node("com.microsoft.nchwc.Conv", List.of("image", "patch"), List.of("blocks"), TinyModel.ints("strides", 2, 2))
            .node("com.microsoft.nchwc.ReorderOutput", List.of("blocks"), List.of("plain"), TinyModel.integer("channels", 32))
            .node("Flatten", List.of("plain"), List.of("flat"), TinyModel.integer("axis", 1)).integers("grid", 0, 6, -1)
            .node("Reshape", List.of("flat", "grid"), List.of("x")))));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("embeddings")
  void headsAreToldBehind(String name, TinyModel model) {
    AttentionSite site = AttentionFinder.find(model.model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals(4, site.heads());
  }

  private static TinyModel query(TinyModel m) {
    return softmax(m.input("kt", 2, 4, 8, 12).input("v", 2, 4, 12, 8).node("MatMul", List.of("q", "kt"), List.of("s")), "s")
        .node("MatMul", List.of("p", "v"), List.of("y")).output("y");
  }

  static Stream<Arguments> queries() {
    return Stream.of(
        Arguments.of("as often as a scale says", query(new TinyModel().input("half", 2, 2, 12, 8).number("one", 1).number("two", 2).integers("first", 0).integers("single", 1)
            .node("Reshape", List.of("one", "single"), List.of("once")).node("Reshape", List.of("two", "single"), List.of("twice"))
            .node("Concat", List.of("once", "twice", "once", "once"), List.of("scales"), TinyModel.integer("axis", 0))
            .node("Resize", List.of("half", "", "scales"), List.of("q")))),
        Arguments.of("at sizes of other axes", query(new TinyModel().input("half", 2, 2, 12, 4).integers("sizes", 8, 12, 4, 2)
            .node("Resize", List.of("half", "", "", "sizes"), List.of("q"), TinyModel.ints("axes", 3, 2, 1, 0)))),
        Arguments.of("from blocks of channels that came last", query(new TinyModel().input("last", 2, 12, 8, 4)
            .node("com.microsoft.nchwc.ReorderInput", List.of("last"), List.of("blocks"), TinyModel.integer("channels_last", 1))
            .node("com.microsoft.nchwc.ReorderOutput", List.of("blocks"), List.of("q"), TinyModel.integer("channels", 4)))),
        Arguments.of("as a negative division says", query(new TinyModel().input("x", 2, 384).integers("minus", -9).integers("two", 2).integers("twelve", 12)
            .integers("eight", 8).node("Div", List.of("minus", "two"), List.of("fourth")).node("Neg", List.of("fourth"), List.of("four"))
            .node("Concat", List.of("two", "four", "twelve", "eight"), List.of("split"), TinyModel.integer("axis", 0)).node("Reshape", List.of("x", "split"), List.of("q")))));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("queries")
  void headsAreCounted(String name, TinyModel model) {
    AttentionSite site = AttentionFinder.find(model.model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals("4 heads of 8", site.heads() + " heads of " + site.headDim());
  }

  private static AttributeProto branch(String name, int heads) {
    TinyModel m = new TinyModel().integers("split", 0, 0, heads, 8);
    for (String o : List.of("q", "k", "v")) {
      m.node("Reshape", List.of(o + heads, "split"), List.of(o)).node("Transpose", List.of(o), List.of(o + "t"), TinyModel.ints("perm", 0, 2, o.equals("k") ? 3 : 1, o.equals("k") ? 1 : 3));
    }
    m.node("MatMul", List.of("qt", "kt"), List.of("s"));
    return AttributeProto.newBuilder().setName(name).setType(AttributeProto.AttributeType.GRAPH)
        .setG(softmax(m, "s").node("MatMul", List.of("p", "vt"), List.of("o")).output("o").proto().getGraph()).build();
  }

  /** Branches that name their values alike and split other numbers of heads: neither has the other's. */
  @Test
  void namesMayMeanOtherValuesInEachBranch() {
    TinyModel model = new TinyModel().input("flag");
    for (String o : List.of("q", "k", "v")) {
      model.input(o + 4, 2, 6, 32).input(o + 2, 2, 6, 16);
    }
    model.node("If", List.of("flag"), List.of("y"), branch("then_branch", 4), branch("else_branch", 2)).output("y");
    String unknown = "the number of heads of qt cannot be told from the file; expected a static size";
    assertEquals(List.of(unknown, unknown), AttentionFinder.find(model.model()).sites().stream().map(AttentionSite::reason).toList());
  }

  /** Tokens of a sound, whose samples are two axes of real numbers, beside a mask of indices. */
  @Test
  void soundIsAStream() {
    TinyModel model = split(new TinyModel().input("samples", 2, 12).indices("lengths", 2, 6).integers("channel", 1).weight("kernel", 32, 1, 2)
        .node("Unsqueeze", List.of("samples", "channel"), List.of("wave"))
        .node("Conv", List.of("wave", "kernel"), List.of("features"), TinyModel.ints("strides", 2))
        .node("Transpose", List.of("features"), List.of("x"), TinyModel.ints("perm", 0, 2, 1)));
    assertEquals(Kind.SELF, AttentionFinder.find(model.model()).sites().get(0).kind());
  }

  /** Keys that torch.export takes through three axes to transpose them. */
  private static TinyModel returned(TinyModel m) {
    return attended(softmax(m.input("q", 2, 4, 12, 8).input("v", 2, 4, 6, 8).integers("joined", -1, 6, 8).integers("apart", 2, 4, 8, 6)
        .node("Reshape", List.of("k", "joined"), List.of("k3")).node("Transpose", List.of("k3"), List.of("flipped"), TinyModel.ints("perm", 0, 2, 1))
        .node("Reshape", List.of("flipped", "apart"), List.of("kt")).node("MatMul", List.of("q", "kt"), List.of("s")), "s"), "p");
  }

  static Stream<Arguments> keys() {
    return Stream.of(
        Arguments.of("as they were before", new TinyModel().input("k", 2, 4, 6, 8), "k BHND"),
        Arguments.of("moved there from tokens first, the batch inside",
            new TinyModel().input("tokens", 6, 4, 2, 8).node("Transpose", List.of("tokens"), List.of("k"), TinyModel.ints("perm", 2, 1, 0, 3)), "k BHND"),
        Arguments.of("copied for grouped heads", new TinyModel().input("pairs", 2, 2, 1, 6, 8).integers("copies", 2, 2, 2, 6, 8)
            .node("Expand", List.of("pairs", "copies"), List.of("k")), "kt BHDN"),
        Arguments.of("of other heads", new TinyModel().input("k", 4, 2, 6, 8), "kt BHDN"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("keys")
  void ofThreeAxesComeBack(String name, TinyModel model, String key) {
    WiredSite site = (WiredSite) AttentionFinder.find(returned(model).model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals(key, site.wiring().key().value() + " " + site.wiring().key().axes());
  }

  /** An output whose own size tells how batch and heads come apart, as in an export with dynamic sizes. */
  @Test
  void outputsMayComeApartBySizesOfTheirOwn() {
    TinyModel model = new TinyModel().input("q4", 2, 4, 12, 8).input("kt4", 2, 4, 8, 12).input("v4", 2, 4, 12, 8)
        .integers("tall", 8, 12, 8).integers("wide", 8, 8, 12).integers("lead", 2, 4).integers("one", 1).integers("three", 3)
        .node("Reshape", List.of("q4", "tall"), List.of("q")).node("Reshape", List.of("kt4", "wide"), List.of("kt"))
        .node("Reshape", List.of("v4", "tall"), List.of("v")).node("MatMul", List.of("q", "kt"), List.of("s"))
        .node("Softmax", List.of("s"), List.of("p"), TinyModel.integer("axis", -1)).node("MatMul", List.of("p", "v"), List.of("y3"))
        .node("Shape", List.of("y3"), List.of("size")).node("Slice", List.of("size", "one", "three"), List.of("tail"))
        .node("Concat", List.of("lead", "tail"), List.of("apart"), TinyModel.integer("axis", 0)).node("Reshape", List.of("y3", "apart"), List.of("y"))
        .output("y", 2, 4, 12, 8);
    WiredSite site = (WiredSite) AttentionFinder.find(model.model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals("y BHND", site.wiring().output().value() + " " + site.wiring().output().axes());
  }

  /** Query and key read tokens with their positions, the value the tokens: one stream. A key of other tokens stays another. */
  @ParameterizedTest
  @CsvSource({"placed, x, SELF", "other, x, CROSS", "placed, z, CROSS"})
  void positionsAreNoStream(String key, String value, Kind kind) {
    TinyModel model = new TinyModel().input("x", 2, 6, 32).input("z", 2, 6, 32).weight("places", 1, 6, 32).integers("split", 2, 6, 4, 8)
        .node("Add", List.of("x", "places"), List.of("placed")).node("Add", List.of("z", "places"), List.of("other"));
    for (String o : List.of("q", "k", "v")) {
      model.weight("w" + o, 32, 32).node("MatMul", List.of(o.equals("q") ? "placed" : o.equals("k") ? key : value, "w" + o), List.of("p" + o))
          .node("Reshape", List.of("p" + o, "split"), List.of("s" + o))
          .node("Transpose", List.of("s" + o), List.of(o), o.equals("k") ? TinyModel.ints("perm", 0, 2, 3, 1) : TinyModel.ints("perm", 0, 2, 1, 3));
    }
    model.node("MatMul", List.of("q", "k"), List.of("s"));
    assertEquals(kind, AttentionFinder.find(softmax(model, "s").node("MatMul", List.of("p", "v"), List.of("y")).output("y").model()).sites().get(0).kind());
  }

  /** An output of four axes that do not part batch and heads as the operands do is read where they are joined. */
  @Test
  void outputsMayStayJoinedBesideAnAxisOfOne() {
    TinyModel model = new TinyModel().integers("tall", 8, 12, 8).integers("wide", 8, 8, 12).integers("out", 1, 8, 12, 8).input("q4", 2, 4, 12, 8)
        .input("kt4", 2, 4, 8, 12).input("v4", 2, 4, 12, 8).node("Reshape", List.of("q4", "tall"), List.of("q")).node("Reshape", List.of("kt4", "wide"), List.of("kt"))
        .node("Reshape", List.of("v4", "tall"), List.of("v")).node("MatMul", List.of("q", "kt"), List.of("s"));
    WiredSite site = (WiredSite) AttentionFinder.find(softmax(model, "s").node("MatMul", List.of("p", "v"), List.of("y3"))
        .node("Reshape", List.of("y3", "out"), List.of("y")).output("y").model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals("y3 XND", site.wiring().output().value() + " " + site.wiring().output().axes());
  }

  @Test
  void headsBesideTheBatchAreAsManyInEach() {
    TinyModel model = new TinyModel().integers("split", 6, -1, 8);
    for (String o : List.of("q", "k", "v")) {
      model.input(o, 6, o.equals("v") ? "c" : "b", o.equals("v") ? 64 : 32).node("Reshape", List.of(o, "split"), List.of(o + "1"))
          .node("Transpose", List.of(o + "1"), List.of(o + "2"), o.equals("k") ? TinyModel.ints("perm", 1, 2, 0) : TinyModel.ints("perm", 1, 0, 2));
    }
    model.node("MatMul", List.of("q2", "k2"), List.of("s"));
    assertEquals("query, key and value split their channels into 4 and 8 heads; expected as many",
        AttentionFinder.find(softmax(model, "s").node("MatMul", List.of("p", "v2"), List.of("y")).output("y").model()).sites().get(0).reason());
  }

  static Stream<Arguments> splits() {
    return Stream.of(Arguments.of(true, "BNC"), Arguments.of(false, "NBC"));
  }

  /** Heads split beside the batch, and never apart from it, as torch.nn.MultiheadAttention does where weights may be wanted. */
  @ParameterizedTest(name = "{1}")
  @MethodSource("splits")
  void besideTheBatchAreThoseOfTheChannels(boolean batchFirst, String layout) {
    TinyModel model = new TinyModel().integers("split", 6, -1, 8);
    for (String o : List.of("q", "k", "v")) {
      if (batchFirst) {
        model.input(o, 2, 6, 32).node("Transpose", List.of(o), List.of(o + "0"), TinyModel.ints("perm", 1, 0, 2));
      } else {
        model.input(o + "0", 6, 2, 32);
      }
      model.node("Reshape", List.of(o + "0", "split"), List.of(o + "1"))
          .node("Transpose", List.of(o + "1"), List.of(o + "2"), o.equals("k") ? TinyModel.ints("perm", 1, 2, 0) : TinyModel.ints("perm", 1, 0, 2));
    }
    model.node("MatMul", List.of("q2", "k2"), List.of("s")).node("Softmax", List.of("s"), List.of("p"), TinyModel.integer("axis", -1))
        .node("MatMul", List.of("p", "v2"), List.of("y")).output("y", 8, 6, 8);
    WiredSite site = (WiredSite) AttentionFinder.find(model.model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals("4 heads of 8, batch 2, 6 tokens", site.heads() + " heads of " + site.headDim() + ", batch " + site.batch() + ", " + site.keyTokens() + " tokens");
    assertEquals(List.of(layout, layout, layout, "XND"),
        Stream.of(site.wiring().query(), site.wiring().key(), site.wiring().value(), site.wiring().output()).map(o -> o.axes()).toList());
  }

  /** As ONNX Runtime's optimiser writes products of torch.nn.MultiheadAttention: it takes the Transposes into them. */
  @Test
  void fusedProductsMayTakeTokensFirst() {
    AttributeProto[] both = {TinyModel.integer("transBatchA", 1), TinyModel.integer("transBatchB", 1), TinyModel.integer("transB", 1)};
    TinyModel model = new TinyModel().input("q", 12, 2, 4, 8).input("k", 6, 2, 4, 8).input("v", 6, 2, 4, 8)
        .node("com.microsoft.FusedMatMul", List.of("q", "k"), List.of("s"), both).node("Softmax", List.of("s"), List.of("p"), TinyModel.integer("axis", -1))
        .node("com.microsoft.FusedMatMul", List.of("p", "v"), List.of("y"), TinyModel.integer("transBatchB", 1)).output("y", 2, 4, 12, 8);
    WiredSite site = (WiredSite) AttentionFinder.find(model.model()).sites().get(0);
    assertEquals("", site.reason());
    assertEquals("4 heads, batch 2, 12 and 6 tokens", site.heads() + " heads, batch " + site.batch() + ", " + site.queryTokens() + " and " + site.keyTokens() + " tokens");
    assertEquals(List.of("NBHD", "NBHD", "NBHD", "BHND"),
        Stream.of(site.wiring().query(), site.wiring().key(), site.wiring().value(), site.wiring().output()).map(o -> o.axes()).toList());
  }

  @Test
  void probabilitiesHaveTheBatchFirst() {
    TinyModel model = softmax(scores(), "s").node("com.microsoft.FusedMatMul", List.of("p", "v"), List.of("y"), TinyModel.integer("transBatchA", 1)).output("y");
    assertEquals(List.of("com.microsoft.FusedMatMul /y/FusedMatMul has the probabilities as its second operand or transposed; expected probabilities times values"),
        AttentionFinder.find(model.model()).notAttention().stream().map(NotAttention::reason).toList());
  }
}
