package dev.hla.testdata.graph;

/** Where in a model the attention lies. */
public enum Placement {
  MAIN,
  /** A branch of an If. */
  IF_BODY,
  /** The body of a Loop that runs once. */
  LOOP_BODY,
  /** A model-local function with its weights inside. */
  FUNCTION,
  /** A model-local function that is handed its weights. */
  FUNCTION_OF_WEIGHTS
}
