package dev.hla.testdata.graph;

import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Small transformers of two blocks in the layouts of known model families, to tell the kinds of attention apart.
 */
public enum VideoModel {
  /** Self-attention, then cross-attention over the text. */
  WAN,
  /** WAN with a key mask of the text. */
  WAN_TEXT_MASK,
  /** WAN with a second cross-attention over image tokens that shares its q with the first. */
  WAN_IMAGE,
  /** WAN with an adapter of low rank beside each projection. */
  WAN_ADAPTED,
  /** WAN whose frames see themselves and earlier ones only. */
  WAN_CAUSAL,
  /** Text and video in one stream before one projection. */
  COG,
  /** Two projections, text first. */
  DUAL_TEXT_FIRST,
  /** A text refiner, two projections with video first, then one projection of the joined streams. */
  HUNYUAN,
  /** HUNYUAN with a mask of the text, which the refiner makes depend on the query. */
  HUNYUAN_MASKED,
  /** Attention within a frame, over the text, and along time. */
  LATTE,
  /** Position embedding before the head split, an additive text mask. */
  LTX,
  /** Linear self-attention without softmax, and softmax cross-attention. */
  SANA,
  /** Blocks without residual connections. */
  NO_RESIDUAL,
  /** An image classifier: a class token is joined to the patches. */
  CLASS_TOKEN,
  /** A text encoder: word, position and type embeddings, a key mask. */
  TOKEN_TYPES;

  private static final int FLOAT = DataType.FLOAT_VALUE;
  private static final int C = Parts.C;
  public static final int FRAMES = 2;
  public static final int TOKENS = 12;
  public static final int TEXT = 5;
  public static final int IMAGE = 7;

  /** A site that must be found. Sizes are those of the static model. */
  public record Site(String name, String kind, int queries, int keys, String mask) {}

  /** A model and the truth about it, in the order of its sites. */
  public record Built(ModelProto model, List<Site> sites, Map<String, Feed> feeds) {}

  public Built build(boolean dynamic, long opset) {
    return new Writer(this, dynamic, new GraphBuilder(opset)).write();
  }

  private static final class Writer {
    private final VideoModel kind;
    private final boolean dynamic;
    private final GraphBuilder g;
    private final Parts p;
    private final List<Site> sites = new ArrayList<>();
    private final Map<String, Feed> feeds = new LinkedHashMap<>();
    private final Random random = new Random(3);

    Writer(VideoModel kind, boolean dynamic, GraphBuilder g) {
      this.kind = kind;
      this.dynamic = dynamic;
      this.g = g;
      this.p = new Parts(g);
    }

    Built write() {
      if (kind == TOKEN_TYPES) {
        textEncoder();
      } else if (kind == CLASS_TOKEN) {
        classifier();
      } else {
        video();
      }
      return new Built(g.model("testdata"), sites, feeds);
    }

    private String input(String name, Object open, int openAt, long... shape) {
      Object[] dims = new Object[shape.length];
      int count = 1;
      for (int i = 0; i < shape.length; i++) {
        count *= (int) shape[i];
        dims[i] = dynamic && i == 0 ? "batch" : dynamic && i == openAt ? open : (Object) shape[i];
      }
      feeds.put(name, new Feed(FLOAT, shape, AttentionWeights.normal(random, count, 1)));
      return g.input(name, FLOAT, dims);
    }

    private String maskInput(String name, int type, Object open, int count) {
      float[] keep = new float[count];
      java.util.Arrays.fill(keep, 0, count - 2, 1);
      feeds.put(name, new Feed(type, new long[] {1, count}, keep));
      return g.input(name, type, dynamic ? new Object[] {"batch", open} : new Object[] {1, count});
    }

    private void site(String scope, String siteKind, int queries, int keys, String mask) {
      sites.add(new Site(scope.substring(1).replace('/', '.') + ".core", siteKind, queries, keys, mask));
    }

    // ---- video models

    private void video() {
      String image = input("hidden_states", "frames", 2, 1, 4, FRAMES, 4, 6);
      String time = input("time_embedding", "", -1, 1, C);
      String encoded = input("encoder_hidden_states", "text_tokens", 1, 1, TEXT, 16);
      g.scope("/embed");
      String x = p.tokensFrom(image);
      String text = p.feedForward(p.linear(encoded, 16, C));
      String temb = p.feedForward(time);
      x = switch (kind) {
        case COG -> cog(x, text, temb);
        case DUAL_TEXT_FIRST, HUNYUAN, HUNYUAN_MASKED -> dual(x, text, temb);
        case LATTE -> latte(x, text, temb);
        default -> wan(x, text, temb);
      };
      g.scope("/head");
      String sample = p.imageFrom(x);
      g.scope("").output("sample", sample, FLOAT, dynamic ? "batch" : 1, 4, dynamic ? "frames" : FRAMES, 4, 6);
    }

