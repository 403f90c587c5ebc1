package dev.hla.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** Records, maps and lists as JSON text; component names become snake_case, null components are left out. */
final class Json {
  private Json() {}

  /** The document, indented, without a line break at its end. */
  static String write(Object document) {
    try {
      return Mapper.MAPPER.writeValueAsString(document);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a result that JSON cannot hold: " + e.getOriginalMessage(), e);
    }
  }

  /** Apart, so that a verb without --json never loads Jackson. */
  private static final class Mapper {
    static final JsonMapper MAPPER = JsonMapper.builder()
        .enable(SerializationFeature.INDENT_OUTPUT)
        .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
        .serializationInclusion(JsonInclude.Include.NON_NULL)
        .build();
  }
}
