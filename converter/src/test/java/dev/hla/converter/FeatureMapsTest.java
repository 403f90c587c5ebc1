package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FeatureMapsTest {
  @TempDir Path folder;
  private Path file;
  private Map<String, SafeTensors.FloatTensor> tensors;

  /** One site of 2 heads of 3 with ranks 2, 1: the smallest of everything that can be told apart. */
  @BeforeEach
  void oneSite() {
    file = folder.resolve("maps.safetensors");
    tensors = new LinkedHashMap<>();
    put("blocks.0.attn.query.weight", 2, 3, 3);
    put("blocks.0.attn.query.bias", 2, 3);
    put("blocks.0.attn.key.weight", 2, 3, 3);
    put("blocks.0.attn.key.bias", 2, 3);
  }

  private static final String SITE =
      "{\"ranks\": [2, 1], \"powers\": [2, 1], \"activations\": [\"identity\", \"exp\"], \"epsilon\": 1e-06}";

  @Test
  void readsASite() {
    FeatureMaps maps = load(SITE);
    assertEquals(Set.of("blocks.0.attn"), maps.names());
    assertEquals(Optional.empty(), maps.forSite("blocks.1.attn"));
    SiteMaps site = maps.forSite("blocks.0.attn").orElseThrow();
    assertEquals("2^2,1", site.spec().toString());
    assertEquals(List.of(Activation.IDENTITY, Activation.EXP), site.activations());
    assertEquals(1e-6f, site.epsilon());
    assertEquals(2, site.query().heads());
    assertEquals(3, site.query().headDim());
    assertArrayEquals(tensors.get("blocks.0.attn.query.weight").data(), site.query().weight());
    assertArrayEquals(tensors.get("blocks.0.attn.key.bias").data(), site.key().bias());
    assertFalse(site.key().hidden().isPresent());
  }

  @ParameterizedTest
  @CsvSource({"5, false", "8, true"})
  void readsAHiddenLayer(int rows, boolean skips) {
    put("blocks.0.attn.query.weight", 2, rows, 3);
    put("blocks.0.attn.query.hidden.weight", 2, 3, 5);
    put("blocks.0.attn.query.hidden.bias", 2, 5);
    SiteMaps.Side query = load(SITE).forSite("blocks.0.attn").orElseThrow().query();
    assertEquals(3, query.headDim());
    assertEquals(5, query.hidden().orElseThrow().width());
    assertEquals(rows, query.weightRows());
    assertEquals(skips, query.skips());
  }

  /** As torch.save_file writes a model in half precision; 1.5 and -2 stand in both types. */
  @ParameterizedTest
  @CsvSource({"F16, 3E00, C000", "BF16, 3FC0, C000"})
  void readsSixteenBitMaps(String type, String weight, String bias) throws IOException {
    writeSixteenBit(type, weight, bias, "2, 3, 3");
    SiteMaps site = FeatureMaps.load(file).forSite("blocks.0.attn").orElseThrow();
    for (SiteMaps.Side side : List.of(site.query(), site.key())) {
      assertEquals(2 * 3 * 3, side.weight().length);
      assertEquals(2 * 3, side.bias().length);
      for (float number : side.weight()) {
        assertEquals(1.5f, number);
      }
      for (float number : side.bias()) {
        assertEquals(-2f, number);
      }
    }
    writeSixteenBit(type, weight, bias, "3, 2, 3");
    HlaException refused = assertThrows(HlaException.class, () -> FeatureMaps.load(file));
    assertTrue(refused.getMessage().contains("tensor \"blocks.0.attn.query.bias\" has shape [2, 3]; [3, 3] expected"), refused.getMessage());
  }

  private void writeSixteenBit(String type, String weight, String bias, String weightShape) throws IOException {
    StringBuilder header = new StringBuilder("{\"__metadata__\":{\"format\":\"" + FeatureMaps.FORMAT + "\",\"sites\":\"{\\\"blocks.0.attn\\\": "
        + SITE.replace("\"", "\\\"") + "}\"}");
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    for (String name : List.of("query.weight", "query.bias", "key.weight", "key.bias")) {
      boolean isWeight = name.endsWith("weight");
      int bits = Integer.parseInt(isWeight ? weight : bias, 16);
      int begin = data.size();
      for (int i = 0; i < (isWeight ? 18 : 6); i++) {
        data.write(bits & 0xFF);
        data.write(bits >> 8);
      }
      header.append(String.format(",\"blocks.0.attn.%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%d,%d]}", name, type,
          isWeight ? weightShape : "2, 3", begin, data.size()));
    }
    byte[] json = header.append('}').toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + data.size()).order(ByteOrder.LITTLE_ENDIAN);
    Files.write(file, bytes.putLong(json.length).put(json).put(data.toByteArray()).array());
  }

  @Test
  void whatIsWrittenIsRead() {
    int[] ranks = {4, 3, 1};
    int[] powers = {2, 1, 1};
    SiteMaps plain = SiteMaps.unfitted(2, 5, ranks, powers, SiteMaps.positiveActivations(ranks, powers), 1);
    SiteMaps.Side deep = new SiteMaps.Side(2, 5, 8, new float[2 * 6 * 8], new float[16],
        Optional.of(new SiteMaps.Hidden(6, new float[2 * 5 * 6], new float[12])));
    SiteMaps mixed = new SiteMaps(ranks, powers, plain.activations(), 0.5f, deep, plain.key());
    Map<String, SiteMaps> sites = new LinkedHashMap<>();
    sites.put("b", plain);
    sites.put("a \"quoted\"", mixed);
    FeatureMaps.write(file, sites);
    FeatureMaps read = FeatureMaps.load(file);
    assertEquals(List.of("b", "a \"quoted\""), new ArrayList<>(read.names()));
    assertArrayEquals(plain.query().weight(), read.forSite("b").orElseThrow().query().weight());
    SiteMaps again = read.forSite("a \"quoted\"").orElseThrow();
    assertEquals(0.5f, again.epsilon());
    assertEquals(6, again.query().hidden().orElseThrow().width());
    assertArrayEquals(plain.key().weight(), again.key().weight());
  }

  @ParameterizedTest
  @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
      "query.weight; 2,3,4; tensor \"blocks.0.attn.query.weight\" has shape [2, 3, 4]; [H, d, 3] expected",
      "query.weight; 6,3; has shape [6, 3]; [H, d, 3] expected",
      "query.bias; 3,2; tensor \"blocks.0.attn.query.bias\" has shape [3, 2]; [2, 3] expected",
      "key.bias; -; tensor \"blocks.0.attn.key.bias\" [2, 3] is missing",
      "key.weight; -; tensor \"blocks.0.attn.key.weight\" [H, d, 3] is missing",
      "key.weight; 2,4,3; the query's map is for 2 heads of 3, the key's for 2 of 4",
      "key.hidden.bias; 2,5; tensor \"blocks.0.attn.key.hidden.weight\" [2, d, h] is missing",
      "key.hidden.weight; 2,3,5; tensor \"blocks.0.attn.key.weight\" has shape [2, 3, 3]; [2, 5 or 8, 3] expected",
      "key.wieght; 1; tensor \"blocks.0.attn.key.wieght\" belongs to no site of the metadata"})
  void wrongTensorsAreNamed(String tensor, String shape, String complaint) {
    String name = "blocks.0.attn." + tensor;
    if (shape.equals("-")) {
      tensors.remove(name);
    } else {
      put(name, Arrays.stream(shape.split(",")).mapToInt(Integer::parseInt).toArray());
    }
    assertRefused(complaint, SITE);
  }

  @ParameterizedTest
  @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
      "{\"ranks\": [2, 1]}; powers is missing or not a list",
      "{\"ranks\": [2, 1.5], \"powers\": [2, 1]}; ranks holds 1.5, not a whole number",
      "{\"ranks\": [2, 1], \"powers\": [2, 1]}; epsilon is missing or not a number",
      "{\"ranks\": [2, 1], \"powers\": [2], \"epsilon\": 0}; 2 ranks but 1 powers",
      "{\"ranks\": [2, 1], \"powers\": [5, 1], \"epsilon\": 0}; power 5 of factor 1",
      "{\"ranks\": [2, 1], \"powers\": [2, 1], \"epsilon\": 0}; activations is missing or not a list",
      "{\"ranks\": [2, 1], \"powers\": [2, 1], \"epsilon\": 0, \"activations\": [\"tanh\", \"exp\"]}; unknown activation \"tanh\"; known are identity, softplus, relu, exp, softmax",
      "{\"ranks\": [2, 1], \"powers\": [2, 1], \"epsilon\": 0, \"activations\": [\"exp\"]}; 1 activations for 2 factors",
      "{\"ranks\": [2, 1], \"powers\": [2, 1], \"epsilon\": -1, \"activations\": [\"exp\", \"exp\"]}; epsilon -1.0",
      "7; ranks is missing or not a list"})
  void wrongMetadataAreNamed(String site, String complaint) {
    assertRefused("site \"blocks.0.attn\": " + complaint, site);
  }

  @Test
  void otherSafetensorsFilesAreRefused() {
    for (Map<String, String> metadata : List.of(
        Map.<String, String>of(), Map.of("format", "pt"), Map.of("format", FeatureMaps.FORMAT),
        Map.of("format", FeatureMaps.FORMAT, "sites", "[]"), Map.of("format", FeatureMaps.FORMAT, "sites", "{"))) {
      SafeTensors.write(file, metadata, List.of());
      HlaException refused = assertThrows(HlaException.class, () -> FeatureMaps.load(file));
      assertTrue(refused.getMessage().startsWith(file + ": ") && refused.getMessage().contains("metadata"), refused.getMessage());
    }
  }

  @Test
  void numbersThatAreNoneAreRefused() {
    tensors.get("blocks.0.attn.key.bias").data()[4] = Float.NaN;
    assertRefused("tensor \"blocks.0.attn.key.bias\" holds NaN", SITE);
  }

  @Test
  void unfittedMapsAreRepeatableAndTame() {
    int[] ranks = {4, 3, 1};
    int[] powers = {2, 1, 1};
    List<Activation> activations = SiteMaps.positiveActivations(ranks, powers);
    assertEquals(List.of(Activation.IDENTITY, Activation.SOFTPLUS, Activation.EXP), activations);
    SiteMaps first = SiteMaps.unfitted(2, 16, ranks, powers, activations, 7);
    assertArrayEquals(first.key().weight(), SiteMaps.unfitted(2, 16, ranks, powers, activations, 7).key().weight());
    assertFalse(Arrays.equals(
        first.key().weight(), SiteMaps.unfitted(2, 16, ranks, powers, activations, 8).key().weight()));
    for (float weight : first.key().weight()) {
      assertTrue(Math.abs(weight) < 1);
    }
    for (int row = 0; row < 2 * 16; row++) {
      assertEquals(0, first.query().weight()[row * 8 + 7], "the query's gate is constant");
    }
  }

  private FeatureMaps load(String site) {
    SafeTensors.write(file, Map.of("format", FeatureMaps.FORMAT, "sites", "{\"blocks.0.attn\": " + site + "}"),
        List.copyOf(tensors.values()));
    return FeatureMaps.load(file);
  }

  private void assertRefused(String complaint, String site) {
    HlaException refused = assertThrows(HlaException.class, () -> load(site));
    assertTrue(refused.getMessage().startsWith(file + ": "), refused.getMessage());
    assertTrue(refused.getMessage().contains(complaint), refused.getMessage());
    assertFalse(refused.getMessage().contains("\n"), refused.getMessage());
  }

  private void put(String name, int... shape) {
    long[] dims = new long[shape.length];
    int count = 1;
    for (int i = 0; i < shape.length; i++) {
      dims[i] = shape[i];
      count *= shape[i];
    }
    float[] data = new float[count];
    for (int i = 0; i < count; i++) {
      data[i] = name.hashCode() % 100 + i;
    }
    tensors.put(name, new SafeTensors.FloatTensor(name, dims, data));
  }
}
