package dev.hla.distill;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import dev.hla.converter.HlaException;

/**
 * PyTorch through DJL. Gradients are taken below DJL's gradient collector, which one thread of the process at a time may
 * use: sites are fitted side by side.
 */
final class Torch {
  static {
    // Native code comes with the jars; nothing is fetched at run time.
    System.setProperty("ai.djl.offline", "true");
  }

  private Torch() {}

  /** A manager of arrays; closing it frees them all. */
  static NDManager manager() {
    return engine().newBaseManager();
  }

  /** Loads what is native, the first time. */
  private static Engine engine() {
    try {
      return Engine.getEngine("PyTorch");
    } catch (RuntimeException | LinkageError e) {
      throw new HlaException("PyTorch cannot be loaded (" + e.getMessage() + "); maps are fitted on Linux x86-64, and the folder "
          + System.getProperty("user.home") + "/.djl.ai, or the one that DJL_CACHE_DIR names, must be writable", e);
    }
  }

  /** Makes the operators of this thread run in it alone; each thread has to ask for itself. */
  static void oneThread() {
    manager().close();
    JniUtils.setNumThreads(1);
  }

  /**
   * An array with these values. It is copied into memory of PyTorch's own: DJL wraps a Java buffer, which lies at any
   * address, and the order in which products are summed up depends on the alignment; the same seed would give maps that
   * differ in their last digits.
   */
  static NDArray array(NDManager manager, float[] values, long... shape) {
    try (NDArray wrapped = manager.create(values, new Shape(shape))) {
      return wrapped.duplicate();
    }
  }

  /**
   * A number as an array beside another one. Operators with a plain number free it as soon as they have run, though
   * gradients of products, quotients and powers read it once more: where gradients flow, numbers come from here.
   */
  static NDArray scalar(NDArray beside, double value) {
    return array(beside.getManager(), new float[] {(float) value});
  }

  /** An array that gradients are taken with respect to. */
  static NDArray leaf(NDManager manager, float[] values, long... shape) {
    NDArray leaf = array(manager, values, shape);
    leaf.setRequiresGradient(true);
    return leaf;
  }

  /** Runs with operators recorded or not, in this thread. */
  static <T> T withGradients(boolean recorded, java.util.function.Supplier<T> work) {
    engine();
    boolean before = JniUtils.isGradMode();
    JniUtils.setGradMode(recorded);
    try {
      return work.get();
    } finally {
      JniUtils.setGradMode(before);
    }
  }

  /** Fills the gradients of all leaves that a scalar came from. */
  static void backward(NDArray scalar) {
    JniUtils.backward((PtNDArray) scalar, (PtNDArray) scalar.onesLike(), false, false);
  }

  /** Adds the gradients of an array's scalar product with another one to all leaves that it came from; may be called again. */
  static void backward(NDArray array, NDArray times) {
    JniUtils.backward((PtNDArray) array, (PtNDArray) times, true, false);
  }

  /** Sets the gradient of a leaf to 0. */
  static void clearGradient(NDArray leaf) {
    NDArray gradient = leaf.getGradient();
    if (gradient != null) {
      gradient.muli(0);
    }
  }

  /** The gradient of a leaf; zeros where the scalar did not depend on it. */
  static float[] gradient(NDArray leaf) {
    NDArray gradient = leaf.getGradient();
    return gradient == null ? new float[(int) leaf.size()] : gradient.toFloatArray();
  }
}
