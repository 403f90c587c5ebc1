package dev.hla.distill;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;

/**
 * How fast the squared error of the output grows in each direction of the maps: the Gauss-Newton matrix, block by block. A block
 * is a weight with its bias as a last row, of one head; its matrix is taken as the Kronecker product of the mean of G G' and that
 * of G' G over gradients G of random sums of the output, divided by their trace (as in K-FAC, arXiv 1503.05671). Known up to a factor.
 */
final class Curvature {
  /** Share of the mean eigenvalue that is added to every one: the gradients are fewer than the directions. */
  private static final double DAMPING = 0.01;

  private record Block(DMatrixRMaj left, DMatrixRMaj right) {}

  private final Map<String, MapWeights> weights;
  /** Of each site, weight after weight and head after head. */
  private final Map<String, List<Block>> blocks = new LinkedHashMap<>();
  private int samples;

  Curvature(Map<String, MapWeights> weights) {
    this.weights = weights;
    weights.forEach((site, w) -> {
      List<Block> of = new ArrayList<>();
      for (int a = 0; a < w.arrays().size(); a += 2) {
        int rows = w.arrays().get(a).shape()[1] + 1;
        int columns = w.arrays().get(a).shape()[2];
        for (int head = 0; head < w.heads(); head++) {
          of.add(new Block(new DMatrixRMaj(rows, rows), new DMatrixRMaj(columns, columns)));
        }
      }
      blocks.put(site, of);
    });
  }

  /** @param gradient of the output's scalar product with random signs */
  void add(Gradients gradient) {
    samples++;
    blocks.forEach((site, of) -> {
      for (int b = 0; b < of.size(); b++) {
        DMatrixRMaj g = matrix(gradient, site, b);
        CommonOps_DDRM.multAddTransB(g, g, of.get(b).left);
        CommonOps_DDRM.multAddTransA(g, g, of.get(b).right);
      }
    });
  }

  /** The direction that is steepest for a gradient where length is measured by this matrix; fixed columns stay. */
  Gradients solve(Gradients gradient) {
    Gradients direction = new Gradients();
    blocks.forEach((site, of) -> {
      MapWeights w = weights.get(site);
      float[][] arrays = w.arrays().stream().map(array -> new float[array.data().length]).toArray(float[][]::new);
      for (int b = 0; b < of.size(); b++) {
        put(solve(of.get(b), matrix(gradient, site, b)), w, arrays, b);
      }
      direction.put(site, arrays);
    });
    return direction;
  }

  private DMatrixRMaj solve(Block block, DMatrixRMaj gradient) {
    double trace = CommonOps_DDRM.trace(block.left) / samples;
    DMatrixRMaj half = new DMatrixRMaj(gradient.numRows, gradient.numCols);
    DMatrixRMaj whole = new DMatrixRMaj(gradient.numCols, gradient.numRows);
    if (!(trace > 0) || !CommonOps_DDRM.solveSPD(damped(block.left, trace), gradient, half)
        || !CommonOps_DDRM.solveSPD(damped(block.right, trace), CommonOps_DDRM.transpose(half, null), whole)) {
      // Of this head nothing is known, or it is not finite: it stays.
      return new DMatrixRMaj(gradient.numRows, gradient.numCols);
    }
    return CommonOps_DDRM.transpose(whole, null);
  }

  private DMatrixRMaj damped(DMatrixRMaj sum, double trace) {
    DMatrixRMaj mean = sum.copy();
    CommonOps_DDRM.scale(1 / (samples * Math.sqrt(trace)), mean);
    double more = DAMPING * CommonOps_DDRM.trace(mean) / mean.numRows;
    for (int i = 0; i < mean.numRows; i++) {
      mean.add(i, i, more);
    }
    return mean;
  }

  private DMatrixRMaj matrix(Gradients gradient, String site, int block) {
    MapWeights w = weights.get(site);
    int a = 2 * (block / w.heads());
    float[][] arrays = gradient.of(site);
    return BiasedWeight.matrix(w.arrays().get(a), arrays[a], arrays[a + 1], block % w.heads());
  }

  private static void put(DMatrixRMaj matrix, MapWeights w, float[][] arrays, int block) {
    int a = 2 * (block / w.heads());
    int head = block % w.heads();
    MapWeights.Array weight = w.arrays().get(a);
    int n = weight.perHead();
    int columns = weight.shape()[2];
    for (int i = 0; i < matrix.data.length; i++) {
      if (!weight.fixedColumns()[i % columns]) {
        if (i < n) {
          arrays[a][head * n + i] = (float) matrix.data[i];
        } else {
          arrays[a + 1][head * columns + i - n] = (float) matrix.data[i];
        }
      }
    }
  }
}
