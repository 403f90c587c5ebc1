package dev.hla.runtime;

import dev.hla.converter.HlaException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Inputs made up from a model's shapes, the same for the same seed: normal numbers for floats, a time in 0..1000 for
 * inputs that are called timestep, ones for masks, zeros for other integers.
 */
public final class RandomInputs {
  /** Divisible by the patch sizes that are in use (1, 2, 3, 4, 6, 8), so that most models accept it on any axis. */
  private static final int FREE_DIMENSION = 24;
  private static final int FREE_LENGTH = 8;

  private final Map<String, Integer> dimensions = new TreeMap<>();
  private final Map<String, Integer> given;
  private final long seed;
  private final Map<String, String> unreadable;

  /**
   * @param given sizes for axes that the model leaves open, by the name of the axis ({@link Slot#dimensions})
   */
  public RandomInputs(Map<String, Integer> given, long seed) {
    this(given, seed, Map.of());
  }

  /**
   * @param given sizes for axes that the model leaves open, by the name of the axis ({@link Slot#dimensions})
   * @param unreadable names of values that were given and could not be read, each with the reason; an input among them is not made up
   */
  public RandomInputs(Map<String, Integer> given, long seed, Map<String, String> unreadable) {
    this.given = Map.copyOf(given);
    this.seed = seed;
    this.unreadable = Map.copyOf(unreadable);
  }

  /**
   * A value for every input that has none yet.
   *
   * @param known values that were given; their sizes also decide open axes of the same name
   * @return the values that were given, then those made up, in the model's order
   * @throws HlaException if one cannot be made up, or was given and could not be read, or a size is not that of the values given
   */
  public Map<String, Tensor> complete(List<Slot> inputs, Map<String, Tensor> known) {
    learn(inputs, known);
    dimensions.forEach((name, size) -> {
      if (!given.getOrDefault(name, size).equals(size)) {
        throw new HlaException("the open axis " + name + " is to be " + given.get(name) + ", and is " + size + " in the inputs that are given; leave out one of the two");
      }
    });
    Map<String, Tensor> values = new LinkedHashMap<>(known);
    for (Slot slot : inputs) {
      if (!known.containsKey(slot.name())) {
        if (unreadable.containsKey(slot.name())) {
          throw new HlaException(unreadable.get(slot.name()) + " (it is an input of the model)");
        }
        values.put(slot.name(), make(slot));
      }
    }
    requireAllUsed(inputs);
    return values;
  }

  /** The size that every open axis got. */
  public Map<String, Integer> dimensions() {
    return Map.copyOf(dimensions);
  }

  private void learn(List<Slot> inputs, Map<String, Tensor> known) {
    for (Slot slot : inputs) {
      Tensor value = known.get(slot.name());
      for (int axis = 0; value != null && axis < Math.min(value.rank(), slot.shape().size()); axis++) {
        if (slot.shape().get(axis) < 0) {
          dimensions.putIfAbsent(slot.dimensions().get(axis), value.dim(axis));
        }
      }
    }
  }

  private Tensor make(Slot slot) {
    if (slot.type() == null) {
      throw new HlaException("the input " + slot.name() + " is text, a sequence or of another type that is neither made up nor read from a file;"
          + " such a model runs in ONNX Runtime alone");
    }
    long[] shape = new long[slot.shape().size()];
    for (int axis = 0; axis < shape.length; axis++) {
      shape[axis] = slot.shape().get(axis) >= 0 ? slot.shape().get(axis) : size(slot.dimensions().get(axis));
    }
    Tensor tensor = Tensor.zeros(slot.type(), shape);
    String name = slot.name().toLowerCase(Locale.ROOT);
    // Of the name too, so that an input keeps its numbers when another one is added.
    Random random = new Random(seed * 31 + slot.name().hashCode());
    for (int i = 0; i < tensor.size(); i++) {
      tensor.set(i, value(name, slot.type(), random));
    }
    return tensor;
  }

  private static double value(String name, ElementType type, Random random) {
    if (name.contains("mask") || type == ElementType.BOOL) {
      return 1;
    }
    if (name.contains("timestep")) {
      return 1000 * random.nextDouble();
    }
    return type.isFloat() ? random.nextGaussian() : 0;
  }

  private int size(String dimension) {
    return dimensions.computeIfAbsent(dimension, name -> {
      Integer size = given.get(name);
      if (size != null) {
        return size;
      }
      String lower = name.toLowerCase(Locale.ROOT);
      if (lower.contains("batch") || name.endsWith(".0")) {
        return 1;
      }
      return lower.matches(".*(text|token|frame|seq).*") ? FREE_LENGTH : FREE_DIMENSION;
    });
  }

  private void requireAllUsed(List<Slot> inputs) {
    for (String name : given.keySet()) {
      if (inputs.stream().noneMatch(slot -> slot.dimensions().contains(name))) {
        throw new HlaException("there is no open axis " + name + "; open axes are "
            + inputs.stream().flatMap(slot -> slot.dimensions().stream()).filter(d -> !d.isEmpty()).distinct().toList());
      }
    }
  }
}
