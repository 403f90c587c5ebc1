package dev.hla.testdata.graph;

/** How the tokens become q, k and v. */
public enum Projection {
  /** One product each. */
  SEPARATE,
  /** One product, then Split. */
  SPLIT,
  /** One product, then three Slices with constant bounds. */
  SLICES,
  /** One product, then three Slices whose bounds are computed from its shape, as TorchScript writes chunk. */
  COMPUTED_SLICES,
  /** One product, reshaped to [B, N, 3, H, d], split, squeezed. */
  FIVE_AXES,
  /** The same with a Transpose to [3, B, H, N, d] and three Gathers, so that heads come first at once. */
  FIVE_AXES_TRANSPOSED
}