    private String projection(String x) {
      return kind == WAN_ADAPTED ? p.adapted(x) : p.linear(x);
    }

    private String wan(String x, String text, String temb) {
      String textMask = null;
      if (kind == WAN_TEXT_MASK) {
        g.scope("/mask");
        textMask = p.additive(g.unsqueeze(maskInput("text_mask", DataType.BOOL_VALUE, "text_tokens", TEXT), 1, 2));
      } else if (kind == LTX) {
        String keep = maskInput("text_mask", FLOAT, "text_tokens", TEXT);
        g.scope("/mask");
        textMask = g.unsqueeze(g.op("Mul", g.op("Sub", p.number(1), keep), p.number(-10000)), 1, 2);
      }
      String pictures = null;
      if (kind == WAN_IMAGE) {
        String states = input("image_states", "image_tokens", 1, 1, IMAGE, 16);
        g.scope("/pictures");
        pictures = p.linear(p.norm(states), 16, C);
      }
      for (int i = 0; i < 2; i++) {
        String block = "/blocks." + i;
        g.scope(block);
        List<String> mod = p.modulation(temb, 3);
        boolean bare = kind == NO_RESIDUAL;
        String y = bare ? x : p.modulate(x, mod.get(0), mod.get(1));
        String attended = kind == SANA ? linearAttention(y, block + "/attn1") : self(y, block + "/attn1");
        x = bare ? attended : p.residual(x, mod.get(2), attended);
        g.scope(block);
        attended = cross(bare ? x : p.norm(x), text, textMask, pictures, block);
        x = bare ? attended : p.residual(x, null, attended);
        g.scope(block);
        x = bare ? p.feedForward(x) : p.residual(x, null, p.feedForward(p.norm(x)));
      }
      return x;
    }

    private String self(String y, String scope) {
      g.scope(scope);
      String q = p.rms(projection(y), C);
      String k = p.rms(projection(y), C);
      String v = p.split(projection(y));
      String causal = null;
      if (kind == WAN_CAUSAL) {
        String places = g.op("Range", g.squeeze(g.ints(0), 0), g.squeeze(g.dim(q, 1), 0), g.squeeze(g.ints(1), 0));
        String frame = g.op("Div", places, g.squeeze(g.ints(6), 0));
        causal = p.additive(g.op("Not", g.op("Greater", g.unsqueeze(frame, 0), g.unsqueeze(frame, 1))));
      }
      site(scope, "self", TOKENS, TOKENS, causal == null ? "none" : "full");
      return p.linear(p.attend(p.rotated(p.split(q)), p.rotated(p.split(k)), v, causal));
    }

    private String linearAttention(String y, String scope) {
      g.scope(scope);
      String q = g.op("Relu", g.transpose(p.split(p.linear(y)), 0, 2, 1, 3));
      String k = g.op("Relu", g.transpose(p.split(p.linear(y)), 0, 2, 3, 1));
      String v = g.transpose(p.split(p.linear(y)), 0, 2, 1, 3);
      String state = g.op("MatMul", k, v);
      String norm = g.op("Add", g.op("MatMul", q, g.reduceSum(k, 3)), p.number(1e-6));
      String o = g.op("Div", g.op("MatMul", q, state), norm);
      return p.linear(g.reshape(g.transpose(o, 0, 2, 1, 3), 0, 0, C));
    }

    private String cross(String y, String text, String mask, String pictures, String block) {
      g.scope(block + "/attn2");
      String q = p.split(p.rms(projection(y), C));
      String o = p.attend(q, p.split(p.rms(projection(text), C)), p.split(projection(text)), mask);
      site(block + "/attn2", "cross", TOKENS, TEXT, mask == null ? "none" : "key");
      if (pictures != null) {
        g.scope(block + "/attn3");
        String seen = p.attend(q, p.split(p.rms(p.linear(pictures), C)), p.split(p.linear(pictures)), null);
        o = g.op("Add", o, seen);
        site(block + "/attn3", "cross", TOKENS, IMAGE, "none");
      }
      return p.linear(o);
    }

