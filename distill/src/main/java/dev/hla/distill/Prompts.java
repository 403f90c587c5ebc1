package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Random prompts: one word of each kind of a vocabulary, or one of the embeddings of a file. */
public interface Prompts {
  /** What they are drawn from, in a line. */
  String identity();

  /** A random embedding [tokens, width]. */
  Tensor embedding(Random random);

  /** One word of each group of a vocabulary; throws {@link HlaException} where it has no groups. */
  static Prompts of(Vocabulary vocabulary, Path file) {
    Map<String, List<String>> groups = vocabulary.groups();
    if (groups.isEmpty()) {
      throw new HlaException(file + ": names no groups of words to make prompts of; give embeddings of prompts with --prompts FILE.npz");
    }
    return new Prompts() {
      @Override
      public String identity() {
        return "vocabulary " + groups;
      }

      @Override
      public Tensor embedding(Random random) {
        List<String> words = new ArrayList<>();
        groups.values().forEach(group -> words.add(group.get(random.nextInt(group.size()))));
        return vocabulary.embed(String.join(" ", words));
      }
    };
  }

  /** The arrays of a .npz file, each the embedding [tokens, width] of one prompt. */
  static Prompts of(Path file) throws IOException {
    List<Tensor> embeddings = List.copyOf(Npz.readAll(file).values());
    if (embeddings.isEmpty() || embeddings.stream().anyMatch(e -> e.rank() != 2)) {
      throw new HlaException(file + ": embeddings of prompts are wanted, one array [tokens, width] each; it has " + embeddings);
    }
    return new Prompts() {
      @Override
      public String identity() {
        return "embeddings " + file.getFileName() + ":" + file.toFile().length();
      }

      @Override
      public Tensor embedding(Random random) {
        return embeddings.get(random.nextInt(embeddings.size()));
      }
    };
  }
}
