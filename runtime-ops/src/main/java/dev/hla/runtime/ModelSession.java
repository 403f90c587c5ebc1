package dev.hla.runtime;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnsafeByteOperations;
import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.onnx.ModelProto;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * A model opened in ONNX Runtime, with the operator library registered where that was asked for. Inputs are converted to
 * the model's element types. Failures of the runtime come as {@link HlaException} with the model's name.
 */
public final class ModelSession implements AutoCloseable {
  private static final int MAX_MESSAGE = 400;

  private final String name;
  private final OrtEnvironment environment;
  private final OrtSession session;
  private final HlaOperators.Registration library;
  private final List<Slot> inputs;
  private final List<Slot> outputs;
  private final Defaults defaults;

  private ModelSession(String name, OrtEnvironment environment, OrtSession session, HlaOperators.Registration library, Defaults defaults)
      throws OrtException {
    this.name = name;
    this.environment = environment;
    this.session = session;
    this.library = library;
    this.inputs = slots(session.getInputInfo());
    this.outputs = slots(session.getOutputInfo());
    this.defaults = defaults;
  }

  /**
   * How to open a model.
   *
   * @param library whether to register the operator library; without it the converted operators run as plain ONNX
   * @param threads threads of one operator, or 0 for one per core
   * @param cuda whether to run on the first CUDA device; opening fails where there is none
   */
  public record Settings(boolean library, int threads, boolean cuda) {
    /** With the operator library, on all cores of the processor. */
    public static final Settings DEFAULT = new Settings(true, 0);

    /** On the processor. */
    public Settings(boolean library, int threads) {
      this(library, threads, false);
    }
  }

  /**
   * Opens a model file with the operator library, on all cores.
   *
   * @throws HlaException as {@link #open(Path, Settings)}
   */
  public static ModelSession open(Path model) {
    return open(model, Settings.DEFAULT);
  }

  /**
   * Opens a model file; external weights are found beside it.
   *
   * @throws HlaException if there is no such file, the runtime cannot open it, or the library is asked for and does not load
   */
  public static ModelSession open(Path model, Settings settings) {
    requireFile(model);
    Path folder = model.toAbsolutePath().getParent();
    return open(model.toString(), settings, options -> environment().createSession(model.toString(), options), folder, () -> OnnxModel.load(model).proto());
  }

  /**
   * Opens a model file with options of the caller's own, who decides with {@link HlaOperators#register} whether the
   * operator library takes part, and closes them after the session.
   *
   * @throws HlaException if there is no such file, or the runtime cannot open it
   */
  public static ModelSession open(Path model, OrtSession.SessionOptions options) {
    requireFile(model);
    try {
      OrtSession session = environment().createSession(model.toString(), options);
      Path folder = model.toAbsolutePath().getParent();
      Defaults defaults = new Defaults(() -> OnnxModel.load(model).proto(), changed -> {
        try {
          return inMemory(changed, folder, options);
        } catch (IllegalStateException e) {
          throw new HlaException(model + ": a value was given for an input that has one in the file, and the session options are closed;"
              + " close them after the session", e);
        }
      });
      return new ModelSession(model.toString(), environment(), session, HlaOperators.registered(options), defaults);
    } catch (OrtException e) {
      throw new HlaException(model + ": " + whyNotOpened(e), e);
    }
  }

  private static void requireFile(Path model) {
    if (!Files.isRegularFile(model)) {
      throw new HlaException(model + ": no such file");
    }
  }

  /**
   * Opens a model in memory.
   *
   * @param model a serialised ModelProto
   * @param folder where its external weights lie
   * @param name what to call it in messages
   * @throws HlaException if the runtime cannot open it, or the library is asked for and does not load
   */
  public static ModelSession open(byte[] model, Path folder, String name, Settings settings) {
    ModelProto proto = withDefaults(model);
    return open(name, settings, options -> inMemory(model, folder, options), folder, () -> proto);
  }

  /** The model where it has inputs with a value of their own, and else an empty one, so that its bytes are not kept. */
  private static ModelProto withDefaults(byte[] model) {
    try {
      ModelProto proto = ModelProto.parser().parseFrom(UnsafeByteOperations.unsafeWrap(model));
      return Defaults.of(proto).isEmpty() ? ModelProto.getDefaultInstance() : proto;
    } catch (InvalidProtocolBufferException e) {
      // The runtime says what is wrong.
      return ModelProto.getDefaultInstance();
    }
  }

  private static OrtSession inMemory(byte[] model, Path folder, OrtSession.SessionOptions options) throws OrtException {
    options.addConfigEntry("session.model_external_initializers_file_folder_path", folder.toAbsolutePath().toString());
    return environment().createSession(model, options);
  }

  private interface Opening {
    OrtSession open(OrtSession.SessionOptions options) throws OrtException;
  }

