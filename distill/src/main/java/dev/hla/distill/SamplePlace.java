package dev.hla.distill;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;

/**
 * Where one sample of one site lies in the site's file, and its sizes. The arrays follow each other: query [H, N, d], key
 * [H, M, d], value [H, M, dv], output [H, N, dv] and, where there is a mask, the weight of each key [H, M].
 *
 * @param offset first byte
 * @param queries N
 * @param keys M
 * @param headDim d
 * @param valueDim dv
 * @param masked whether there are weights of the keys
 */
@JsonFormat(shape = JsonFormat.Shape.ARRAY)
@JsonPropertyOrder({"offset", "queries", "keys", "headDim", "valueDim", "masked"})
record SamplePlace(long offset, int queries, int keys, int headDim, int valueDim, boolean masked) {
  static SamplePlace of(long offset, SiteSample sample) {
    return new SamplePlace(offset, sample.queries(), sample.keys(), sample.headDim(), sample.valueDim(), sample.keyWeight() != null);
  }

  /** The first byte behind it. */
  long end(int heads) {
    return offset + 4L * heads * ((long) queries * (headDim + valueDim) + (long) keys * (headDim + valueDim + (masked ? 1 : 0)));
  }
}
