package dev.hla.converter.rewrite;

/**
 * Which operators a site becomes.
 *
 * <p>Measured on two AVX-512 cores, one attention with its Transposes, best of nine interleaved runs, time of CORE over
 * time of FUSED: 1.9 at 4096 tokens, 12 heads of 128, ranks 16,16; 1.5 at 32,32; 1.9 at 16^2; 1.4 at 8^2,3^2,1; 1.2 at 512
 * tokens, 4 heads of 32, 8^2,3^2,1. On tensors that have heads first already, 8192 tokens, 12 heads of 128, medians of 15 turns
 * on two cores of an Intel Cascade Lake, in two runs: 1.3, 1.4 at 16^2, 1.6, 1.4 at 16,16, 2.4, 2.3 at 64, 1.2, 1.3 at 32,32. So the fused operator is taken
 * wherever it can be.
 */
public enum Lowering {
  /** The fused operator where the site allows it: maps without a hidden layer or softmax, no mask that differs from head to head; else as CORE. */
  FUSED,
  /** Feature maps as ordinary nodes and the core operator, everywhere. */
  CORE,
  /** Ordinary nodes alone, see {@link PlainAttention}, in a file without functions and custom domains. */
  PORTABLE
}
