/**
 * Registers the operators with ONNX Runtime ({@link dev.hla.runtime.HlaOperators}) and runs, compares and samples models
 * ({@link dev.hla.runtime.ModelSession}, {@link dev.hla.runtime.Verification}, {@link dev.hla.runtime.FlowSampler}).
 */
// ONNX Runtime is an automatic module, with a name of its own in its manifest; the command is compiled later.
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic", "module"})
module dev.hla.runtime {
  requires transitive com.microsoft.onnxruntime;
  requires transitive dev.hla.converter;
  requires com.fasterxml.jackson.databind;
  requires java.desktop;
  requires java.management;

  exports dev.hla.runtime;

  exports dev.hla.runtime.measure to dev.hla.cli;
}
