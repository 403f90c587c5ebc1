package dev.hla.distill;

import org.ejml.data.DMatrixRMaj;

/** A weight with its bias as one more row, [rows + 1, columns], of one head: the bias is the row of a constant input. */
final class BiasedWeight {
  private BiasedWeight() {}

  /**
   * Puts numbers of a weight and of its bias together.
   *
   * @param weight what they belong to
   * @param ofWeight [H, rows, columns]
   * @param ofBias [H, columns]
   */
  static DMatrixRMaj matrix(MapWeights.Array weight, float[] ofWeight, float[] ofBias, int head) {
    int rows = weight.shape()[1];
    int columns = weight.shape()[2];
    DMatrixRMaj matrix = new DMatrixRMaj(rows + 1, columns);
    for (int i = 0; i < rows * columns; i++) {
      matrix.data[i] = ofWeight[head * rows * columns + i];
    }
    for (int i = 0; i < columns; i++) {
      matrix.data[rows * columns + i] = ofBias[head * columns + i];
    }
    return matrix;
  }
}