    private String cog(String x, String text, String temb) {
      int all = TOKENS + TEXT;
      for (int i = 0; i < 2; i++) {
        g.scope("/blocks." + i + "/attn1");
        List<String> mod = p.modulation(temb, 6);
        String both = g.concat(1, p.modulate(text, mod.get(0), mod.get(1)), p.modulate(x, mod.get(2), mod.get(3)));
        String o = p.linear(p.attend(p.rms(p.split(p.linear(both)), Parts.HEAD_DIM), p.rms(p.split(p.linear(both)), Parts.HEAD_DIM),
            p.split(p.linear(both)), null));
        site("/blocks." + i + "/attn1", "joint", all, all, "none");
        List<String> parts = p.slices(o, g.dim(text, 1));
        text = p.residual(text, mod.get(4), parts.get(0));
        x = p.residual(x, mod.get(5), parts.get(1));
        String fed = p.feedForward(g.concat(1, p.norm(text), p.norm(x)));
        parts = p.slices(fed, g.dim(text, 1));
        text = p.residual(text, null, parts.get(0));
        x = p.residual(x, null, parts.get(1));
      }
      return x;
    }

    private String dual(String x, String text, String temb) {
      boolean textFirst = kind == DUAL_TEXT_FIRST;
      String jointMask = null;
      if (!textFirst) {
        String refinerMask = null;
        if (kind == HUNYUAN_MASKED) {
          String keep = maskInput("text_mask", DataType.BOOL_VALUE, "text_tokens", TEXT);
          g.scope("/mask");
          refinerMask = p.additive(g.op("And", g.unsqueeze(keep, 1, 3), g.unsqueeze(keep, 1, 2)));
          String seen = g.op("Greater", g.op("ConstantOfShape", g.concat(0, g.dim(x, 0), g.dim(x, 1))), p.number(-1));
          jointMask = p.additive(g.unsqueeze(g.concat(1, seen, keep), 1, 2));
        }
        text = refined(text, temb, refinerMask);
      }
      for (int i = 0; i < 2; i++) {
        String scope = "/double." + i + "/attn";
        g.scope(scope);
        List<String> mod = p.modulation(temb, 6);
        String[] mine = stream(p.modulate(x, mod.get(0), mod.get(1)), true);
        String[] theirs = stream(p.modulate(text, mod.get(2), mod.get(3)), false);
        String[] qkv = new String[3];
        for (int j = 0; j < 3; j++) {
          qkv[j] = textFirst ? g.concat(1, theirs[j], mine[j]) : g.concat(1, mine[j], theirs[j]);
        }
        String o = p.attend(qkv[0], qkv[1], qkv[2], jointMask);
        site(scope, "joint", TOKENS + TEXT, TOKENS + TEXT, jointMask == null ? "none" : "key");
        List<String> parts = p.slices(o, g.dim(textFirst ? text : x, 1));
        x = p.residual(x, mod.get(4), p.linear(parts.get(textFirst ? 1 : 0)));
        text = p.residual(text, mod.get(5), p.linear(parts.get(textFirst ? 0 : 1)));
        x = p.residual(x, null, p.feedForward(p.norm(x)));
        text = p.residual(text, null, p.feedForward(p.norm(text)));
      }
      return textFirst ? x : single(x, text, temb, jointMask);
    }

    private String[] stream(String y, boolean rotates) {
      String q = p.rms(p.split(p.linear(y)), Parts.HEAD_DIM);
      String k = p.rms(p.split(p.linear(y)), Parts.HEAD_DIM);
      return new String[] {rotates ? p.rotated(q) : q, rotates ? p.rotated(k) : k, p.split(p.linear(y))};
    }

    private String refined(String text, String temb, String mask) {
      g.scope("/refiner/attn");
      List<String> mod = p.modulation(temb, 1);
      String y = p.norm(text);
      String o = p.attend(p.split(p.linear(y)), p.split(p.linear(y)), p.split(p.linear(y)), mask);
      site("/refiner/attn", "text", TEXT, TEXT, mask == null ? "none" : "full");
      String out = p.residual(text, mod.get(0), p.linear(o));
      return p.residual(out, null, p.feedForward(p.norm(out)));
    }

    /** Attention and feed-forward side by side on the joined streams. */
    private String single(String x, String text, String temb, String mask) {
      String both = g.concat(1, x, text);
      for (int i = 0; i < 2; i++) {
        String scope = "/single." + i + "/attn";
        g.scope(scope);
        List<String> mod = p.modulation(temb, 3);
        String y = p.modulate(both, mod.get(0), mod.get(1));
        String[] qk = new String[2];
        for (int j = 0; j < 2; j++) {
          List<String> parts = p.slices(p.rms(p.split(p.linear(y)), Parts.HEAD_DIM), g.dim(x, 1));
          qk[j] = g.concat(1, p.rotated(parts.get(0)), parts.get(1));
        }
        String o = p.attend(qk[0], qk[1], p.split(p.linear(y)), mask);
        site(scope, "joint", TOKENS + TEXT, TOKENS + TEXT, mask == null ? "none" : "key");
        String up = g.op("Tanh", p.linear(y, C, 2 * C));
        both = p.residual(both, mod.get(2), p.linear(g.concat(2, o, up), 3 * C, C));
      }
      return p.slices(both, g.dim(x, 1)).get(0);
    }

