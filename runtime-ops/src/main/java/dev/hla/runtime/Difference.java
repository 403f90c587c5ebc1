package dev.hla.runtime;

import dev.hla.converter.HlaException;

/**
 * How far one tensor is from another that it should equal.
 *
 * @param relative |a - b| / |a| in the Euclidean norm; 0 where both are zero
 * @param cosine of the angle between the two; 1 where both are zero
 * @param largest the largest |a_i - b_i|
 * @param finite whether all numbers of b are finite
 */
public record Difference(double relative, double cosine, double largest, boolean finite) {
  /**
   * Compares b with a, in double precision.
   *
   * @param what names the tensors in the message where their shapes differ
   */
  public static Difference between(Tensor a, Tensor b, String what) {
    if (!java.util.Arrays.equals(a.shape(), b.shape())) {
      throw new HlaException(what + ": cannot be compared, the shapes differ: " + a + " and " + b);
    }
    float[] expected = a.floats();
    float[] actual = b.floats();
    double error = 0;
    double lengthA = 0;
    double lengthB = 0;
    double product = 0;
    double largest = 0;
    boolean finite = true;
    for (int i = 0; i < expected.length; i++) {
      double x = expected[i];
      double y = actual[i];
      double difference = Math.abs(x - y);
      finite &= Double.isFinite(y);
      // Two equal infinities differ by nothing, not by NaN.
      if (x == y) {
        difference = 0;
      }
      error += difference * difference;
      lengthA += x * x;
      lengthB += y * y;
      product += x * y;
      largest = Double.isNaN(difference) ? Double.NaN : Math.max(largest, difference);
    }
    double relative = error == 0 ? 0 : Math.sqrt(error / lengthA);
    boolean same = error == 0;
    return new Difference(relative, same ? 1 : product / Math.sqrt(lengthA * lengthB), largest, finite);
  }
}
