package dev.hla.distill;

import dev.hla.runtime.Tensor;
import java.util.List;
import java.util.Map;

/**
 * A noisy clip with its prompt, without one, and with one word of the prompt exchanged for each other word of its kind. Where
 * a sampler guides, the output that counts is {@code guidance * prompted + (1 - guidance) * unprompted}.
 *
 * @param guidance scale of classifier-free guidance; 1 where the prompted output counts alone
 * @param prompted the model's inputs
 * @param unprompted the same with the empty prompt
 * @param exchanged the same with other prompts
 */
public record Contrast(float guidance, Map<String, Tensor> prompted, Map<String, Tensor> unprompted, List<Exchanged> exchanged) {
  /**
   * Two words of one kind.
   *
   * @param said of the prompt
   * @param other stands in its place
   */
  public record Words(String said, String other) {}

  /** Inputs with a word exchanged. */
  public record Exchanged(Words words, Map<String, Tensor> inputs) {}
}
