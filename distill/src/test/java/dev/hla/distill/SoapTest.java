package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.RandomMatrices_DDRM;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SoapTest {
  private static final int D = 4;
  private static final MapDesign SQUARE = MapDesign.parse("4^2,1");
  private static final int POINTS = 64;

  /** Least squares on the query's map of each head: rows x of very unequal spread, and what x W + b shall be. */
  private static final class Problem {
    final int width;
    final DMatrixRMaj[] x;
    final DMatrixRMaj[] wanted;
    final Soap soap;

    /** @param turn orthogonal, applied to every x; the weights start where they give the same results */
    Problem(int heads, MapDesign design, DMatrixRMaj turn) {
      width = design.spec().width();
      x = new DMatrixRMaj[heads];
      wanted = new DMatrixRMaj[heads];
      soap = new Soap(new MapWeights(heads, D, design));
      Random random = new Random(5);
      for (int h = 0; h < heads; h++) {
        DMatrixRMaj plain = RandomMatrices_DDRM.rectangle(POINTS, D, -1, 1, random);
        for (int i = 0; i < plain.data.length; i++) {
          plain.data[i] *= Math.pow(6, -(i % D));
        }
        wanted[h] = new DMatrixRMaj(POINTS, width);
        DMatrixRMaj solution = RandomMatrices_DDRM.rectangle(D, width, -1, 1, random);
        CommonOps_DDRM.mult(plain, solution, wanted[h]);
        CommonOps_DDRM.add(wanted[h], 0.3);
        x[h] = new DMatrixRMaj(POINTS, D);
        CommonOps_DDRM.mult(plain, turn, x[h]);
        DMatrixRMaj start = RandomMatrices_DDRM.rectangle(D, width, -1, 1, random);
        DMatrixRMaj turned = new DMatrixRMaj(D, width);
        CommonOps_DDRM.multTransA(turn, start, turned);
        for (int i = 0; i < D * width; i++) {
          weight()[h * D * width + i] = (float) turned.data[i];
        }
      }
    }

    float[] weight() {
      return soap.weights().array("query.weight").data();
    }

    float[] bias() {
      return soap.weights().array("query.bias").data();
    }

    private DMatrixRMaj errors(int head) {
      DMatrixRMaj errors = new DMatrixRMaj(POINTS, width);
      for (int p = 0; p < POINTS; p++) {
        for (int c = 0; c < width; c++) {
          double z = bias()[head * width + c];
          for (int i = 0; i < D; i++) {
            z += x[head].get(p, i) * weight()[head * D * width + i * width + c];
          }
          errors.set(p, c, z - wanted[head].get(p, c));
        }
      }
      return errors;
    }

    /** Of the columns that may move. */
    double loss(int head) {
      DMatrixRMaj errors = errors(head);
      return IntStream.range(0, errors.data.length).filter(i -> i % width < width - 1).mapToDouble(i -> errors.data[i] * errors.data[i]).sum();
    }

    float[][] gradients() {
      float[][] gradients = soap.weights().arrays().stream().map(array -> new float[array.data().length]).toArray(float[][]::new);
      for (int h = 0; h < x.length; h++) {
        DMatrixRMaj errors = errors(h);
        DMatrixRMaj gradient = new DMatrixRMaj(D, width);
        CommonOps_DDRM.multTransA(1.0 / POINTS, x[h], errors, gradient);
        for (int i = 0; i < gradient.data.length; i++) {
          gradients[0][h * gradient.data.length + i] = (float) gradient.data[i];
        }
        for (int i = 0; i < errors.data.length; i++) {
          gradients[1][h * width + i % width] += (float) (errors.data[i] / POINTS);
        }
      }
      return gradients;
    }

    void steps(int from, int to) {
      for (int s = from; s < to; s++) {
        float[][] gradients = gradients();
        for (int h = 0; h < x.length; h++) {
          soap.norm(gradients, h);
          soap.step(gradients, h, 0.02, 1);
        }
      }
    }
  }

  private static DMatrixRMaj identity() {
    return CommonOps_DDRM.identity(D);
  }

  @Test
  void axesOfTheInputDoNotMatter() {
    Problem plain = new Problem(1, SQUARE, identity());
    Problem turned = new Problem(1, SQUARE, RandomMatrices_DDRM.orthogonal(D, D, new Random(3)));
    for (int step = 0; step < 120; step += 10) {
      assertEquals(plain.loss(0), turned.loss(0), 0.02 * plain.loss(0), "after " + step + " steps");
      plain.steps(step, step + 10);
      turned.steps(step, step + 10);
    }
  }

  /** How far the second column goes in a step, over the first, where its gradient is a 128th of the first one's. */
  private static double stride(String maps) {
    Soap soap = new Soap(new MapWeights(1, D, MapDesign.parse(maps)));
    float[][] gradients = soap.weights().arrays().stream().map(array -> new float[array.data().length]).toArray(float[][]::new);
    MapWeights.Array weight = soap.weights().array("key.weight");
    int width = weight.shape()[2];
    float[] gradient = gradients[soap.weights().arrays().indexOf(weight)];
    for (int i = 0; i < D; i++) {
      gradient[i * width] = (i + 1) / 8f;
      gradient[i * width + 1] = (i + 1) / 1024f;
    }
    soap.step(gradients, 0, 0.02, 1);
    return weight.data()[(D - 1) * width + 1] / weight.data()[(D - 1) * width];
  }

  @Test
  void columnsMoveTogetherWhereTheyAreNoMoreThanRows() {
    assertEquals(1 / 128.0, stride("4^2,1"), 1e-4);
    assertEquals(1 / 128.0, stride("2,2,1:softplus"), 1e-4);
    assertEquals(1, stride("4^2,2^2,1"), 1e-2);
    assertEquals(1, stride("16,1:softmax"), 1e-2);
  }

  @Test
  void directionsOfSmallSpreadAreLearntAsWell() {
    Problem problem = new Problem(1, SQUARE, RandomMatrices_DDRM.orthogonal(D, D, new Random(3)));
    double start = problem.loss(0);
    problem.steps(0, 300);
    assertTrue(problem.loss(0) < 1e-4 * start, problem.loss(0) + " of " + start);
  }

  @Test
  void fixedColumnsStay() {
    Problem problem = new Problem(1, SQUARE, identity());
    int width = problem.width;
    float[] before = problem.weight().clone();
    for (int step = 0; step < 25; step++) {
      // With the gradient that the fixed column has.
      problem.soap.step(problem.gradients(), 0, 0.02, 1);
    }
    for (int i = 0; i < before.length; i++) {
      if (i % width == width - 1) {
        assertEquals(before[i], problem.weight()[i]);
      } else {
        assertNotEquals(before[i], problem.weight()[i]);
      }
    }
    assertEquals(0, problem.bias()[width - 1]);
  }

  @Test
  void whatIsSavedIsAllThatItRemembers(@TempDir Path folder) {
    Problem whole = new Problem(2, SQUARE, identity());
    whole.steps(0, 33);
    FitCheckpoint file = new FitCheckpoint(folder.resolve("state.npz"));
    file.save(List.of(whole.soap), 33);
    Problem resumed = new Problem(2, SQUARE, identity());
    assertEquals(33, file.restore(List.of(resumed.soap)));
    whole.steps(33, 57);
    resumed.steps(33, 57);
    assertArrayEquals(whole.weight(), resumed.weight());
    assertArrayEquals(whole.bias(), resumed.bias());
  }

  @Test
  void aHeadWithoutAFiniteGradientStaysAndMovesNoOther() {
    Problem one = new Problem(2, SQUARE, identity());
    Problem other = new Problem(2, SQUARE, identity());
    float[] before = one.weight().clone();
    for (int step = 0; step < 15; step++) {
      float[][] gradients = one.gradients();
      gradients[0][2] = Float.NaN;
      for (int h = 0; h < 2; h++) {
        double norm = one.soap.norm(gradients, h);
        one.soap.step(gradients, h, 0.02, Double.isFinite(norm) ? 1 : Double.NaN);
      }
      other.steps(step, step + 1);
    }
    int half = before.length / 2;
    assertArrayEquals(Arrays.copyOf(before, half), Arrays.copyOf(one.weight(), half));
    assertArrayEquals(Arrays.copyOfRange(other.weight(), half, 2 * half), Arrays.copyOfRange(one.weight(), half, 2 * half));
    assertArrayEquals(new int[] {15, 0}, one.soap.skipped());
  }
}
