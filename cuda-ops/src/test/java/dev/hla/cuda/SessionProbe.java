package dev.hla.cuda;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.runtime.HlaOperators;
import dev.hla.testdata.HadamardReference;
import dev.hla.testdata.OperatorCase;
import dev.hla.testdata.Precision;
import java.nio.file.Path;
import java.util.Arrays;

/** Runs two sessions on the CPU with the operator library at the given path, and prints one line: their common result. */
final class SessionProbe {
  private SessionProbe() {}

  public static void main(String[] args) throws Exception {
    OperatorCase c = OperatorCase.GRID.stream().filter(x -> x.name().equals("batch of three")).findFirst().orElseThrow();
    double[][] results = new double[2][];
    for (int i = 0; i < 2; i++) {
      try (SessionOptions options = new SessionOptions()) {
        HlaOperators.register(options, Path.of(args[0]));
        try (OrtSession session = OrtEnvironment.getEnvironment().createSession(OneNode.model(c, Precision.FLOAT32), options)) {
          results[i] = OneNode.run(session, c, Precision.FLOAT32);
        }
      }
    }
    boolean right = HadamardReference.relativeError(c.expected(), results[0]) <= Precision.FLOAT32.tolerance();
    System.out.println("right " + right + ", twice the same " + Arrays.equals(results[0], results[1]) + ", "
        + Arrays.hashCode(results[0]));
  }
}
