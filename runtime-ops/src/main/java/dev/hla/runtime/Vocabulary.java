package dev.hla.runtime;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.converter.HlaException;
import dev.hla.converter.files.BrokenJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The words that a small model understands, each with its embedding: a JSON file with {@code words}, {@code table} (a row
 * a word), {@code prompt_words} (how many a prompt has) and {@code groups} (what kinds of words there are).
 */
public final class Vocabulary {
  private final Path file;
  private final Map<String, float[]> table;
  private final Map<String, List<String>> groups;
  private final int promptWords;
  private final int width;

  private Vocabulary(Path file, Map<String, float[]> table, Map<String, List<String>> groups, int promptWords, int width) {
    this.file = file;
    this.table = table;
    this.groups = groups;
    this.promptWords = promptWords;
    this.width = width;
  }

  /** Reads the file; throws {@link HlaException} where it is no vocabulary. */
  public static Vocabulary read(Path file) throws IOException {
    JsonNode root;
    try {
      root = JsonMapper.builder().build().readTree(new String(Files.readAllBytes(file), StandardCharsets.UTF_8));
    } catch (JsonProcessingException e) {
      throw new HlaException(file + ": not JSON: " + BrokenJson.reason(e), e);
    }
    JsonNode words = root.path("words");
    JsonNode rows = root.path("table");
    if (!words.isArray() || words.isEmpty() || words.size() != rows.size() || rows.path(0).isEmpty()) {
      throw new HlaException(file + ": not a vocabulary: words and table, of the same length, are wanted");
    }
    int width = rows.get(0).size();
    Map<String, float[]> table = new LinkedHashMap<>();
    for (int i = 0; i < words.size(); i++) {
      float[] row = new float[width];
      for (int j = 0; j < width; j++) {
        row[j] = (float) rows.get(i).path(j).asDouble(Double.NaN);
      }
      table.put(words.get(i).asText(), row);
    }
    Map<String, List<String>> groups = new LinkedHashMap<>();
    root.path("groups").properties().forEach(group -> {
      List<String> members = new ArrayList<>();
      group.getValue().forEach(word -> members.add(word.asText()));
      groups.put(group.getKey(), members);
    });
    return new Vocabulary(file, table, groups, root.path("prompt_words").asInt(0), width);
  }

  /** The embedding [words, width] of a prompt; throws {@link HlaException} where a word is not known. */
  public Tensor embed(String prompt) {
    String[] words = prompt.strip().split("\\s+");
    if (promptWords > 0 && words.length != promptWords) {
      throw new HlaException(file + ": a prompt has " + promptWords + " words, but '" + prompt + "' has " + words.length
          + "; choose one each of " + describe());
    }
    float[] rows = new float[words.length * width];
    for (int i = 0; i < words.length; i++) {
      float[] row = table.get(words[i]);
      if (row == null) {
        throw new HlaException(file + ": has no word '" + words[i] + "'; it knows " + describe());
      }
      System.arraycopy(row, 0, rows, i * width, width);
    }
    return Tensor.of(rows, words.length, width);
  }

  /** The kinds of words, each with its words; empty where the file names none. */
  public Map<String, List<String>> groups() {
    return groups;
  }

  private String describe() {
    if (groups.isEmpty()) {
      return String.join(" ", table.keySet());
    }
    return String.join("; ", groups.entrySet().stream().map(g -> g.getKey() + ": " + String.join(" ", g.getValue())).toList());
  }
}
