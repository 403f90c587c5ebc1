import ai.djl.ModelException;
import ai.djl.inference.Predictor;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.TranslateException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.zip.ZipInputStream;

/**
 * Runs a converted model with the OnnxRuntime engine of DJL.
 *
 * <pre>
 * mvn -q -f examples/djl compile exec:java -Dexec.args="MODEL INPUTS OUTPUT [LIBHLA_OPS]"
 * </pre>
 *
 * INPUTS is a folder with NAME.npy for every input, OUTPUT the .npy file for the first output. With LIBHLA_OPS
 * (libhla_ops.so) the converted attentions run in the operator library, without it as the plain ONNX functions that the
 * file carries.
 */
public final class RunModel {
  public static void main(String[] args) {
    if (args.length != 3 && args.length != 4) {
      System.err.println("RunModel MODEL INPUTS OUTPUT [LIBHLA_OPS]");
      System.exit(2);
    }
    try {
      run(Path.of(args[0]), Path.of(args[1]), Path.of(args[2]), args.length == 4 ? args[3] : null);
    } catch (ModelException | TranslateException | IOException e) {
      System.err.println(e.getMessage() + (e.getCause() == null ? "" : ": " + e.getCause().getMessage()));
      System.exit(1);
    }
  }

  private static void run(Path file, Path folder, Path output, String library)
      throws ModelException, TranslateException, IOException {
    Criteria.Builder<NDList, NDList> criteria =
        Criteria.builder().setTypes(NDList.class, NDList.class).optEngine("OnnxRuntime").optModelPath(file);
    if (library != null) {
      criteria.optOption("customOpLibrary", library); // the only line that the library needs
    }
    try (ZooModel<NDList, NDList> model = criteria.build().loadModel();
        Predictor<NDList, NDList> predictor = model.newPredictor();
        NDManager manager = model.getNDManager().newSubManager()) {
      NDList inputs = new NDList();
      for (String name : model.getBlock().describeInput().keys()) {
        inputs.add(read(manager, folder.resolve(name + ".npy"), name));
      }
      write(predictor.predict(inputs).get(0), output);
    }
  }

  private static NDArray read(NDManager manager, Path npy, String name) throws IOException {
    try (InputStream in = Files.newInputStream(npy)) {
      NDArray array = NDList.decode(manager, in).get(0);
      array.setName(name);
      return array;
    }
  }

  /** DJL writes .npz, an archive; the one file in it is the .npy file. */
  private static void write(NDArray array, Path npy) throws IOException {
    ByteArrayOutputStream npz = new ByteArrayOutputStream();
    new NDList(array).encode(npz, NDList.Encoding.NPZ);
    try (ZipInputStream entries = new ZipInputStream(new ByteArrayInputStream(npz.toByteArray()))) {
      entries.getNextEntry();
      Files.copy(entries, npy, StandardCopyOption.REPLACE_EXISTING);
    }
  }
}
