package dev.hla.distill;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;

/**
 * A sample as arrays, with some of its query rows.
 *
 * @param query [H, rows, d]
 * @param key [H, M, d]
 * @param value [H, M, dv]
 * @param output [H, rows, dv]
 * @param keyWeight [H, M, 1], or null
 */
record SiteTensors(NDArray query, NDArray key, NDArray value, NDArray output, NDArray keyWeight) {
  static SiteTensors of(NDManager manager, SiteSample s, int[] rows) {
    int h = s.heads();
    return new SiteTensors(
        Torch.array(manager, SiteSample.rows(s.query(), h, s.headDim(), rows), h, rows.length, s.headDim()),
        Torch.array(manager, s.key(), h, s.keys(), s.headDim()),
        Torch.array(manager, s.value(), h, s.keys(), s.valueDim()),
        Torch.array(manager, SiteSample.rows(s.output(), h, s.valueDim(), rows), h, rows.length, s.valueDim()),
        s.keyWeight() == null ? null : Torch.array(manager, s.keyWeight(), h, s.keys(), 1));
  }
}
