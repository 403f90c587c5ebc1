package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.hla.cli.Hla;
import dev.hla.runtime.HlaOperators;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code hla doctor} says of the hosts, in surroundings made for it. */
class DoctorTest {
  @TempDir Path folder;

  @Test
  void hostsThatAreNotHereAreSaidToBeAbsent() throws Exception {
    Map<String, JsonNode> hosts = hosts(folder, Map.of("PATH", folder.toString(), "LD_LIBRARY_PATH", folder.toString()));
    assertEquals("by_itself", hosts.get("Java").get("finds").asText());
    assertEquals("by_path", hosts.get("C, C++, C#, ...").get("finds").asText());
    assertEquals("absent", hosts.get("Python").get("finds").asText());
    assertEquals("no python3 on PATH", hosts.get("Python").get("note").asText());
    assertEquals("no node on PATH", hosts.get("Node").get("note").asText());
  }

  @Test
  void aLibraryOnTheLibraryPathIsFound() throws Exception {
    Path library = Files.copy(HlaOperators.find().path(), folder.resolve("libhla_ops.so"));
    JsonNode host = hosts(folder, Map.of("LD_LIBRARY_PATH", "/nowhere" + File.pathSeparator + folder)).get("C, C++, C#, ...");
    assertEquals("by_itself", host.get("finds").asText());
    assertTrue(host.get("note").asText().contains(library.toString()), host::toString);
  }

  @Test
  void onnxruntimeNodeIsFoundAndSaidToRegisterNothing() throws Exception {
    Path installed = Path.of(Host.NODE.installed().get(1)).getParent();
    JsonNode host = hosts(installed, Map.of()).get("Node");
    assertEquals("no", host.get("finds").asText());
    assertTrue(host.get("note").asText().startsWith("onnxruntime-node 1.26.0 cannot register libraries"), host::toString);
  }

  @Test
  void pythonRegistersTheLibrary() throws Exception {
    String python = Host.PYTHON.installed().get(0);
    String path = System.getenv("PATH");
    JsonNode host = hosts(folder, Map.of("PATH", python.equals("python3") ? path : Path.of(python).getParent() + File.pathSeparator + path)).get("Python");
    assertEquals("by_path", host.get("finds").asText(), host::toString);
    assertTrue(host.get("note").asText().matches("onnxruntime \\d.* of python3 registers it"), host::toString);
  }

  private static Map<String, JsonNode> hosts(Path where, Map<String, String> environment) throws Exception {
    Program doctor = Program.in(where, environment, List.of(Host.java(), "-Dhla.cache.dir=" + Path.of(System.getProperty("hla.cache.dir")).toAbsolutePath(),
        "-cp", System.getProperty("java.class.path"), Hla.class.getName(), "doctor", "--json"));
    assertEquals(0, doctor.code(), doctor.output());
    Map<String, JsonNode> hosts = new HashMap<>();
    new JsonMapper().readTree(doctor.output()).get("hosts").forEach(host -> hosts.put(host.get("host").asText(), host));
    return hosts;
  }
}
