package dev.hla.converter;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** What a factor's slice of {@code z = x W + b} passes through to become features. */
public enum Activation {
  /** z itself. */
  IDENTITY,
  /** log(1 + exp(z)), positive. */
  SOFTPLUS,
  /** max(z, 0). */
  RELU,
  /** exp(z), positive; for gates. */
  EXP,
  /** exp(z) / sum exp(z) over the factor's own features, so that they add up to 1. */
  SOFTMAX;

  /** Whether each feature depends on its own number alone; only such activations fit in the fused operator. */
  public boolean elementwise() {
    return this != SOFTMAX;
  }

  /** The word that files and node attributes use. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The activation that {@code word} names.
   *
   * @throws HlaException if none has that name
   */
  public static Activation of(String word) {
    return Arrays.stream(values())
        .filter(a -> a.word().equals(word))
        .findFirst()
        .orElseThrow(() -> new HlaException("unknown activation \"" + SafeTensors.printable(word) + "\"; known are "
            + Arrays.stream(values()).map(Activation::word).collect(Collectors.joining(", "))));
  }
}
