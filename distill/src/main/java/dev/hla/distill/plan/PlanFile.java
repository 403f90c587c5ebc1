package dev.hla.distill.plan;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.converter.HlaException;
import dev.hla.converter.files.BrokenJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What was measured and decided. All times are medians in milliseconds, all errors relative errors on held-out inputs.
 *
 * @param format {@link #FORMAT}
 * @param maps name of the file of feature maps, beside this one
 * @param budget what was asked for, in words
 * @param machine what the times were measured on
 * @param modelMillis of the whole original model
 * @param attentionShare of all sites in it
 * @param mostSpeedup if attention took no time at all (Amdahl): 1 / (1 - attention_share)
 * @param predictedMillis of the converted model, from the times of its sites
 * @param convertedMillis of the converted model, measured beside the original
 * @param predictedError of the model's output, as if the squared errors of sites added up
 * @param measuredError of the model's output with all chosen sites converted
 * @param refinedError the same after refinement, or null where there was none; not below measuredError where the refinement
 *     was left out
 */
public record PlanFile(String format, String model, String maps, String budget, String machine, double modelMillis, double attentionShare,
    double mostSpeedup, double predictedMillis, double convertedMillis, double predictedError, double measuredError, Double refinedError,
    List<Site> sites) {
  /** What the file says it is. */
  public static final String FORMAT = "hla-plan/1";

  private static final JsonMapper JSON = JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
      .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).serializationInclusion(JsonInclude.Include.NON_NULL).build();

  /**
   * One site.
   *
   * @param choice the maps chosen, or {@link #SOFTMAX}
   * @param softmaxMillis of the original attention
   * @param reason why it stays as it is, or ""
   * @param choices all that was measured
   */
  public record Site(String name, String choice, double softmaxMillis, String reason, List<Measured> choices) {
    /** The choice of a site that stays as it is. */
    public static final String SOFTMAX = "softmax";
  }

  /**
   * One choice of maps at a site.
   *
   * @param state D
   * @param error of the attention output
   * @param outputError of the model's output, with this site alone converted
   */
  public record Measured(String maps, long state, double error, double outputError, double millis) {}

  /** As text. */
  public String json() {
    try {
      return JSON.writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** @throws HlaException where the file is no plan */
  public static PlanFile read(Path file) {
    try {
      JsonNode json = JSON.readTree(new String(Files.readAllBytes(file), StandardCharsets.UTF_8));
      JsonNode format = json.path("format");
      if (!format.asText().equals(FORMAT) || !json.path("maps").isTextual() || !json.path("sites").isArray()) {
        throw new HlaException(file + ": no plan: \"format\" is " + (format.isMissingNode() ? "missing" : format) + ", \"" + FORMAT
            + "\" with maps and sites expected; hla plan writes one");
      }
      for (int i = 0; i < json.path("sites").size(); i++) {
        for (String field : List.of("name", "choice")) {
          if (!json.path("sites").path(i).path(field).isTextual()) {
            throw new HlaException(file + ": no plan: \"sites." + i + "." + field + "\" is no text; hla plan writes one");
          }
        }
      }
      return JSON.treeToValue(json, PlanFile.class);
    } catch (JsonMappingException e) {
      if (e.getPath().isEmpty()) {
        throw new HlaException(file + ": no plan: more follows its end; hla plan writes one", e);
      }
      throw new HlaException(file + ": no plan: \"" + e.getPath().stream().map(PlanFile::step).collect(Collectors.joining(".")) + "\" is not as in "
          + FORMAT + "; hla plan writes one", e);
    } catch (JsonProcessingException e) {
      throw new HlaException(file + ": no plan: not JSON: " + BrokenJson.reason(e) + "; hla plan writes one", e);
    } catch (IOException e) {
      throw new HlaException(file + ": cannot be read (" + e.getMessage() + ")", e);
    }
  }

  private static String step(JsonMappingException.Reference step) {
    return step.getFieldName() == null ? Integer.toString(step.getIndex()) : step.getFieldName();
  }
}
