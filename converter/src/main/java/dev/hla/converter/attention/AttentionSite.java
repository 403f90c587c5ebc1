package dev.hla.converter.attention;

import dev.hla.converter.Dim;
import dev.hla.converter.wiring.WiredSite;

/** One attention of a model, whatever form its exporter gave it; {@link AttentionFinder} finds them. */
public sealed interface AttentionSite permits WiredSite {
  /** The scope of the node in the exporter's terms, unique in the model; the key of the feature-map file. */
  String name();

  /** Label of the Softmax, the attention operator, or the Div that ends a decomposed softmax. */
  String node();

  /** How the exporter wrote it, in one of the words that docs/attention-forms.md lists. */
  String form();

  /** What attends to what. */
  Kind kind();

  /** H, the number of query heads; 0 if it cannot be told. */
  long heads();

  /** d, the channels of a query head; 0 if it cannot be told. */
  long headDim();

  /** N, static or symbolic; null if unknown. */
  Dim queryTokens();

  /** M, static or symbolic; null if unknown. */
  Dim keyTokens();

  /** B, static or symbolic; null if unknown. */
  Dim batch();

  /** How the mask acts. */
  MaskKind mask();

  /** The factor on the scores, without a unit: mostly 1 / sqrt(d); NaN if it cannot be told. */
  double scale();

  /** TensorProto.DataType of the values: 1 float, 10 float16, 16 bfloat16; 0 if unknown. */
  int dtype();

  /** Why it does not convert, or "" if it does. */
  String reason();

  /** Whether the rewrite is exact up to the feature maps; it says nothing of speed. */
  default boolean convertible() {
    return reason().isEmpty();
  }
}
