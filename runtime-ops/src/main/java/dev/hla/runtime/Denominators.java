package dev.hla.runtime;

import dev.hla.converter.Formation;
import dev.hla.converter.RankSpec;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The denominators of a Hadamard attention site, one a query: sum over the keys of prod_f (q_f, k_f)^p_f, plus epsilon.
 * Where factors may be negative they can come near zero or change sign, and then the output explodes.
 *
 * @param smallest the denominator nearest to zero, with its sign
 * @param relative |smallest| divided by the mean of |denominator| at this site, so that the scale of the features cancels
 * @param negative how many are below zero
 * @param count how many were looked at
 */
public record Denominators(double smallest, double relative, long negative, long count) {
  /** Above this many products the state is not formed, and a sample of the queries is taken pair by pair instead. */
  private static final int MAX_STATE = 4096;
  private static final int SAMPLED_QUERIES = 64;

  /**
   * Computes the denominators in double precision.
   *
   * @param query [B, H, N, R]
   * @param key [B, H, M, R]
   */
  public static Denominators of(Tensor query, Tensor key, int[] ranks, int[] powers, double epsilon) {
    List<Monomial> monomials = monomials(new RankSpec(ranks, powers));
    int width = query.dim(3);
    int queries = query.dim(2);
    int keys = key.dim(2);
    int step = monomials != null ? 1 : Math.max(1, queries / SAMPLED_QUERIES);
    double smallest = Double.POSITIVE_INFINITY;
    double sum = 0;
    long negative = 0;
    long count = 0;
    for (int group = 0; group < query.dim(0) * query.dim(1); group++) {
      double[] state = monomials == null ? null : state(key, group * keys, keys, width, monomials);
      double[] row = new double[width];
      for (int i = 0; i < queries; i += step) {
        read(query, (group * queries + i) * width, row);
        double denominator = epsilon + (state != null ? dot(row, state, monomials)
            : pairs(row, key, group * keys, keys, ranks, powers));
        // A NaN is the worst there is and must not be passed over.
        if (!Double.isNaN(smallest) && !(Math.abs(denominator) >= Math.abs(smallest))) {
          smallest = denominator;
        }
        sum += Math.abs(denominator);
        negative += denominator < 0 ? 1 : 0;
        count++;
      }
    }
    return new Denominators(smallest, Math.abs(smallest) / (sum / count), negative, count);
  }

  /** A product of features, each to a power, and the weight it has in the expanded product of powers. */
  private record Monomial(int[] feature, double weight) {
    double of(double[] row) {
      double product = 1;
      for (int f : feature) {
        product *= row[f];
      }
      return product;
    }
  }

  private static double[] state(Tensor key, int first, int keys, int width, List<Monomial> monomials) {
    double[] state = new double[monomials.size()];
    double[] row = new double[width];
    for (int j = 0; j < keys; j++) {
      read(key, (first + j) * width, row);
      for (int m = 0; m < state.length; m++) {
        state[m] += monomials.get(m).of(row);
      }
    }
    for (int m = 0; m < state.length; m++) {
      state[m] *= monomials.get(m).weight();
    }
    return state;
  }

  private static double dot(double[] row, double[] state, List<Monomial> monomials) {
    double sum = 0;
    for (int m = 0; m < state.length; m++) {
      sum += state[m] * monomials.get(m).of(row);
    }
    return sum;
  }

  private static double pairs(double[] row, Tensor key, int first, int keys, int[] ranks, int[] powers) {
    double sum = 0;
    for (int j = 0; j < keys; j++) {
      double product = 1;
      int feature = 0;
      for (int f = 0; f < ranks.length; f++) {
        double inner = 0;
        for (int r = 0; r < ranks[f]; r++, feature++) {
          inner += row[feature] * key.get((first + j) * row.length + feature);
        }
        product *= Math.pow(inner, powers[f]);
      }
      sum += product;
    }
    return sum;
  }

  private static void read(Tensor tensor, int start, double[] row) {
    for (int r = 0; r < row.length; r++) {
      row[r] = tensor.get(start + r);
    }
  }

  /** The expanded product of powers, or null where it has too many terms. */
  private static List<Monomial> monomials(RankSpec spec) {
    if (spec.products() > MAX_STATE) {
      return null;
    }
    Formation formation = Formation.of(spec);
    List<int[]> products = formation.products();
    float[] weights = formation.weights();
    return IntStream.range(0, weights.length).mapToObj(i -> new Monomial(products.get(i), weights[i])).toList();
  }
}
