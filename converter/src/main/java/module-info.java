/**
 * Reads ONNX models, finds their attention, and rewrites it into Hadamard linear attention:
 * {@link dev.hla.converter.OnnxModel}, {@link dev.hla.converter.attention.AttentionFinder},
 * {@link dev.hla.converter.rewrite.Plan}, {@link dev.hla.converter.rewrite.Rewriter}, in this order.
 */
// protobuf-java is an automatic module, with a name of its own in its manifest; distill is compiled later.
@SuppressWarnings({"requires-automatic", "requires-transitive-automatic", "module"})
module dev.hla.converter {
  requires transitive com.google.protobuf;
  requires com.fasterxml.jackson.databind;

  exports dev.hla.converter;
  exports dev.hla.converter.attention;
  exports dev.hla.converter.rewrite;
  exports dev.hla.onnx;

  exports dev.hla.converter.files to dev.hla.runtime, dev.hla.distill;
  exports dev.hla.converter.graph to dev.hla.distill;
  exports dev.hla.converter.wiring to dev.hla.distill;
}
