package dev.hla.distill;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.EigenDecomposition_F64;

/**
 * The optimiser: Adam in the eigenbasis of Shampoo's preconditioner (SOAP, arXiv 2409.11321, algorithm 3), one head at a
 * time: each head has its own step, clipping and count of bad gradients, so that what goes wrong in one head stays there.
 *
 * <p>A weight and its bias are one matrix W [rows + 1, columns], for the bias is the row of a constant input. With the
 * running means L of G G' and R of G' G, and Q_L, Q_R their eigenvectors, Adam's second moment is kept of Q_L' G Q_R. The
 * directions of head_dim matter very unequally to a similarity, and no axis of W is one of them.
 *
 * <p>Columns are turned by Q_R only where they are no more than the rows, for a gradient has no higher rank, and says nothing
 * of most directions of wider ones. In a second implementation, on two sites of shapes_wan with 33 rows, 400 steps end at
 *
 * <pre>
 *                         Adam           rows turned     rows and columns
 *   8^2,3^2,1             0.103, 0.094   0.094, 0.087    0.093, 0.085
 *   8,8,1 of softplus     0.221, 0.189   0.209, 0.159    0.198, 0.159
 *   64,1 of softmax       0.221, 0.153   0.216, 0.151    0.266, 0.174
 * </pre>
 *
 * <p>What it gained is told at {@link FitSettings#of} and {@link Refinement.Settings#of}.
 */
final class Soap {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.98;
  /** Of L and R. */
  private static final double BETA_SHAPE = 0.98;
  /** Steps of a head between two bases. */
  private static final int BASIS_EVERY = 10;
  private static final double TINY = 1e-8;

  private final MapWeights weights;
  private final List<Block> blocks = new ArrayList<>();
  private final int[] steps;
  private final int[] skipped;

  /** A weight with its bias, of all heads, and what is remembered of its gradients; matrices are row-major, head after head. */
  private static final class Block {
    final int rows;
    final int columns;
    final MapWeights.Array weight;
    final MapWeights.Array bias;
    final double[] first;
    /** In the eigenbasis. */
    final double[] second;
    final double[] left;
    /** Without numbers where columns are not turned. */
    final double[] right;
    final double[] leftBasis;
    final double[] rightBasis;

    Block(MapWeights.Array weight, MapWeights.Array bias) {
      this.weight = weight;
      this.bias = bias;
      rows = weight.shape()[1] + 1;
      columns = weight.shape()[2];
      int heads = weight.shape()[0];
      first = new double[heads * rows * columns];
      second = new double[heads * rows * columns];
      left = new double[heads * rows * rows];
      right = new double[columns <= rows ? heads * columns * columns : 0];
      leftBasis = new double[left.length];
      rightBasis = new double[right.length];
    }

    boolean turnsColumns() {
      return right.length > 0;
    }

    Map<String, double[]> state() {
      Map<String, double[]> state = new LinkedHashMap<>();
      state.put("first", first);
      state.put("second", second);
      state.put("left", left);
      state.put("right", right);
      state.put("left_basis", leftBasis);
      state.put("right_basis", rightBasis);
      return state;
    }
  }

  Soap(MapWeights weights) {
    this.weights = weights;
    for (int a = 0; a < weights.arrays().size(); a += 2) {
      blocks.add(new Block(weights.arrays().get(a), weights.arrays().get(a + 1)));
    }
    this.steps = new int[weights.heads()];
    this.skipped = new int[weights.heads()];
  }

  /** What it moves. */
  MapWeights weights() {
    return weights;
  }

  /** What it remembers of earlier gradients by name, to be saved and filled again. */
  Map<String, double[]> state() {
    Map<String, double[]> state = new LinkedHashMap<>();
    blocks.forEach(block -> block.state().forEach((name, values) -> state.put(block.weight.name() + "." + name, values)));
    return state;
  }

  /** Steps taken by each head. */
  int[] steps() {
    return steps;
  }

  /** Steps that a head did not take because its gradient was not finite. */
  int[] skipped() {
    return skipped;
  }

  /**
   * Sets the gradient of fixed columns to 0 and returns the Euclidean norm of one head's gradient.
   *
   * @param gradients in the order of the weights' arrays
   */
  double norm(float[][] gradients, int head) {
    double sum = 0;
    for (int a = 0; a < gradients.length; a++) {
      MapWeights.Array array = weights.arrays().get(a);
      for (int i = 0; i < array.perHead(); i++) {
        int at = head * array.perHead() + i;
        if (array.fixedColumns()[i % array.shape()[2]]) {
          gradients[a][at] = 0;
        }
        sum += (double) gradients[a][at] * gradients[a][at];
      }
    }
    return Math.sqrt(sum);
  }

  /**
   * Moves one head.
   *
   * @param rate the learning rate of this step
   * @param factor what the gradient is multiplied with first, to clip it; not finite skips the step
   */
  void step(float[][] gradients, int head, double rate, double factor) {
    if (!Double.isFinite(factor)) {
      skipped[head]++;
      return;
    }
    int t = ++steps[head];
    for (int b = 0; b < blocks.size(); b++) {
      Block block = blocks.get(b);
      move(block, head, t, rate, gradient(block, head, gradients[2 * b], gradients[2 * b + 1], factor));
    }
  }

