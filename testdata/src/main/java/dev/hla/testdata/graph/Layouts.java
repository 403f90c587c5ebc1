package dev.hla.testdata.graph;

/** Changes of layout, named apart from what is done with the result. */
final class Layouts {
  private final GraphBuilder g;

  Layouts(GraphBuilder g) {
    this.g = g;
  }

  String packed(Head h) {
    return h.axes().equals(Head.PACKED) ? h.value() : apart(() -> g.reshape(tokensFirst(h), 0, 0, (long) h.heads() * AttentionSpec.HEAD_DIM));
  }

  String tokensFirst(Head h) {
    return apart(() -> h.axes().equals(Head.PACKED) ? g.reshape(h.value(), 0, 0, h.heads(), AttentionSpec.HEAD_DIM)
        : h.axes().equals(Head.HEADS_FIRST) ? g.transpose(h.value(), 0, 2, 1, 3) : h.value());
  }

  String headsFirst(Head h) {
    return h.axes().equals(Head.HEADS_FIRST) ? h.value() : apart(() -> g.transpose(tokensFirst(h), 0, 2, 1, 3));
  }

  /** [B, H, d, N], by one transpose wherever one is enough. */
  String channelsFirst(Head h) {
    return apart(() -> h.axes().equals(Head.HEADS_FIRST) ? g.transpose(h.value(), 0, 1, 3, 2) : g.transpose(tokensFirst(h), 0, 2, 3, 1));
  }

  private String apart(java.util.function.Supplier<String> write) {
    String before = g.scope();
    g.scope("/block/heads");
    String result = write.get();
    g.scope(before);
    return result;
  }
}
