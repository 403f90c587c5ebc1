package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.hla.cli.Hla;
import dev.hla.converter.OnnxModel;
import dev.hla.onnx.NodeProto;
import dev.hla.runtime.Difference;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Npy;
import dev.hla.runtime.Npz;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.Precision;
import dev.hla.testdata.ShapesWan;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * examples/web as its first lines say, in Node and in a browser without a window: a portable model in onnxruntime-web on the CPU
 * (WebAssembly), against what the operator library gives in ONNX Runtime for the same maps. The profile {@code web} lets it run.
 */
@Tag("web")
class WebExampleTest {
  private static final Path SOURCES = Path.of("web");
  /** With what npm fetched; kept between builds. */
  private static final Path EXAMPLE = Path.of("target", "web").toAbsolutePath();
  private static final List<Precision> PRECISIONS = List.of(Precision.FLOAT32, Precision.FLOAT16);
  private static final long BROWSER_SECONDS = 120;

  @TempDir static Path folder;

  @BeforeAll
  static void install() throws Exception {
    if (onPath("node").isEmpty() || onPath("npm").isEmpty()) {
      fail("the profile web needs node and npm on the path (Debian: apt-get install nodejs npm)");
    }
    Files.createDirectories(EXAMPLE);
    for (String file : List.of("package.json", "npy.mjs", "run_model.mjs", "index.html")) {
      Files.copy(SOURCES.resolve(file), EXAMPLE.resolve(file), StandardCopyOption.REPLACE_EXISTING);
    }
    Program npm = Program.in(EXAMPLE, List.of("npm", "install", "--no-audit", "--no-fund", "--no-package-lock"));
    assertEquals(0, npm.code(), npm.output());
    for (Precision precision : PRECISIONS) {
      Path portable = convert(precision, "--portable");
      convert(precision, "--operator=core");
      Path inputs = Files.createDirectories(folder.resolve(precision.name()));
      Map<String, Tensor> values = Npz.readAll(ShapesWan.exampleInputs());
      try (ModelSession session = ModelSession.open(portable, new ModelSession.Settings(false, 1))) {
        for (Slot slot : session.inputs()) {
          try (OutputStream out = Files.newOutputStream(inputs.resolve(slot.name() + ".npy"))) {
            Npy.write(values.get(slot.name()).as(slot.type()), out);
          }
        }
      }
    }
  }

  private static Optional<Path> onPath(String... programs) {
    return Stream.of(programs).flatMap(program -> Stream.of(System.getenv("PATH").split(File.pathSeparator)).map(entry -> Path.of(entry, program)))
        .filter(Files::isExecutable).findFirst();
  }

  @ParameterizedTest
  @FieldSource("PRECISIONS")
  void inNode(Precision precision) throws Exception {
    Path output = folder.resolve(precision + ".npy");
    Program ran = node(folder.resolve(precision + "--portable.onnx"), folder.resolve(precision.name()), output);
    assertEquals(0, ran.code(), ran.output());
    agree(precision, Npy.read(output));
  }

  @Test
  void inABrowser() throws Exception {
    Path browser = onPath("chromium", "chromium-browser", "google-chrome").orElse(null);
    assumeTrue(browser != null, "not run: no chromium, chromium-browser or google-chrome on the path");
    Path output = folder.resolve("browser.npy");
    Files.write(output, visit(browser, "index.html?model=files/FLOAT32--portable.onnx&inputs=files/FLOAT32&output=output"));
    agree(Precision.FLOAT32, Npy.read(output));
  }

  @Test
  void aFileThatIsNoModelIsOneLine() throws Exception {
    Path bad = Files.writeString(folder.resolve("bad.onnx"), "no model");
    Program ran = node(bad, folder, folder.resolve("none.npy"));
    assertEquals(1, ran.code());
    assertEquals(1, ran.output().lines().count(), ran.output());
    assertTrue(Files.notExists(folder.resolve("none.npy")));
  }

