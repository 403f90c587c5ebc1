package dev.hla.runtime;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.ValueInfoProto;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The inputs of a model that are initializers too, whose value is for where none is given. ONNX Runtime's Java interface
 * takes no value for them; a session of the model without those initializers does, and is made when one is first given.
 */
final class Defaults {
  /** Before, an initializer was a constant, and had to be an input. */
  private static final int FIRST_IR_VERSION = 4;

  /** UINT16, UINT32 and UINT64, which the Java interface takes for signed ones. */
  private static final Set<Integer> UNSIGNED = Set.of(4, 12, 13);

  /** Makes a session of a changed model. */
  interface Opening {
    OrtSession open(byte[] model) throws OrtException;
  }

  private final Supplier<ModelProto> source;
  private final Opening opening;
  private final Map<Set<String>, OrtSession> sessions = new HashMap<>();
  private ModelProto model;
  private List<Slot> slots;

  /** @param source the model, which is read when it is first needed */
  Defaults(Supplier<ModelProto> source, Opening opening) {
    this.source = source;
    this.opening = opening;
  }

  synchronized List<Slot> slots() {
    if (slots == null) {
      ModelProto read = source.get();
      slots = of(read);
      model = slots.isEmpty() ? null : read;
    }
    return slots;
  }

  /** The inputs of a model that have a value. */
  static List<Slot> of(ModelProto model) {
    if (model.getIrVersion() < FIRST_IR_VERSION) {
      return List.of();
    }
    Set<String> initializers = new HashSet<>();
    model.getGraph().getInitializerList().forEach(t -> initializers.add(t.getName()));
    return model.getGraph().getInputList().stream().filter(input -> initializers.contains(input.getName())).map(Defaults::slot).toList();
  }

  private static Slot slot(ValueInfoProto input) {
    List<Long> shape = new ArrayList<>();
    List<String> dimensions = new ArrayList<>();
    for (TensorShapeProto.Dimension dim : input.getType().getTensorType().getShape().getDimList()) {
      String name = dim.getDimParam().isEmpty() ? input.getName() + "." + shape.size() : dim.getDimParam();
      dimensions.add(dim.hasDimValue() ? "" : name);
      shape.add(dim.hasDimValue() ? dim.getDimValue() : -1);
    }
    int number = input.getType().getTensorType().getElemType();
    ElementType type = UNSIGNED.contains(number) ? null : ElementType.of(OnnxJavaType.mapFromInt(number));
    return new Slot(input.getName(), type, List.copyOf(shape), List.copyOf(dimensions));
  }

  /** The session that takes values for some of {@link #slots}; it stays open until this is closed. */
  synchronized OrtSession taking(Set<String> names) throws OrtException {
    OrtSession session = sessions.get(names);
    if (session == null) {
      List<TensorProto> kept = model.getGraph().getInitializerList().stream().filter(t -> !names.contains(t.getName())).toList();
      session = opening.open(model.toBuilder().setGraph(model.getGraph().toBuilder().clearInitializer().addAllInitializer(kept)).build().toByteArray());
      sessions.put(Set.copyOf(names), session);
    }
    return session;
  }

  synchronized void close() throws OrtException {
    for (OrtSession session : sessions.values()) {
      session.close();
    }
    sessions.clear();
  }
}
