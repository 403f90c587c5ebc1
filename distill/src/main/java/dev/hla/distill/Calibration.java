package dev.hla.distill;

import dev.hla.runtime.Tensor;
import java.util.Map;

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

  @Override
  void close();
}