  private static ModelSession open(String name, Settings settings, Opening opening, Path folder, Supplier<ModelProto> model) {
    Defaults defaults = new Defaults(model, changed -> {
      try (OrtSession.SessionOptions options = options(settings)) {
        if (settings.library()) {
          HlaOperators.register(options);
        }
        return inMemory(changed, folder, options);
      }
    });
    try (OrtSession.SessionOptions options = options(settings)) {
      HlaOperators.Registration library = settings.library() ? HlaOperators.register(options) : null;
      return new ModelSession(name, environment(), opening.open(options), library, defaults);
    } catch (OrtException e) {
      throw new HlaException(name + ": " + whyNotOpened(e), e);
    }
  }

  private static OrtSession.SessionOptions options(Settings settings) throws OrtException {
    OrtSession.SessionOptions options = new OrtSession.SessionOptions();
    try {
      // Its failures come as exceptions; the same text on standard error would be a second report.
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      // Threads wait for work by spinning, tens of milliseconds beyond a run; where sessions take turns they would take the
      // cores from the next one, which cost it up to half of its speed.
      options.addConfigEntry("session.force_spinning_stop", "1");
      if (settings.threads() > 0) {
        options.setIntraOpNumThreads(settings.threads());
      }
      if (settings.cuda()) {
        options.addCUDA(0);
      }
      return options;
    } catch (OrtException e) {
      options.close();
      throw e;
    }
  }

  private static OrtEnvironment environment() {
    return OrtEnvironment.getEnvironment();
  }

  private static String whyNotOpened(OrtException e) {
    return switch (e.getCode()) {
      case ORT_INVALID_PROTOBUF, ORT_NO_MODEL -> "not an ONNX model, or cut short (ONNX Runtime cannot parse it)";
      default -> "ONNX Runtime cannot open it: " + reason(e);
    };
  }

  /** The runtime's message in one line, without its preamble. */
  private static String reason(OrtException e) {
    String text = String.valueOf(e.getMessage()).replaceAll("^Error code - \\w+ - message: ", "").replaceAll("\\s*\\R\\s*", "; ").strip();
    return text.length() <= MAX_MESSAGE ? text : text.substring(0, MAX_MESSAGE) + "...";
  }

  private static List<Slot> slots(Map<String, NodeInfo> infos) {
    List<Slot> slots = new ArrayList<>();
    for (NodeInfo info : infos.values()) {
      if (!(info.getInfo() instanceof TensorInfo tensor)) {
        slots.add(new Slot(info.getName(), null, List.of(), List.of()));
        continue;
      }
      List<Long> shape = new ArrayList<>();
      List<String> dimensions = new ArrayList<>();
      String[] names = tensor.getDimensionNames();
      long[] sizes = tensor.getShape();
      for (int axis = 0; axis < sizes.length; axis++) {
        shape.add(sizes[axis]);
        boolean named = axis < names.length && names[axis] != null && !names[axis].isEmpty();
        dimensions.add(sizes[axis] >= 0 ? "" : named ? names[axis] : info.getName() + "." + axis);
      }
      // The Java interface takes unsigned numbers of more than 8 bits for signed ones, which cannot be fed in their place.
      ElementType type = Unsigned.is(tensor) ? null : ElementType.of(tensor.type);
      slots.add(new Slot(info.getName(), type, List.copyOf(shape), List.copyOf(dimensions)));
    }
    return List.copyOf(slots);
  }

  /** What the model is called in messages. */
  public String name() {
    return name;
  }

  /** The model's inputs that need a value, in its order. */
  public List<Slot> inputs() {
    return inputs;
  }

  /** The model's inputs that have a value in the file, which a given one replaces; none before version 4 of the format. */
  public List<Slot> defaults() {
    return defaults.slots();
  }

  /** The model's outputs, in its order. */
  public List<Slot> outputs() {
    return outputs;
  }

  /** The library that was registered, or null where none was. */
  public HlaOperators.Registration library() {
    return library;
  }

  /**
   * Runs the model and fetches all its outputs.
   *
   * @throws HlaException as {@link #run(Map, Collection)}
   */
  public Map<String, Tensor> run(Map<String, Tensor> values) {
    return run(values, outputs.stream().map(Slot::name).toList());
  }

  /**
   * Runs the model.
   *
   * @param values every input by name, and any of {@link #defaults}; others than the model's are refused
   * @param wanted names of the outputs to fetch
   * @return the outputs in the order of {@code wanted}
   * @throws HlaException if an input is missing, unknown or of another shape, or the run fails
   */
  public Map<String, Tensor> run(Map<String, Tensor> values, Collection<String> wanted) {
    List<Slot> fed = fed(values);
    Map<String, OnnxTensor> feeds = new LinkedHashMap<>();
    try {
      for (Slot slot : fed) {
        feeds.put(slot.name(), feed(slot, values.get(slot.name())));
      }
      Set<String> names = new LinkedHashSet<>(wanted);
      try (OrtSession.Result result = taking(fed).run(feeds, names)) {
        Map<String, Tensor> fetched = new LinkedHashMap<>();
        for (String output : names) {
          fetched.put(output, fetch(output, result.get(output).orElseThrow()));
        }
        return fetched;
      }
    } catch (OrtException e) {
      throw new HlaException(name + ": the run failed: " + reason(e), e);
    } finally {
      feeds.values().forEach(OnnxTensor::close);
    }
  }