    private String latte(String x, String text, String temb) {
      g.scope("/spread");
      String frames = g.dim("hidden_states", 2);
      String wide = g.op("Expand", g.unsqueeze(text, 1), g.concat(0, g.ints(1), frames, g.ints(1, 1)));
      String spread = g.reshape(wide, g.concat(0, g.ints(-1), g.dim(text, 1), g.ints(C)));
      for (int i = 0; i < 2; i++) {
        g.scope("/spatial." + i);
        String y = g.reshape(x, -1, 6, C);
        String still = p.norm(y);
        y = p.residual(y, null, plain(still, still, "/spatial." + i + "/attn1", "self", 6, 6));
        y = p.residual(y, null, plain(y, spread, "/spatial." + i + "/attn2", "cross", 6, TEXT));
        g.scope("/temporal." + i);
        String grid = g.reshape(y, g.concat(0, g.ints(-1), frames, g.ints(6, C)));
        String along = g.reshape(g.transpose(grid, 0, 2, 1, 3), g.concat(0, g.ints(-1), frames, g.ints(C)));
        String normed = p.norm(along);
        along = p.residual(along, null, plain(normed, normed, "/temporal." + i + "/attn1", "self", FRAMES, FRAMES));
        String back = g.transpose(g.reshape(along, g.concat(0, g.ints(-1, 6), frames, g.ints(C))), 0, 2, 1, 3);
        x = g.reshape(back, g.concat(0, g.dim("hidden_states", 0), g.ints(-1, C)));
      }
      return x;
    }

    private String plain(String y, String context, String scope, String siteKind, int queries, int keys) {
      g.scope(scope);
      site(scope, siteKind, queries, keys, "none");
      return p.linear(p.attend(p.split(p.linear(y)), p.split(p.linear(context)), p.split(p.linear(context)), null));
    }

    // ---- others

    private void classifier() {
      String image = input("pixel_values", "frames", 2, 1, 4, FRAMES, 4, 6);
      g.scope("/embed");
      String patches = p.tokensFrom(image);
      String token = g.op("Expand", p.weight(1, 1, 1, C), g.concat(0, g.dim(image, 0), g.ints(1, 1)));
      String x = g.concat(1, token, patches);
      for (int i = 0; i < 2; i++) {
        g.scope("/layer." + i);
        String y = p.norm(x);
        x = p.residual(x, null, plain(y, y, "/layer." + i + "/attn", "self", TOKENS + 1, TOKENS + 1));
        x = p.residual(x, null, p.feedForward(p.norm(x)));
      }
      g.scope("/head");
      String logits = p.linear(g.squeeze(g.slice(x, 1, 0, 1), 1), C, 10);
      g.scope("").output("probabilities", g.softmax(logits, 2), FLOAT, dynamic ? "batch" : 1, 10);
    }

    private void textEncoder() {
      int n = TOKENS;
      for (String name : List.of("input_ids", "token_type_ids")) {
        float[] ids = new float[n];
        for (int i = 0; i < n; i++) {
          ids[i] = random.nextInt(name.startsWith("input") ? 40 : 2);
        }
        feeds.put(name, new Feed(DataType.INT64_VALUE, new long[] {1, n}, ids));
        g.input(name, DataType.INT64_VALUE, dynamic ? new Object[] {"batch", "tokens"} : new Object[] {1, n});
      }
      String keep = maskInput("attention_mask", DataType.INT64_VALUE, "tokens", n);
      g.scope("/embeddings");
      String words = g.op("Gather", p.weight(1, 40, C), "input_ids");
      String types = g.op("Gather", p.weight(1, 2, C), "token_type_ids");
      String places = g.op("Slice", p.weight(1, 1, 64, C), g.ints(0), g.dim("input_ids", 1), g.ints(1));
      String x = p.norm(g.op("Add", g.op("Add", words, types), places));
      String mask = g.op("Mul", g.op("Sub", p.number(1), g.cast(g.unsqueeze(keep, 1, 2), FLOAT)), p.number(-10000));
      for (int i = 0; i < 2; i++) {
        String scope = "/layer." + i + "/attention";
        g.scope(scope);
        String o = p.attend(p.split(p.linear(x)), p.split(p.linear(x)), p.split(p.linear(x)), mask);
        site(scope, "self", n, n, "key");
        x = p.norm(g.op("Add", x, p.linear(o)));
        x = p.norm(g.op("Add", x, p.feedForward(x)));
      }
      g.scope("").output("last_hidden_state", x, FLOAT, dynamic ? "batch" : 1, dynamic ? "tokens" : n, C);
    }
  }
}
