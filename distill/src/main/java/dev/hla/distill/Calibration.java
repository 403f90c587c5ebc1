package dev.hla.distill;

import dev.hla.runtime.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** Inputs on which a model shows what its attention does. Inputs are the same whenever they are asked for. */
public interface Calibration extends AutoCloseable {
  /** What these inputs are, in a line: two calibrations that give other inputs differ in it. */
  String identity();

  /** How many there are; {@link Integer#MAX_VALUE} where they are made at will. */
  int size();

  /**
   * Inputs number {@code index}, by the names of the model's inputs.
   *
   * @throws dev.hla.converter.HlaException where they cannot be read
   */
  Map<String, Tensor> inputs(int index);

  /** What inputs number {@code index} are called in messages. */
  default String name(int index) {
    return this + ", set " + index;
  }

  /** The names of all inputs that some of these give. */
  default Set<String> names() {
    return inputs(0).keySet();
  }

  /**
   * Looks at the first inputs before any work, where what is wrong with them would come out only in its midst.
   *
   * @param sets how many of them
   * @throws dev.hla.converter.HlaException where some cannot be read
   */
  default void check(int sets) {}

  /**
   * Inputs like number {@code index}, with what can be varied drawn anew; the same inputs where nothing can.
   *
   * @param random what to draw from
   */
  default Map<String, Tensor> variation(int index, Random random) {
    return inputs(index);
  }

  /**
   * Noisy clips like number {@code index}, each with its prompt, without one and with other words in it; none where inputs have
   * no prompts that are made of words.
   */
  default List<Contrast> contrasts(int index) {
    return List.of();
  }

  @Override
  void close();
}