  /**
   * The model with these inputs, to be run again and again; what it puts out is let go. For timing.
   *
   * @throws HlaException if an input is missing, unknown or of another shape
   */
  public Prepared prepare(Map<String, Tensor> values) {
    List<Slot> fed = fed(values);
    try {
      OrtSession taking = taking(fed);
      Prepared prepared = new Prepared(taking);
      try {
        for (Slot slot : fed) {
          prepared.feeds.put(slot.name(), feed(slot, values.get(slot.name())));
        }
      } catch (OrtException | RuntimeException e) {
        prepared.close();
        throw e;
      }
      return prepared;
    } catch (OrtException e) {
      throw new HlaException(name + ": cannot take its inputs: " + reason(e), e);
    }
  }

  /** See {@link #prepare}. It must be closed before its session. */
  public final class Prepared implements AutoCloseable {
    private final Map<String, OnnxTensor> feeds = new LinkedHashMap<>();

    private final OrtSession taking;

    private Prepared(OrtSession taking) {
      this.taking = taking;
    }

    /** Runs once; returns the wall time in milliseconds. */
    public double millis() {
      long start = System.nanoTime();
      try (OrtSession.Result result = taking.run(feeds)) {
        return (System.nanoTime() - start) / 1e6;
      } catch (OrtException e) {
        throw new HlaException(name + ": the run failed: " + reason(e), e);
      }
    }

    @Override
    public void close() {
      feeds.values().forEach(OnnxTensor::close);
    }
  }

  /** What the values are for; fails where one is missing, unknown or of another shape. */
  private List<Slot> fed(Map<String, Tensor> values) {
    List<Slot> fed = new ArrayList<>(inputs);
    List<String> names = inputs.stream().map(Slot::name).toList();
    for (String given : values.keySet()) {
      if (!names.contains(given)) {
        fed.add(defaults().stream().filter(slot -> slot.name().equals(given)).findFirst().orElseThrow(() ->
            new HlaException(name + ": has no input " + given + "; its inputs are " + names)));
      }
    }
    for (Slot slot : fed) {
      Tensor value = values.get(slot.name());
      if (value == null) {
        throw new HlaException(name + ": no value for its input " + slot.name() + " " + slot.shapeText());
      }
      requireShape(slot, value);
    }
    return fed;
  }

  /** The session that takes values for these inputs. */
  private OrtSession taking(List<Slot> fed) throws OrtException {
    if (fed.size() == inputs.size()) {
      return session;
    }
    Set<String> names = new HashSet<>();
    fed.subList(inputs.size(), fed.size()).forEach(slot -> names.add(slot.name()));
    return defaults.taking(names);
  }

  private void requireShape(Slot slot, Tensor value) {
    boolean fits = value.rank() == slot.shape().size();
    for (int axis = 0; fits && axis < value.rank(); axis++) {
      fits = slot.shape().get(axis) < 0 || slot.shape().get(axis) == value.dim(axis);
    }
    if (!fits) {
      throw new HlaException(name + ": its input " + slot.name() + " is " + slot.shapeText() + ", but " + value + " was given");
    }
  }

  private OnnxTensor feed(Slot slot, Tensor value) throws OrtException {
    if (slot.type() == null) {
      throw new HlaException(name + ": its input " + slot.name() + " is of a type that cannot be fed");
    }
    Tensor converted = value.as(slot.type());
    ByteBuffer bytes = direct(converted.bytes());
    return OnnxTensor.createTensor(environment, bytes, converted.shape(), slot.type().onnx());
  }

  /** What a run gave lies in the Java heap, where the runtime takes no inputs from. */
  private static ByteBuffer direct(ByteBuffer bytes) {
    return bytes.isDirect() ? bytes : ByteBuffer.allocateDirect(bytes.remaining()).order(bytes.order()).put(bytes.duplicate()).flip();
  }

  private Tensor fetch(String output, OnnxValue value) {
    if (!(value instanceof OnnxTensor tensor) || ElementType.of(tensor.getInfo().type) == null) {
      throw new HlaException(name + ": its output " + output + " is no tensor of numbers");
    }
    Tensor fetched = Tensor.wrap(ElementType.of(tensor.getInfo().type), tensor.getInfo().getShape(), tensor.getByteBuffer());
    return Unsigned.is(tensor.getInfo()) ? Unsigned.widened(fetched) : fetched;
  }

  @Override
  public void close() {
    try {
      defaults.close();
      session.close();
    } catch (OrtException e) {
      throw new HlaException(name + ": cannot be closed: " + reason(e), e);
    }
  }
}
