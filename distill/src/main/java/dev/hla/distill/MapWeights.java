package dev.hla.distill;

import dev.hla.converter.Activation;
import dev.hla.converter.HlaException;
import dev.hla.converter.SiteMaps;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The numbers of one site's maps while they are fitted. Each array has the heads as its first axis, so a head's numbers
 * lie together and heads can be treated one by one.
 */
final class MapWeights {
  /**
   * One array.
   *
   * @param shape [H, rows, columns]
   * @param data row-major
   * @param fixedColumns columns that the fit leaves alone: the query's gate, which cancels in every row
   */
  record Array(String name, int[] shape, float[] data, boolean[] fixedColumns) {
    int perHead() {
      return shape[1] * shape[2];
    }
  }

  /** Rows of the weight: d, or d + h with a hidden layer of h units. */
  private final int heads;
  private final int headDim;
  private final MapDesign design;
  private final List<Array> arrays = new ArrayList<>();

  MapWeights(int heads, int headDim, MapDesign design) {
    this.heads = heads;
    this.headDim = headDim;
    this.design = design;
    for (String side : List.of("query", "key")) {
      boolean[] fixed = new boolean[design.spec().width()];
      int column = 0;
      for (int rank : design.spec().ranks()) {
        fixed[column] = rank == 1 && side.equals("query");
        column += rank;
      }
      int width = design.spec().width();
      add(side + ".weight", headDim + design.hidden(), width, fixed);
      add(side + ".bias", 1, width, fixed);
      if (design.hidden() > 0) {
        add(side + ".hidden.weight", headDim, design.hidden(), new boolean[design.hidden()]);
        add(side + ".hidden.bias", 1, design.hidden(), new boolean[design.hidden()]);
      }
    }
  }

  private void add(String name, int rows, int columns, boolean[] fixed) {
    arrays.add(new Array(name, new int[] {heads, rows, columns}, new float[heads * rows * columns], fixed));
  }

  /** The same numbers in arrays of their own. */
  MapWeights copy() {
    MapWeights copy = new MapWeights(heads, headDim, design);
    for (int i = 0; i < arrays.size(); i++) {
      System.arraycopy(arrays.get(i).data, 0, copy.arrays.get(i).data, 0, arrays.get(i).data.length);
    }
    return copy;
  }

  /** Takes up maps that were fitted before. */
  static MapWeights of(SiteMaps maps) {
    int hidden = maps.query().hidden().map(SiteMaps.Hidden::width).orElse(0);
    MapWeights weights = new MapWeights(maps.query().heads(), maps.query().headDim(), new MapDesign(maps.spec(), maps.activations(), hidden));
    weights.fill("query", maps.query());
    weights.fill("key", maps.key());
    return weights;
  }

  private void fill(String side, SiteMaps.Side map) {
    put(side + ".weight", map.weight());
    put(side + ".bias", map.bias());
    map.hidden().ifPresent(hidden -> {
      put(side + ".hidden.weight", hidden.weight());
      put(side + ".hidden.bias", hidden.bias());
    });
  }

  private void put(String name, float[] values) {
    float[] into = array(name).data;
    if (values.length != into.length) {
      throw new HlaException("maps with a hidden layer that differs between query and key, or stands alone, cannot be refined");
    }
    System.arraycopy(values, 0, into, 0, into.length);
  }

  /** Takes one head's numbers from another of the same design. */
  void copyHead(MapWeights from, int head) {
    for (int i = 0; i < arrays.size(); i++) {
      int n = arrays.get(i).perHead();
      System.arraycopy(from.arrays.get(i).data, head * n, arrays.get(i).data, head * n, n);
    }
  }

  int heads() {
    return heads;
  }

  int headDim() {
    return headDim;
  }

  MapDesign design() {
    return design;
  }

  List<Array> arrays() {
    return arrays;
  }

  Array array(String name) {
    return arrays.stream().filter(a -> a.name().equals(name)).findFirst().orElseThrow();
  }

  /** Whether all numbers of a head are finite. */
  boolean finite(int head) {
    for (Array array : arrays) {
      for (int i = head * array.perHead(); i < (head + 1) * array.perHead(); i++) {
        if (!Float.isFinite(array.data[i])) {
          return false;
        }
      }
    }
    return true;
  }

  /** Makes a head look at nothing: all its features constant, so that its output is the mean of the values. */
  void flatten(int head) {
    for (Array array : arrays) {
      java.util.Arrays.fill(array.data, head * array.perHead(), (head + 1) * array.perHead(), 0);
    }
    for (String side : List.of("query", "key")) {
      Array bias = array(side + ".bias");
      int column = 0;
      for (int f = 0; f < design.spec().ranks().length; f++) {
        if (design.activations().get(f) == Activation.IDENTITY || design.activations().get(f) == Activation.RELU) {
          bias.data[head * bias.perHead() + column] = 1;
        }
        column += design.spec().ranks()[f];
      }
    }
  }

  /** As a file of feature maps holds them. */
  SiteMaps maps(float epsilon) {
    return new SiteMaps(design.spec().ranks(), design.spec().powers(), design.activations(), epsilon, side("query"), side("key"));
  }

  private SiteMaps.Side side(String side) {
    Optional<SiteMaps.Hidden> hidden = design.hidden() == 0 ? Optional.empty() : Optional.of(new SiteMaps.Hidden(
        design.hidden(), array(side + ".hidden.weight").data.clone(), array(side + ".hidden.bias").data.clone()));
    return new SiteMaps.Side(heads, headDim, design.spec().width(), array(side + ".weight").data.clone(), array(side + ".bias").data.clone(), hidden);
  }
}