  /** On the CPU onnxruntime-web runs every operator of ai.onnx, its README says. A conversion adds none that its GPU kernels lack, either. */
  @Test
  void theConversionAddsNoOperatorThatTheRuntimeLacks() throws Exception {
    Path runtime = EXAMPLE.resolve("node_modules").resolve("onnxruntime-web");
    assertTrue(Files.readString(runtime.resolve("README.md")).replaceAll("\\[([^]]*)]\\([^)]*\\)", "$1").contains("support all operators in ai.onnx"));
    Set<String> lacking = operators(folder.resolve("FLOAT32--portable.onnx"));
    Files.readAllLines(runtime.resolve("docs").resolve("webgpu-operators.md")).stream()
        .filter(line -> line.matches("\\| \\w+ \\|.*ai\\.onnx\\(.*")).map(line -> line.split("\\|")[1].strip()).forEach(lacking::remove);
    lacking.removeAll(operators(ShapesWan.model()));
    assertEquals(Set.of(), lacking);
  }

  private static Set<String> operators(Path model) {
    List<NodeProto> nodes = OnnxModel.load(model).proto().getGraph().getNodeList();
    assertEquals(Set.of(""), nodes.stream().map(NodeProto::getDomain).collect(Collectors.toSet()));
    return nodes.stream().map(NodeProto::getOpType).collect(Collectors.toCollection(TreeSet::new));
  }

  private static Program node(Path model, Path inputs, Path output) throws Exception {
    return Program.run(List.of("node", EXAMPLE.resolve("run_model.mjs").toString(), model.toString(), inputs.toString(), output.toString()));
  }

  private static Path convert(Precision precision, String option) {
    Path to = folder.resolve(precision + option + ".onnx");
    Path model = precision == Precision.FLOAT16 ? ShapesWan.modelFp16() : ShapesWan.model();
    hla("convert", model.toString(), "--maps", ShapesWan.maps().toString(), "-o", to.toString(), option);
    return to;
  }

  private static void hla(String... command) {
    StringWriter err = new StringWriter();
    assertEquals(0, Hla.run(new PrintWriter(Writer.nullWriter()), new PrintWriter(err), command), err::toString);
  }

  private static void agree(Precision precision, Tensor actual) throws IOException {
    try (ModelSession session = ModelSession.open(folder.resolve(precision + "--operator=core.onnx"), ModelSession.Settings.DEFAULT)) {
      Difference d = Difference.between(session.run(Npz.readAll(ShapesWan.exampleInputs())).get("sample"), actual, "sample");
      System.out.printf("web, %s: relative error %.1e against the operator library%n", precision, d.relative());
      assertTrue(d.finite() && d.relative() <= precision.tolerance(), d.toString());
    }
  }

  /** Opens a page of the example in the browser, waits until it has sent its output, and gives that. */
  private static byte[] visit(Path browser, String page) throws Exception {
    CompletableFuture<byte[]> sent = new CompletableFuture<>();
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", exchange -> serve(exchange, EXAMPLE, "/"));
    server.createContext("/files/", exchange -> serve(exchange, folder, "/files/"));
    server.createContext("/output", exchange -> {
      byte[] body = exchange.getRequestBody().readAllBytes();
      exchange.sendResponseHeaders(204, -1);
      exchange.close();
      sent.complete(body);
    });
    server.start();
    Path log = folder.resolve("browser.log");
    Process process = new ProcessBuilder(browser.toString(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
        "--user-data-dir=" + Files.createTempDirectory(EXAMPLE.getParent(), "browser"),
        "http://localhost:" + server.getAddress().getPort() + "/" + page)
        .redirectErrorStream(true).redirectOutput(log.toFile()).start();
    try {
      return sent.get(BROWSER_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      return fail("the page sent no output in " + BROWSER_SECONDS + " s: "
          + Files.readString(log).lines().filter(line -> line.contains("CONSOLE")).collect(Collectors.joining("\n")));
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly().waitFor();
      server.stop(0);
    }
  }

  private static void serve(HttpExchange exchange, Path root, String context) throws IOException {
    Path file = root.resolve(exchange.getRequestURI().getPath().substring(context.length())).normalize();
    boolean found = file.startsWith(root) && Files.isRegularFile(file);
    String name = file.toString();
    // Browsers take scripts and modules of their own types only.
    exchange.getResponseHeaders().add("Content-Type", name.endsWith(".html") ? "text/html" : name.endsWith("js") ? "text/javascript"
        : name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream");
    exchange.sendResponseHeaders(found ? 200 : 404, found ? Files.size(file) : -1);
    if (found) {
      Files.copy(file, exchange.getResponseBody());
    }
    exchange.close();
  }
}
