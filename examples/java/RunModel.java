import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Runs a converted model with ONNX Runtime for Java (com.microsoft.onnxruntime:onnxruntime, 1.18 or newer, for the
 * library), and with nothing of HLA Toolkit on the class path.
 *
 * <pre>
 * java -cp onnxruntime-1.29.0.jar RunModel.java MODEL INPUTS OUTPUT [LIBHLA_OPS]
 * </pre>
 *
 * INPUTS is a folder with NAME.npy for every input, OUTPUT the .npy file for the first output. With LIBHLA_OPS
 * (libhla_ops.so) the converted attentions run in the operator library, without it as the plain ONNX functions that the
 * file carries.
 */
public final class RunModel {
  private static final Pattern HEADER =
      Pattern.compile("'descr': '<(f4|f2|i8)', 'fortran_order': False, 'shape': \\(([0-9, ]*)\\)");

  public static void main(String[] args) {
    if (args.length != 3 && args.length != 4) {
      System.err.println("RunModel MODEL INPUTS OUTPUT [LIBHLA_OPS]");
      System.exit(2);
    }
    try {
      run(args[0], Path.of(args[1]), Path.of(args[2]), args.length == 4 ? args[3] : null);
    } catch (OrtException | IOException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  private static void run(String model, Path inputs, Path output, String library) throws OrtException, IOException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      if (library != null) {
        options.registerCustomOpLibrary(library); // the only line that the library needs
      }
      try (OrtSession session = environment.createSession(model, options)) {
        Map<String, OnnxTensor> tensors = new LinkedHashMap<>();
        for (String name : session.getInputNames()) {
          tensors.put(name, read(environment, inputs.resolve(name + ".npy")));
        }
        try (OrtSession.Result result = session.run(tensors)) {
          write((OnnxTensor) result.get(0), output);
        }
        tensors.values().forEach(OnnxTensor::close);
      }
    }
  }

  private static OnnxTensor read(OrtEnvironment environment, Path file) throws OrtException, IOException {
    ByteBuffer all = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int header = all.getShort(8);
    Matcher found = HEADER.matcher(new String(all.array(), 10, header, StandardCharsets.US_ASCII));
    if (!found.find()) {
      throw new IOException(file + ": this example reads little-endian f4, f2 and i8 in C order");
    }
    OnnxJavaType type = switch (found.group(1)) {
      case "f4" -> OnnxJavaType.FLOAT;
      case "f2" -> OnnxJavaType.FLOAT16;
      default -> OnnxJavaType.INT64;
    };
    long[] shape = Arrays.stream(found.group(2).split("[, ]+")).filter(size -> !size.isEmpty()).mapToLong(Long::parseLong).toArray();
    int start = 10 + header;
    ByteBuffer data = ByteBuffer.allocateDirect(all.limit() - start).order(ByteOrder.nativeOrder());
    data.put(all.array(), start, all.limit() - start).rewind();
    return OnnxTensor.createTensor(environment, data, shape, type);
  }

  private static void write(OnnxTensor tensor, Path file) throws IOException {
    String type = tensor.getInfo().type == OnnxJavaType.FLOAT16 ? "f2" : "f4";
    String shape = Arrays.stream(tensor.getInfo().getShape()).mapToObj(size -> size + ", ").collect(Collectors.joining());
    String text = "{'descr': '<" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    int header = (10 + text.length() + 1 + 63) / 64 * 64 - 10; // the data begin at a multiple of 64
    ByteBuffer data = tensor.getByteBuffer();
    ByteBuffer npy = ByteBuffer.allocate(10 + header + data.remaining()).order(ByteOrder.LITTLE_ENDIAN);
    npy.put(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0}).putShort((short) header);
    npy.put((text + " ".repeat(header - 1 - text.length()) + "\n").getBytes(StandardCharsets.US_ASCII)).put(data);
    Files.write(file, npy.array());
  }
}
