package dev.hla.converter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.hla.converter.files.BrokenJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Feature maps of a model's attention sites, as a safetensors file of the format {@code hla-feature-maps/1} holds them.
 *
 * <p>The metadata have {@code format} and {@code sites}; the latter is a JSON object from a site's name to its
 * {@code ranks}, {@code powers}, {@code activations} and {@code epsilon}. For each site and each side, query and key,
 * there are the tensors {@code <site>.<side>.weight} and {@code <site>.<side>.bias}, see {@link SiteMaps.Side}.
 */
public final class FeatureMaps {
  /** What the metadata call this format. */
  public static final String FORMAT = "hla-feature-maps/1";

  private static final JsonMapper JSON =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final Path file;
  private final Map<String, SiteMaps> sites;

  private FeatureMaps(Path file, Map<String, SiteMaps> sites) {
    this.file = file;
    this.sites = Collections.unmodifiableMap(sites);
  }

  /**
   * Reads and checks all maps of {@code file}.
   *
   * @throws HlaException if the file is no safetensors file or not of this format, or a tensor is missing, misshapen or
   *     nobody's; the message names the file and the tensor
   */
  public static FeatureMaps load(Path file) {
    SafeTensors tensors = SafeTensors.open(file);
    String format = tensors.metadata().get("format");
    if (!FORMAT.equals(format)) {
      throw new HlaException(file + ": not a file of feature maps: metadata \"format\" is "
          + (format == null ? "missing" : "\"" + SafeTensors.printable(format) + "\"") + ", \"" + FORMAT + "\" expected");
    }
    Map<String, SiteMaps> sites = new LinkedHashMap<>();
    Set<String> unread = new HashSet<>(tensors.names());
    for (Map.Entry<String, JsonNode> each : sites(tensors).properties()) {
      sites.put(each.getKey(), new SiteReader(tensors, each.getKey(), unread).read(each.getValue()));
    }
    if (!unread.isEmpty()) {
      throw new HlaException(file + ": tensor \"" + SafeTensors.printable(new TreeSet<>(unread).first())
          + "\" belongs to no site of the metadata");
    }
    return new FeatureMaps(file, sites);
  }

  private static JsonNode sites(SafeTensors tensors) {
    String sites = tensors.metadata().get("sites");
    try {
      JsonNode json = sites == null ? JSON.missingNode() : JSON.readTree(sites);
      if (json.isObject()) {
        return json;
      }
    } catch (JsonProcessingException e) {
      throw new HlaException(
          tensors.file() + ": metadata \"sites\" is not JSON: " + SafeTensors.printable(BrokenJson.reason(e)), e);
    }
    throw new HlaException(tensors.file() + ": metadata \"sites\" is missing or not a JSON object");
  }

  /** The file the maps came from. */
  public Path file() {
    return file;
  }

  /** Names of the sites that have maps, in the file's order. */
  public Set<String> names() {
    return sites.keySet();
  }

  /** The maps of a site, named as {@code inspect} names it; empty if the file has none. */
  public Optional<SiteMaps> forSite(String name) {
    return Optional.ofNullable(sites.get(name));
  }

  /**
   * Writes maps so that {@link #load} reads them again. The file appears whole or not at all.
   *
   * @throws HlaException if the file cannot be written
   */
  public static void write(Path file, Map<String, SiteMaps> sites) {
    ObjectNode json = JSON.createObjectNode();
    List<SafeTensors.FloatTensor> tensors = new ArrayList<>();
    sites.forEach((name, maps) -> {
      ObjectNode site = json.putObject(name);
      for (int rank : maps.ranks()) {
        site.withArray("ranks").add(rank);
      }
      for (int power : maps.powers()) {
        site.withArray("powers").add(power);
      }
      maps.activations().forEach(activation -> site.withArray("activations").add(activation.word()));
      site.put("epsilon", maps.epsilon());
      add(tensors, name + ".query", maps.query());
      add(tensors, name + ".key", maps.key());
    });
    // In this order every time: equal maps make equal files.
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", FORMAT);
    metadata.put("sites", json.toString());
    SafeTensors.write(file, metadata, tensors);
  }

  private static void add(List<SafeTensors.FloatTensor> tensors, String prefix, SiteMaps.Side side) {
    long heads = side.heads();
    tensors.add(new SafeTensors.FloatTensor(
        prefix + ".weight", new long[] {heads, side.weightRows(), side.width()}, side.weight()));
    tensors.add(new SafeTensors.FloatTensor(prefix + ".bias", new long[] {heads, side.width()}, side.bias()));
    side.hidden().ifPresent(hidden -> {
      tensors.add(new SafeTensors.FloatTensor(
          prefix + ".hidden.weight", new long[] {heads, side.headDim(), hidden.width()}, hidden.weight()));
      tensors.add(new SafeTensors.FloatTensor(prefix + ".hidden.bias", new long[] {heads, hidden.width()}, hidden.bias()));
    });
  }

