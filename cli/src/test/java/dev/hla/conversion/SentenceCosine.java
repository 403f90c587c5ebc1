package dev.hla.conversion;

import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** How near the sentence embeddings of a converted text encoder are to the original's. */
final class SentenceCosine implements AutoCloseable {
  private final ModelSession original;
  private final List<Map<String, Tensor>> texts;

  SentenceCosine(Path original, List<Map<String, Tensor>> texts) {
    this.original = ModelSession.open(original, ModelSession.Settings.DEFAULT);
    this.texts = texts;
  }

  /** The mean cosine over all texts. */
  double of(Path converted) {
    double sum = 0;
    try (ModelSession session = ModelSession.open(converted, ModelSession.Settings.DEFAULT)) {
      for (Map<String, Tensor> text : texts) {
        sum += cosine(embedding(original, text), embedding(session, text));
      }
    }
    return sum / texts.size();
  }

  /** The mean of the output's rows of tokens that are none of padding. */
  private static double[] embedding(ModelSession session, Map<String, Tensor> text) {
    Tensor output = session.run(text, List.of(session.outputs().get(0).name())).values().iterator().next();
    Tensor mask = text.get("attention_mask");
    int width = output.dim(2);
    double[] sum = new double[width];
    for (int t = 0; t < output.dim(1); t++) {
      for (int c = 0; c < width && mask.get(t) != 0; c++) {
        sum[c] += output.get(t * width + c);
      }
    }
    return sum;
  }

  private static double cosine(double[] a, double[] b) {
    double ab = 0;
    double aa = 0;
    double bb = 0;
    for (int i = 0; i < a.length; i++) {
      ab += a[i] * b[i];
      aa += a[i] * a[i];
      bb += b[i] * b[i];
    }
    return ab / Math.sqrt(aa * bb);
  }

  @Override
  public void close() {
    original.close();
  }

  /** For use by hand: {@code MODEL CONVERTED...}. */
  public static void main(String[] arguments) throws java.io.IOException {
    try (SentenceCosine cosine = new SentenceCosine(Path.of(arguments[0]), TextInputs.of("novel.txt", 5))) {
      for (int i = 1; i < arguments.length; i++) {
        System.out.println(arguments[i] + " " + cosine.of(Path.of(arguments[i])));
      }
    }
  }
}
