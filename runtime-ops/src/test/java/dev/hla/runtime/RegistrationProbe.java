package dev.hla.runtime;

import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.converter.HlaException;

/** Registers the library and prints what was found, or the error: for tests of what a fresh JVM does. */
final class RegistrationProbe {
  private RegistrationProbe() {}

  public static void main(String[] args) throws Exception {
    try (SessionOptions options = new SessionOptions()) {
      HlaOperators.Registration r = HlaOperators.register(options);
      System.out.println(r.library() + " | " + r.foundBy() + " | " + r.instructionSet() + " | " + r.reason());
    } catch (HlaException e) {
      System.out.println("error: " + e.getMessage());
    }
  }
}
