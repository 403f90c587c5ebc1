package dev.hla.distill;

import dev.hla.converter.Activation;
import dev.hla.converter.RankSpec;
import java.util.Random;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.MatrixFeatures_DDRM;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.EigenDecomposition_F64;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * The start of even powers in closed form. With s the scale of the scores, qm and km the means of queries and keys, and
 * up to factors constant along a row,
 *
 * <pre>
 *   exp(s q.k)  ~  exp(s qm.k) exp(s (q - qm).(k - km))
 * </pre>
 *
 * The first factor is the gate. In the second, coordinates a of the query and b of the key are taken in which a.b = s (q -
 * qm).(k - km) and both have the same diagonal second moments, the largest first: Cq, Ck the covariances times s, sqrt(Cq)
 * sqrt(Ck) = U diag(sigma) V', a = sqrt(s) diag(sqrt(sigma)) U' Cq^-1/2 (q - qm), b likewise with V and Ck. Then exp(a.b)
 * is nearly (1 + a.b / P)^P for degree P, so each factor's features are 1 and the first coordinates, divided by sqrt(P).
 */
final class BalancedStart {
  /** Parts equal factors, so that the fit can use both. */
  private static final double NOISE = 0.05;
  /** Tokens that the moments are taken from, at most, over all samples. */
  private static final int MOST_TOKENS = 40_000;
  /** Least eigenvalue that is inverted, as a share of the largest. */
  private static final double FLOOR = 1e-6;

  private BalancedStart() {}

  /** Moments of one head: means [d] and covariances. */
  private static final class Moments {
    final double[] mean;
    final DMatrixRMaj covariance;
    private double count;

    Moments(int d) {
      mean = new double[d];
      covariance = new DMatrixRMaj(d, d);
    }

    void add(float[] x, int start, int d) {
      count++;
      for (int i = 0; i < d; i++) {
        mean[i] += x[start + i];
        for (int j = 0; j <= i; j++) {
          covariance.data[i * d + j] += (double) x[start + i] * x[start + j];
        }
      }
    }

    void finish(int d) {
      for (int i = 0; i < d; i++) {
        mean[i] /= count;
      }
      for (int i = 0; i < d; i++) {
        for (int j = 0; j <= i; j++) {
          double c = covariance.data[i * d + j] / count - mean[i] * mean[j];
          covariance.data[i * d + j] = c;
          covariance.data[j * d + i] = c;
        }
      }
    }
  }

  /** Fills the weights of every head; a head whose queries or keys are not finite looks at nothing. */
  static MapWeights of(SiteData data, MapDesign design, long seed) {
    int d = data.headDim();
    MapWeights weights = new MapWeights(data.heads(), d, design);
    Moments[] query = new Moments[data.heads()];
    Moments[] key = new Moments[data.heads()];
    for (int h = 0; h < data.heads(); h++) {
      query[h] = new Moments(d);
      key[h] = new Moments(d);
    }
    for (int s = 0; s < data.size(); s++) {
      SiteSample sample = data.sample(s);
      collect(query, sample.query(), sample.queries(), d, data.size());
      collect(key, sample.key(), sample.keys(), d, data.size());
    }
    for (int h = 0; h < data.heads(); h++) {
      query[h].finish(d);
      key[h].finish(d);
      if (MatrixFeatures_DDRM.hasUncountable(query[h].covariance) || MatrixFeatures_DDRM.hasUncountable(key[h].covariance)) {
        weights.flatten(h);
      } else {
        fill(weights, h, query[h], key[h], data.scale(), Seeds.random(seed * 31 + h));
      }
    }
    return weights;
  }

  private static void collect(Moments[] moments, float[] x, int tokens, int d, int samples) {
    int stride = Math.max(1, (int) ((long) tokens * samples / MOST_TOKENS));
    for (int h = 0; h < moments.length; h++) {
      for (int t = 0; t < tokens; t += stride) {
        moments[h].add(x, (h * tokens + t) * d, d);
      }
    }
  }

