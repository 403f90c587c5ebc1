package dev.hla.distill;

import dev.hla.converter.HlaException;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Tensor;
import dev.hla.runtime.Vocabulary;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;

/** Random prompts: one word of each kind of a vocabulary, or one of the embeddings of a file. */
public interface Prompts {
  /** What they are drawn from, in a line. */
  String identity();

  /**
   * A prompt.
   *
   * @param text its words, or the name of its embedding
   * @param embedding [tokens, width]
   */
  record Prompt(String text, Tensor embedding) {}

  /** The words of one kind that prompts are made of; null where they are not made of words. */
  default List<String> group(String name) {
    return null;
  }

  /** Every prompt that differs from one in a word, with the two words; none where prompts are not made of words. */
  default Map<Contrast.Words, Tensor> exchanges(Prompt prompt) {
    return Map.of();
  }

  /** A random prompt. */
  Prompt draw(Random random);

  /** One word of each group of a vocabulary; throws {@link HlaException} where it has no groups. */
  static Prompts of(Vocabulary vocabulary, Path file) {
    Map<String, List<String>> groups = vocabulary.groups();
    if (groups.isEmpty()) {
      throw new HlaException(file + ": names no groups of words to make prompts of; give embeddings of prompts, in a .npz file");
    }
    return new Prompts() {
      @Override
      public String identity() {
        Prompt first = new Prompt(groups.values().stream().map(group -> group.get(0)).collect(Collectors.joining(" ")), null);
        int numbers = Arrays.hashCode(vocabulary.embed(first.text()).floats());
        for (Tensor other : exchanges(first).values()) {
          numbers = numbers * 31 + Arrays.hashCode(other.floats());
        }
        return "vocabulary " + groups + " " + Integer.toHexString(numbers);
      }

      @Override
      public List<String> group(String name) {
        return groups.get(name);
      }

      @Override
      public Map<Contrast.Words, Tensor> exchanges(Prompt prompt) {
        String[] words = prompt.text().split(" ");
        Map<Contrast.Words, Tensor> exchanges = new LinkedHashMap<>();
        int place = 0;
        for (List<String> group : groups.values()) {
          String word = words[place];
          for (String other : group) {
            if (!other.equals(word)) {
              words[place] = other;
              exchanges.put(new Contrast.Words(word, other), vocabulary.embed(String.join(" ", words)));
            }
          }
          words[place++] = word;
        }
        return exchanges;
      }

      @Override
      public Prompt draw(Random random) {
        List<String> words = new ArrayList<>();
        groups.values().forEach(group -> words.add(group.get(random.nextInt(group.size()))));
        String text = String.join(" ", words);
        return new Prompt(text, vocabulary.embed(text));
      }
    };
  }

  /** The arrays of a .npz file, each the embedding [tokens, width] of one prompt. */
  static Prompts of(Path file) throws IOException {
    List<Prompt> embeddings = Npz.readAll(file).entrySet().stream().map(e -> new Prompt(e.getKey(), e.getValue())).toList();
    if (embeddings.isEmpty() || embeddings.stream().anyMatch(e -> e.embedding().rank() != 2)) {
      throw new HlaException(file + ": embeddings of prompts are wanted, one array [tokens, width] each; it has "
          + embeddings.stream().map(e -> e.text() + " " + e.embedding()).toList());
    }
    String identity = "embeddings " + file.getFileName() + ":" + Long.toHexString(Npz.checksum(file));
    return new Prompts() {
      @Override
      public String identity() {
        return identity;
      }

      @Override
      public Prompt draw(Random random) {
        return embeddings.get(random.nextInt(embeddings.size()));
      }
    };
  }
}
