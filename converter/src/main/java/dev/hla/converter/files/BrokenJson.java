package dev.hla.converter.files;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;

/** What is wrong with a text that should be JSON, without the parser's words about itself. */
public final class BrokenJson {
  private BrokenJson() {}

  /** The reason in one line, with its place. */
  public static String reason(JsonProcessingException e) {
    String reason = e.getOriginalMessage().replaceAll("\\s*\\(start marker at \\[Source:[^\\]]*\\]\\)", "").replaceAll("\\s*\\R\\s*", " ").strip();
    JsonLocation place = e.getLocation();
    return place == null ? reason : reason + ", line " + place.getLineNr() + ", column " + place.getColumnNr();
  }
}