  private static void fill(MapWeights weights, int head, Moments query, Moments key, double scale, Random random) {
    int d = query.mean.length;
    CommonOps_DDRM.scale(scale, query.covariance);
    CommonOps_DDRM.scale(scale, key.covariance);
    DMatrixRMaj product = new DMatrixRMaj(d, d);
    CommonOps_DDRM.mult(power(query.covariance, 0.5), power(key.covariance, 0.5), product);
    SingularValueDecomposition_F64<DMatrixRMaj> svd = DecompositionFactory_DDRM.svd(d, d, true, true, false);
    svd.decompose(product);
    double[] sigma = svd.getSingularValues();
    int[] order = java.util.stream.IntStream.range(0, d).boxed().sorted((i, j) -> Double.compare(sigma[j], sigma[i]))
        .mapToInt(Integer::intValue).toArray();
    DMatrixRMaj toQuery = projection(power(query.covariance, -0.5), svd.getU(null, false), sigma, scale);
    DMatrixRMaj toKey = projection(power(key.covariance, -0.5), svd.getV(null, false), sigma, scale);
    put(weights, "query", head, query, toQuery, order, random);
    put(weights, "key", head, key, toKey, order, random);
    if (weights.design().hidden() > 0) {
      // Units that look somewhere, and do not count yet.
      RandomStart.hidden(weights, "query", head, Math.sqrt(scale), random);
      RandomStart.hidden(weights, "key", head, Math.sqrt(scale), random);
    }
    gate(weights, head, query.mean, key.mean, scale);
  }

  private static void put(MapWeights weights, String side, int head, Moments moments, DMatrixRMaj projection, int[] order, Random random) {
    RankSpec spec = weights.design().spec();
    MapWeights.Array weight = weights.array(side + ".weight");
    MapWeights.Array bias = weights.array(side + ".bias");
    int d = moments.mean.length;
    int width = spec.width();
    double share = 1 / Math.sqrt(weights.design().degree());
    double spread = Math.sqrt(CommonOps_DDRM.trace(moments.covariance) / d);
    int column = 0;
    for (int f = 0; f < spec.ranks().length; f++) {
      int rank = spec.ranks()[f];
      for (int c = column; rank > 1 && c < column + rank; c++) {
        int coordinate = c - column - 1;
        double constant = coordinate < 0 ? 1 : 0;
        for (int i = 0; i < d; i++) {
          double w = coordinate < 0 || coordinate >= d ? 0 : share * projection.get(i, order[coordinate]);
          w += NOISE * random.nextGaussian() / (Math.sqrt(d) * Math.max(spread, 1e-3));
          constant -= w * moments.mean[i];
          weight.data()[head * weight.perHead() + i * width + c] = (float) w;
        }
        bias.data()[head * width + c] = (float) constant;
      }
      column += rank;
    }
  }

  /** The key's gate exp(s qm.(k - km)); the query's stays exp(0) = 1. */
  private static void gate(MapWeights weights, int head, double[] queryMean, double[] keyMean, double scale) {
    RankSpec spec = weights.design().spec();
    MapWeights.Array weight = weights.array("key.weight");
    int width = spec.width();
    int column = 0;
    boolean done = false;
    for (int f = 0; f < spec.ranks().length; f++) {
      if (spec.ranks()[f] == 1 && weights.design().activations().get(f) == Activation.EXP && !done) {
        double constant = 0;
        for (int i = 0; i < queryMean.length; i++) {
          double g = scale * queryMean[i] / spec.powers()[f];
          weight.data()[head * weight.perHead() + i * width + column] = (float) g;
          constant -= g * keyMean[i];
        }
        weights.array("key.bias").data()[head * width + column] = (float) constant;
        // One gate carries it all; a second one would take it twice.
        done = true;
      }
      column += spec.ranks()[f];
    }
  }

  /** sqrt(s) C^-1/2 U diag(sqrt(sigma)). */
  private static DMatrixRMaj projection(DMatrixRMaj inverseRoot, DMatrixRMaj basis, double[] sigma, double scale) {
    DMatrixRMaj result = new DMatrixRMaj(basis.numRows, basis.numCols);
    CommonOps_DDRM.mult(inverseRoot, basis, result);
    for (int c = 0; c < result.numCols; c++) {
      double factor = Math.sqrt(scale * sigma[c]);
      for (int r = 0; r < result.numRows; r++) {
        result.set(r, c, result.get(r, c) * factor);
      }
    }
    return result;
  }

  /** A power of a symmetric matrix; eigenvalues below the floor are taken as the floor. */
  private static DMatrixRMaj power(DMatrixRMaj matrix, double exponent) {
    int d = matrix.numRows;
    EigenDecomposition_F64<DMatrixRMaj> eigen = DecompositionFactory_DDRM.eig(d, true, true);
    eigen.decompose(matrix.copy());
    double largest = 1e-30;
    for (int i = 0; i < d; i++) {
      largest = Math.max(largest, eigen.getEigenvalue(i).getReal());
    }
    DMatrixRMaj result = new DMatrixRMaj(d, d);
    for (int i = 0; i < d; i++) {
      DMatrixRMaj vector = eigen.getEigenVector(i);
      double value = Math.pow(Math.max(eigen.getEigenvalue(i).getReal(), FLOOR * largest), exponent);
      CommonOps_DDRM.multAddTransB(value, vector, vector, result);
    }
    return result;
  }
}
