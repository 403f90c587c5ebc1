package dev.hla.runtime;

import java.util.ArrayList;
import java.util.List;

/**
 * An input or output of a model.
 *
 * @param name its name in the graph
 * @param type its element type, or null where it is none that {@link Tensor} knows
 * @param shape sizes of its axes, -1 where one is not fixed
 * @param dimensions names of the axes that are not fixed, in the model's words; an axis without a name is called
 *     {@code NAME.AXIS}. Fixed axes have "".
 */
public record Slot(String name, ElementType type, List<Long> shape, List<String> dimensions) {
  /** The shape in text, such as [batch, 3, 24]. */
  public String shapeText() {
    List<String> parts = new ArrayList<>();
    for (int axis = 0; axis < shape.size(); axis++) {
      parts.add(shape.get(axis) < 0 ? dimensions.get(axis) : Long.toString(shape.get(axis)));
    }
    return "[" + String.join(", ", parts) + "]";
  }
}
