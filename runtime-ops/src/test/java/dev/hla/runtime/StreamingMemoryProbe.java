package dev.hla.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import dev.hla.testdata.Precision;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * Feeds a streaming model chunk after chunk, each with the state of the one before, and prints the resident memory of this process in MB
 * after the first chunks and after all: {@code StreamingMemoryProbe MODEL library|function HEADS TOKENS WIDTH VALUE_WIDTH CHUNKS...}.
 */
final class StreamingMemoryProbe {
  private StreamingMemoryProbe() {}

  public static void main(String[] args) throws Exception {
    int heads = Integer.parseInt(args[2]);
    int tokens = Integer.parseInt(args[3]);
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (SessionOptions options = new SessionOptions()) {
      options.setIntraOpNumThreads(1);
      if (args[1].equals("library")) {
        HlaOperators.register(options);
      }
      Map<String, OnnxTensor> feeds = new HashMap<>();
      feeds.put("query_features", ones(heads, tokens, Integer.parseInt(args[4])));
      feeds.put("key_features", feeds.get("query_features"));
      feeds.put("value", ones(heads, tokens, Integer.parseInt(args[5])));
      feeds.put("state", Tensors.of(Precision.FLOAT32, new float[0], 0, 0, 0, 0));
      OrtSession.Result last = null;
      try (OrtSession session = environment.createSession(args[0], options)) {
        int done = 0;
        for (int i = 6; i < args.length; i++) {
          for (; done < Integer.parseInt(args[i]); done++) {
            OrtSession.Result result = session.run(feeds);
            // The state is fed as it came out; the results before it are let go.
            feeds.put("state", (OnnxTensor) result.get("next_state").orElseThrow());
            if (last != null) {
              last.close();
            }
            last = result;
          }
          System.out.println(resident());
        }
      }
    }
  }

  private static OnnxTensor ones(int heads, int tokens, int width) throws Exception {
    float[] values = new float[heads * tokens * width];
    Arrays.fill(values, 1);
    return Tensors.of(Precision.FLOAT32, values, 1, heads, tokens, width);
  }

  private static long resident() throws Exception {
    String line = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(each -> each.startsWith("VmRSS:")).findFirst().orElseThrow();
    return Long.parseLong(line.replaceAll("\\D", "")) >> 10;
  }
}