  private static DMatrixRMaj gradient(Block block, int head, float[] weight, float[] bias, double factor) {
    DMatrixRMaj gradient = BiasedWeight.matrix(block.weight, weight, bias, head);
    CommonOps_DDRM.scale(factor, gradient);
    return gradient;
  }

  private static void move(Block block, int head, int t, double rate, DMatrixRMaj gradient) {
    DMatrixRMaj leftBasis = basis(block.left, block.leftBasis, head, t, gradient);
    DMatrixRMaj rightBasis = block.turnsColumns()
        ? basis(block.right, block.rightBasis, head, t, CommonOps_DDRM.transpose(gradient, null)) : null;

    int n = block.rows * block.columns;
    DMatrixRMaj first = part(block.first, head, block.rows, block.columns);
    CommonOps_DDRM.add(BETA1, first, 1 - BETA1, gradient, first);
    put(first, block.first, head);
    DMatrixRMaj turned = turn(gradient, leftBasis, rightBasis);
    DMatrixRMaj direction = turn(first, leftBasis, rightBasis);
    double scale1 = 1 / (1 - StrictMath.pow(BETA1, t));
    double scale2 = 1 / (1 - StrictMath.pow(BETA2, t));
    for (int i = 0; i < n; i++) {
      int at = head * n + i;
      block.second[at] = BETA2 * block.second[at] + (1 - BETA2) * turned.data[i] * turned.data[i];
      direction.data[i] *= scale1 / (Math.sqrt(block.second[at] * scale2) + TINY);
    }
    DMatrixRMaj update = new DMatrixRMaj(block.rows, block.columns);
    CommonOps_DDRM.mult(leftBasis, direction, update);
    if (rightBasis != null) {
      DMatrixRMaj rows = update.copy();
      CommonOps_DDRM.multTransB(rows, rightBasis, update);
    }
    subtract(block.weight, head, update, 0, rate);
    subtract(block.bias, head, update, block.weight.perHead(), rate);
  }

  /** Q_L' X Q_R, or Q_L' X where columns are not turned. */
  private static DMatrixRMaj turn(DMatrixRMaj x, DMatrixRMaj leftBasis, DMatrixRMaj rightBasis) {
    DMatrixRMaj half = new DMatrixRMaj(x.numRows, x.numCols);
    CommonOps_DDRM.multTransA(leftBasis, x, half);
    if (rightBasis == null) {
      return half;
    }
    DMatrixRMaj whole = new DMatrixRMaj(x.numRows, x.numCols);
    CommonOps_DDRM.mult(half, rightBasis, whole);
    return whole;
  }

  /** Fixed columns stay whatever the update says: eigenvectors of one eigenvalue may mix them with others. */
  private static void subtract(MapWeights.Array array, int head, DMatrixRMaj update, int from, double rate) {
    for (int i = 0; i < array.perHead(); i++) {
      if (!array.fixedColumns()[i % array.shape()[2]]) {
        array.data()[head * array.perHead() + i] -= (float) (rate * update.data[from + i]);
      }
    }
  }

  private static DMatrixRMaj part(double[] values, int head, int rows, int columns) {
    int n = rows * columns;
    return DMatrixRMaj.wrap(rows, columns, Arrays.copyOfRange(values, head * n, (head + 1) * n));
  }

  private static void put(DMatrixRMaj from, double[] into, int head) {
    System.arraycopy(from.data, 0, into, head * from.data.length, from.data.length);
  }

  /** The eigenvectors that the running mean of X X' had when they were last taken, after X is added to it. */
  private static DMatrixRMaj basis(double[] means, double[] bases, int head, int t, DMatrixRMaj x) {
    int n = x.numRows;
    DMatrixRMaj mean = part(means, head, n, n);
    CommonOps_DDRM.scale(BETA_SHAPE, mean);
    CommonOps_DDRM.multAddTransB(1 - BETA_SHAPE, x, x, mean);
    put(mean, means, head);
    if (t % BASIS_EVERY == 1) {
      eigenvectors(mean, bases, head);
    }
    return part(bases, head, n, n);
  }

  /** Eigenvectors as columns, by growing eigenvalue, so that a direction keeps its place; the basis before where none are found. */
  private static void eigenvectors(DMatrixRMaj symmetric, double[] into, int head) {
    int n = symmetric.numRows;
    EigenDecomposition_F64<DMatrixRMaj> eigen = DecompositionFactory_DDRM.eig(n, true, true);
    if (!eigen.decompose(symmetric.copy())) {
      return;
    }
    int[] order = IntStream.range(0, n).boxed().sorted((i, j) -> Double.compare(eigen.getEigenvalue(i).getReal(), eigen.getEigenvalue(j).getReal()))
        .mapToInt(Integer::intValue).toArray();
    for (int c = 0; c < n; c++) {
      DMatrixRMaj vector = eigen.getEigenVector(order[c]);
      for (int r = 0; r < n; r++) {
        into[head * n * n + r * n + c] = vector.data[r];
      }
    }
  }

  /** A learning rate that warms up in 20 steps and then falls along a cosine to 2 % at the end. */
  static double rate(double peak, int step, int total) {
    int warmUp = Math.min(20, total / 5);
    if (step < warmUp) {
      return peak * (step + 1) / (warmUp + 1);
    }
    double progress = (double) (step - warmUp) / Math.max(1, total - warmUp);
    return peak * (0.02 + 0.98 * 0.5 * (1 + StrictMath.cos(Math.PI * progress)));
  }
}
