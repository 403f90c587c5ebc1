package dev.hla.testdata.graph;

import dev.hla.converter.HadamardFunction;
import dev.hla.testdata.Precision;
import java.util.EnumSet;
import java.util.Set;

/**
 * One cell of the matrix of forms: a model with a single attention.
 *
 * @param type of q, k and v; models with bfloat16 compute their projections in float32, since ONNX Runtime's CPU
 *     provider has no bfloat16 products
 * @param cross whether keys and values come from a second input
 * @param dynamic whether batch and tokens are left open
 */
public record AttentionSpec(AttentionForm form, AttentionMask mask, Precision type, int opset, Projection projection, boolean cross,
    boolean dynamic, Placement placement) {
  public static final int HEADS = 4;
  public static final int HEAD_DIM = 8;
  public static final int WIDTH = HEADS * HEAD_DIM;
  public static final int GROUPED_HEADS = 2;
  public static final double SCALE = 1 / Math.sqrt(HEAD_DIM);
  /** The sizes of static models, and those that dynamic ones are run with first. */
  public static final Sizes FIRST = new Sizes(2, 12, 7);
  public static final Sizes SECOND = new Sizes(3, 9, 5);

  private static final Set<AttentionMask> MERGED_MASKS = EnumSet.of(AttentionMask.NONE, AttentionMask.ZERO_CONSTANT, AttentionMask.ZERO_COMPUTED,
      AttentionMask.KEY_EXPANDED, AttentionMask.KEY_TILED, AttentionMask.KEY_COMPUTED, AttentionMask.QUERY_DEPENDENT, AttentionMask.CAUSAL);
  private static final Set<AttentionMask> ONNX_MASKS = EnumSet.of(AttentionMask.NONE, AttentionMask.ZERO_CONSTANT, AttentionMask.KEY_BOOL,
      AttentionMask.KEY_ADDITIVE, AttentionMask.KEY_BIAS, AttentionMask.KEY_EXPANDED, AttentionMask.KEY_COMPUTED, AttentionMask.QUERY_DEPENDENT, AttentionMask.CAUSAL);
  private static final Set<AttentionMask> MICROSOFT_MASKS = EnumSet.of(AttentionMask.NONE, AttentionMask.ZERO_CONSTANT, AttentionMask.KEY_PADDING,
      AttentionMask.KEY_EXPANDED, AttentionMask.QUERY_DEPENDENT, AttentionMask.CAUSAL);

  /** Batch, tokens, and tokens of the second input. */
  public record Sizes(int batch, int tokens, int context) {}

  /** Static self-attention in float32 at opset 17, or the first that has the form's operators. */
  public static AttentionSpec of(AttentionForm form) {
    return new AttentionSpec(form, AttentionMask.NONE, Precision.FLOAT32, Math.max(17, form.oldest()), Projection.SEPARATE, false, false, Placement.MAIN);
  }

  public AttentionSpec with(AttentionMask m) {
    return new AttentionSpec(form, m, type, opset, projection, cross, dynamic, placement);
  }

  public AttentionSpec with(Precision t) {
    return new AttentionSpec(form, mask, t, opset, projection, cross, dynamic, placement);
  }

  public AttentionSpec with(Projection p) {
    return new AttentionSpec(form, mask, type, opset, p, cross, dynamic, placement);
  }

  public AttentionSpec with(Placement p) {
    return new AttentionSpec(form, mask, type, opset, projection, cross, dynamic, p);
  }

  public AttentionSpec atOpset(int version) {
    return new AttentionSpec(form, mask, type, version, projection, cross, dynamic, placement);
  }

  public AttentionSpec crossing() {
    return new AttentionSpec(form, mask, type, opset, projection, true, dynamic, placement);
  }

  public AttentionSpec open() {
    return new AttentionSpec(form, mask, type, opset, projection, cross, true, placement);
  }

  /** Whether such a model can be written at all: its operators exist at the opset, and its parts fit each other. */
  public boolean isLegal() {
    return opset >= form.oldest() && (type != Precision.BFLOAT16 || opset >= 13 && form.takesBfloat16()) && hasLegalMask() && hasLegalProjection()
        && (mask != AttentionMask.CAUSAL || !cross && (!dynamic || opset >= 11 || form.isOperator()));
  }

  private boolean hasLegalMask() {
    return form.isMerged() ? MERGED_MASKS.contains(mask)
        : form.isOnnxOperator() ? ONNX_MASKS.contains(mask)
        : form.isMicrosoftOperator() ? MICROSOFT_MASKS.contains(mask) && (mask != AttentionMask.ZERO_CONSTANT || !dynamic)
        : mask != AttentionMask.KEY_PADDING && (mask != AttentionMask.KEY_BOOL_GUARDED || form.anchor().equals("Softmax"));
  }

  private boolean hasLegalProjection() {
    if (cross && (projection != Projection.SEPARATE || form == AttentionForm.MS_ATTENTION || form.isPackedWithQuery())) {
      return false;
    }
    boolean packed = projection != Projection.FIVE_AXES && projection != Projection.FIVE_AXES_TRANSPOSED;
    // ONNX Runtime 1.29 infers a wrong width for the operator on three axes where that of q is unknown.
    boolean misread = form == AttentionForm.ONNX_ATTENTION_3D && projection == Projection.COMPUTED_SLICES;
    return projection == Projection.SEPARATE || form.takesAnyProjection() && !misread && (packed || form != AttentionForm.SCALE_BEFORE_HEADS);
  }

  /**
   * Whether ONNX Runtime's CPU provider runs the original. It has no bfloat16 products, no packed inputs of
   * MultiHeadAttention, and takes masks of the ai.onnx operator with all queries only.
   */
  public boolean runsOnCpu() {
    boolean shortMask = form.isOnnxOperator() && (mask == AttentionMask.KEY_BOOL || mask == AttentionMask.KEY_ADDITIVE || mask == AttentionMask.KEY_BIAS
        || mask == AttentionMask.ZERO_CONSTANT && dynamic);
    return !form.isPacked() && !shortMask && (type != Precision.BFLOAT16 || form == AttentionForm.MANUAL_FLOAT_OPERANDS);
  }

  /** Whether the CPU provider runs what is left after conversion: all but a scale or an Expand of bfloat16 outside the site. */
  public boolean runsConverted() {
    return type != Precision.BFLOAT16 || form != AttentionForm.SCALE_BEFORE_HEADS && form != AttentionForm.GROUPED_EXPAND;
  }

  public int keyHeads() {
    return form.isGrouped() ? GROUPED_HEADS : HEADS;
  }

  /** What the finder must report of the scale. */
  public double scale() {
    return form == AttentionForm.NO_SCALE ? 1 : SCALE;
  }

  /** How the mask acts as far as the file tells. */
  public AttentionMask.Effect maskEffect() {
    return mask.effect();
  }

  /** How the reason begins for which the site is kept, or "" where it converts. */
  public String reasonToKeep() {
    return maskEffect() == AttentionMask.Effect.FULL ? "the mask depends on the query"
        : opset < HadamardFunction.MIN_OPSET ? "the model's opset is " + opset : "";
  }

  /** A short name for tests. */
  @Override
  public String toString() {
    return form + (mask == AttentionMask.NONE ? "" : " " + mask) + " " + type + " opset " + opset + (projection == Projection.SEPARATE ? "" : " " + projection)
        + (cross ? " cross" : "") + (dynamic ? " dynamic" : "") + (placement == Placement.MAIN ? "" : " in " + placement);
  }
}
