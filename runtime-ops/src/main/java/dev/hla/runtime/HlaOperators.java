package dev.hla.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.converter.HlaException;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.OperatorSetIdProto;
import dev.hla.onnx.TensorProto;
import dev.hla.onnx.TensorShapeProto;
import dev.hla.onnx.TypeProto;
import dev.hla.onnx.ValueInfoProto;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.WeakHashMap;

/** Registers the operators of domain {@code ai.hla} with ONNX Runtime. */
public final class HlaOperators {
  /** The operators' domain in a model. */
  public static final String DOMAIN = "ai.hla";

  // The runtime refuses a session whose options hold one domain twice, so what each options object holds is remembered.
  // SessionOptions compares by identity.
  private static final Map<SessionOptions, Registration> REGISTERED = new WeakHashMap<>();
  private static final Map<Path, JsonNode> DESCRIPTIONS = new HashMap<>();

  private HlaOperators() {}

  /**
   * What was registered.
   *
   * @param library the file
   * @param foundBy how it was found
   * @param version the library's version
   * @param instructionSet avx512, avx2 or baseline
   * @param kernel the kernel's tiles, for people
   * @param reason why this instruction set and not a faster one
   * @param cuda what runs on a CUDA device, or "" where nothing does
   * @param cudaMissing why nothing runs on a CUDA device, or ""
   */
  public record Registration(
      Path library, String foundBy, String version, String instructionSet, String kernel, String reason, String cuda,
      String cudaMissing) {}

  /**
   * Where the library's file is.
   *
   * @param path an existing file
   * @param foundBy how it was found, for people
   */
  public record Found(Path path, String foundBy) {}

  /**
   * The file that {@link #register(SessionOptions)} would take, for hosts other than Java. A copy out of the jar lies in the
   * user's cache folder, under a name made of its content; it stays when this process ends, and nothing changes it later.
   *
   * @throws HlaException where there is no library, or the jar's copy cannot be written
   */
  public static Found find() {
    return NativeLibrary.find();
  }

  /**
   * Registers the library found by system property {@code hla.library.path}, else on {@code java.library.path}, else the
   * one in the jar. The same options may come again: then the first registration is returned.
   *
   * @throws HlaException where there is no library, or the runtime refuses it
   */
  public static synchronized Registration register(SessionOptions options) {
    Registration earlier = REGISTERED.get(options);
    return earlier != null ? earlier : register(options, find());
  }

  /**
   * Registers the library at {@code path}, and no other.
   *
   * @throws HlaException where there is no such file, the runtime refuses it, or the options hold another library
   */
  public static synchronized Registration register(SessionOptions options, Path path) {
    Found found = NativeLibrary.explicit(path, "given path");
    Registration earlier = REGISTERED.get(options);
    if (earlier == null) {
      return register(options, found);
    }
    if (!earlier.library().equals(found.path())) {
      throw new HlaException("operator library " + found.path() + ": these session options already hold "
          + earlier.library() + "; use session options of their own for it");
    }
    return earlier;
  }

  /** What these options hold, or null. */
  static synchronized Registration registered(SessionOptions options) {
    return REGISTERED.get(options);
  }

  private static Registration register(SessionOptions options, Found found) {
    JsonNode about = DESCRIPTIONS.get(found.path());
    if (about == null) {
      about = describe(found);
      DESCRIPTIONS.put(found.path(), about);
    }
    load(options, found);
    Registration registration = new Registration(
        found.path(), found.foundBy(), about.path("version").asText(), about.path("instruction_set").asText(),
        about.path("kernel").asText(), about.path("reason").asText(),
        about.at("/cuda/kernels").asText(), about.at("/cuda/missing").asText());
    REGISTERED.put(options, registration);
    return registration;
  }

  private static void load(SessionOptions options, Found found) {
    try {
      options.registerCustomOpLibrary(found.path().toString());
    } catch (OrtException e) {
      throw new HlaException("operator library " + found.path() + " (" + found.foundBy()
          + "): ONNX Runtime refuses it: " + oneLine(e), e);
    }
  }

  /** Asks the library about itself, by its operator OperatorInfo. */
  private static JsonNode describe(Found found) {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (SessionOptions options = new SessionOptions()) {
      load(options, found);
      options.setIntraOpNumThreads(1);
      try (OrtSession session = environment.createSession(infoModel().toByteArray(), options);
          OnnxTensor nothing = OnnxTensor.createTensor(environment, 0L);
          OrtSession.Result result = session.run(Map.of("query", nothing))) {
        byte[] json = (byte[]) result.get(0).getValue();
        return new JsonMapper().readTree(new String(json, StandardCharsets.UTF_8));
      }
    } catch (OrtException | JsonProcessingException e) {
      throw new HlaException("operator library " + found.path() + " (" + found.foundBy()
          + "): it does not say what it is, so it is not of this version: " + oneLine(e), e);
    }
  }

  private static ModelProto infoModel() {
    return ModelProto.newBuilder()
        .setIrVersion(8)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(17))
        .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(DOMAIN).setVersion(1))
        .setGraph(GraphProto.newBuilder()
            .setName("operator_info")
            .addInput(value("query", TensorProto.DataType.INT64, TensorShapeProto.getDefaultInstance()))
            .addOutput(value("info", TensorProto.DataType.UINT8, TensorShapeProto.newBuilder()
                .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam("bytes"))
                .build()))
            .addNode(NodeProto.newBuilder()
                .setDomain(DOMAIN).setOpType("OperatorInfo").setName("operator_info").addInput("query").addOutput("info")))
        .build();
  }

  private static ValueInfoProto value(String name, TensorProto.DataType type, TensorShapeProto shape) {
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(TypeProto.newBuilder().setTensorType(TypeProto.Tensor.newBuilder().setElemType(type.getNumber()).setShape(shape)))
        .build();
  }

  private static String oneLine(Exception e) {
    return String.valueOf(e.getMessage()).replaceAll("\\s*\\R\\s*", " ");
  }
}
