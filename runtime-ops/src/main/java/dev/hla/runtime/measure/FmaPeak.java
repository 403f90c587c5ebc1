package dev.hla.runtime.measure;

import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.HlaOperators;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.nio.file.Path;
import java.util.Map;

/** Measures the float32 multiply-add peak of the threads that a session has, with operator FmaPeak of the library. */
public final class FmaPeak implements AutoCloseable {
  /** A task takes a few milliseconds, and there are some for each thread, so that a thread held up leaves its share to others. */
  private static final long TASKS_PER_THREAD = 8;
  private static final long ROUNDS = 1_000_000;

  private final ModelSession session;
  private final Map<String, Tensor> work;
  private final long flops;

  /** @param threads as in {@link ModelSession.Settings} */
  public FmaPeak(int threads) {
    session = ModelSession.open(model(), Path.of("."), "the multiply-add loop", new ModelSession.Settings(true, threads));
    Tensor numbers = Tensor.zeros(ElementType.INT64, 2);
    numbers.set(0, TASKS_PER_THREAD * (threads > 0 ? threads : Runtime.getRuntime().availableProcessors()));
    numbers.set(1, ROUNDS);
    work = Map.of("work", numbers);
    flops = (long) session.run(work).get("flops").get(0);
  }

  /** One measurement, of some tens of milliseconds, in GFLOP/s. */
  public double gflops() {
    try (ModelSession.Prepared prepared = session.prepare(work)) {
      return flops / prepared.millis() * 1e-6;
    }
  }

  private static byte[] model() {
    return ModelProto.newBuilder()
        .setIrVersion(8)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(17))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(HlaOperators.DOMAIN).setVersion(1))
        .setGraph(GraphProto.newBuilder().setName("peak").addInput(numbers("work", 2)).addOutput(numbers("flops", 1))
            .addNode(NodeProto.newBuilder().setDomain(HlaOperators.DOMAIN).setOpType("FmaPeak").setName("peak")
                .addInput("work").addOutput("flops")))
        .build().toByteArray();
  }

  private static ValueInfoProto numbers(String name, long count) {
    return ValueInfoProto.newBuilder().setName(name).setType(TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder()
        .setElemType(TensorProto.DataType.INT64.getNumber())
        .setShape(TensorShapeProto.newBuilder().addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(count))))).build();
  }

  @Override
  public void close() {
    session.close();
  }
}