  /** Reads one site. */
  private static final class SiteReader {
    private final SafeTensors tensors;
    private final String site;
    private final Set<String> unread;

    private SiteReader(SafeTensors tensors, String site, Set<String> unread) {
      this.tensors = tensors;
      this.site = site;
      this.unread = unread;
    }

    private SiteMaps read(JsonNode json) {
      int[] ranks = integers(json, "ranks");
      int[] powers = integers(json, "powers");
      JsonNode epsilon = json.path("epsilon");
      if (!epsilon.isNumber()) {
        throw wrong("epsilon is missing or not a number");
      }
      try {
        int width = new RankSpec(ranks, powers).width();
        SiteMaps.Side query = side("query", width);
        SiteMaps.Side key = side("key", width);
        return new SiteMaps(ranks, powers, activations(json), (float) epsilon.doubleValue(), query, key);
      } catch (TensorException e) {
        throw e;
      } catch (HlaException e) {
        throw new HlaException(wrong(e.getMessage()).getMessage(), e);
      }
    }

    private int[] integers(JsonNode json, String field) {
      JsonNode list = json.path(field);
      if (!list.isArray()) {
        throw wrong(field + " is missing or not a list");
      }
      int[] numbers = new int[list.size()];
      for (int i = 0; i < numbers.length; i++) {
        if (!list.get(i).isIntegralNumber() || !list.get(i).canConvertToInt()) {
          throw wrong(field + " holds " + SafeTensors.printable(list.get(i).toString()) + ", not a whole number");
        }
        numbers[i] = list.get(i).intValue();
      }
      return numbers;
    }

    private List<Activation> activations(JsonNode json) {
      JsonNode list = json.path("activations");
      if (!list.isArray()) {
        throw wrong("activations is missing or not a list");
      }
      List<Activation> activations = new ArrayList<>();
      list.forEach(word -> activations.add(Activation.of(word.asText())));
      return activations;
    }

    private SiteMaps.Side side(String side, int width) {
      String prefix = site + "." + side;
      long[] weightShape = shape(prefix + ".weight", "[H, d, " + width + "]");
      if (weightShape.length != 3 || weightShape[2] != width) {
        throw misshapen(prefix + ".weight", weightShape, "[H, d, " + width + "]");
      }
      long heads = weightShape[0];
      Optional<SiteMaps.Hidden> hidden = Optional.empty();
      long headDim = weightShape[1];
      if (tensors.names().contains(prefix + ".hidden.weight") || tensors.names().contains(prefix + ".hidden.bias")) {
        String expected = "[" + heads + ", d, h]";
        long[] hiddenShape = shape(prefix + ".hidden.weight", expected);
        if (hiddenShape.length != 3 || hiddenShape[0] != heads) {
          throw misshapen(prefix + ".hidden.weight", hiddenShape, expected);
        }
        headDim = hiddenShape[1];
        long hiddenWidth = hiddenShape[2];
        if (weightShape[1] != hiddenWidth && weightShape[1] != headDim + hiddenWidth) {
          throw misshapen(prefix + ".weight", weightShape, "[" + heads + ", " + hiddenWidth + " or "
              + (headDim + hiddenWidth) + ", " + width + "] beside a hidden layer of " + hiddenWidth);
        }
        float[] hiddenBias = read(prefix + ".hidden.bias", heads, hiddenWidth);
        hidden = Optional.of(new SiteMaps.Hidden(
            (int) hiddenWidth, read(prefix + ".hidden.weight", hiddenShape), hiddenBias));
      }
      return new SiteMaps.Side((int) heads, (int) headDim, width, read(prefix + ".weight", weightShape),
          read(prefix + ".bias", heads, width), hidden);
    }

    private long[] shape(String name, String expected) {
      if (!tensors.names().contains(name)) {
        throw new TensorException(tensors.file() + ": tensor \"" + SafeTensors.printable(name) + "\" " + expected + " is missing");
      }
      return tensors.entry(name).shape();
    }

    private float[] read(String name, long... expected) {
      long[] shape = shape(name, Arrays.toString(expected));
      if (!Arrays.equals(shape, expected)) {
        throw misshapen(name, shape, Arrays.toString(expected));
      }
      float[] values = tensors.floats(name);
      for (float value : values) {
        if (!Float.isFinite(value)) {
          throw new TensorException(tensors.file() + ": tensor \"" + SafeTensors.printable(name) + "\" holds " + value);
        }
      }
      unread.remove(name);
      return values;
    }

    private HlaException misshapen(String name, long[] shape, String expected) {
      return new TensorException(tensors.file() + ": tensor \"" + SafeTensors.printable(name) + "\" has shape "
          + Arrays.toString(shape) + "; " + expected + " expected");
    }

    private HlaException wrong(String what) {
      return new HlaException(tensors.file() + ": site \"" + SafeTensors.printable(site) + "\": " + what);
    }
  }

  /** Says already which tensor is wrong, so that the site's name need not be put before it. */
  private static final class TensorException extends HlaException {
    private TensorException(String message) {
      super(message);
    }
  }
}
