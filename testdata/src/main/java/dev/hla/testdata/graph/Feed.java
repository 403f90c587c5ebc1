package dev.hla.testdata.graph;

/**
 * A value for an input of a model.
 *
 * @param type TensorProto.DataType
 * @param values rounded to the type by who feeds it
 */
public record Feed(int type, long[] shape, float[] values) {}
