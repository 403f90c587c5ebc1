package dev.hla.testdata.graph;

/** How a mask comes to the scores. */
public enum AttentionMask {
  NONE(Effect.NONE),
  /** An initializer of zeros that is added. */
  ZERO_CONSTANT(Effect.NONE),
  /** ConstantOfShape times zero, as baddbmm leaves it. */
  ZERO_COMPUTED(Effect.NONE),
  /** A bool input, Where(keep, 0, -inf), added. */
  KEY_BOOL(Effect.KEY),
  /** KEY_BOOL, and the softmax guarded against NaN by Where(IsNaN(p), 0, p). */
  KEY_BOOL_GUARDED(Effect.KEY),
  /** Where(keep, scores, -10000). */
  KEY_FILLED(Effect.KEY),
  /** Where(drop, -inf, scores). */
  KEY_DROPPED(Effect.KEY),
  /** (1 - m) * -10000, added. */
  KEY_ADDITIVE(Effect.KEY),
  /** Any numbers a key, added. */
  KEY_BIAS(Effect.KEY),
  /** KEY_ADDITIVE, expanded to every query. */
  KEY_EXPANDED(Effect.KEY),
  /** KEY_ADDITIVE, tiled to every query. */
  KEY_TILED(Effect.KEY),
  /** KEY_BOOL, met by a condition that every query fulfils, and so computed for each. */
  KEY_COMPUTED(Effect.KEY),
  /** The operator's own mask input of integers, [B, M]. */
  KEY_PADDING(Effect.KEY),
  /** A bool input [B, 1, N, M]. */
  QUERY_DEPENDENT(Effect.FULL),
  /** Each query sees itself and what is before it. */
  CAUSAL(Effect.FULL);

  /** What the finder must call it. */
  public enum Effect {
    NONE, KEY, FULL
  }

  private final Effect effect;

  AttentionMask(Effect effect) {
    this.effect = effect;
  }

  public Effect effect() {
    return effect;
  }
}
