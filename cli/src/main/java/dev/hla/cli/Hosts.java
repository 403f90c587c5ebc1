package dev.hla.cli;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/** Which programs of this machine would find the operator library. What can be tried in a second is tried. */
final class Hosts {
  private static final String FILE_NAME = System.mapLibraryName("hla_ops");
  private static final int SECONDS = 20;

  /** What the scripts print before the runtime's version, among whatever else the runtime prints. */
  private static final String MARK = "hla-doctor ";

  private static final String PYTHON = """
      import sys
      try:
          import onnxruntime as ort
      except ModuleNotFoundError as e:
          sys.exit(str(e))
      try:
          ort.SessionOptions().register_custom_ops_library(sys.argv[1])
          result = "registers it"
      except Exception as e:
          result = "refuses it: " + " ".join(str(e).split())
      print("\\n%s" + ort.__version__, "of python3", result)
      """.formatted(MARK);
  private static final String NODE = """
      try {
        console.log("%s" + require("onnxruntime-node/package.json").version);
      } catch {
        console.log("no onnxruntime-node that node finds from this folder");
      }
      """.formatted(MARK);

  private Hosts() {}

  /** How a host gets to the library. */
  enum Finds {
    /** Without being told where it is. */
    @JsonProperty("by_itself") BY_ITSELF,
    /** When its path is named. */
    @JsonProperty("by_path") BY_PATH,
    /** Not at all: it runs the functions in the file. */
    @JsonProperty("no") NO,
    /** The host is not here. */
    @JsonProperty("absent") ABSENT
  }

  /**
   * One host.
   *
   * @param note what was looked at or tried, and what came of it
   */
  record Host(String host, Finds finds, String note) {
    String text() {
      return String.format(Locale.ROOT, "%-17s %s", host, note);
    }
  }

  /** @param library the library as it loads in Java here, or null where it does not */
  static List<Host> look(LibraryReport library) {
    List<Host> hosts = new ArrayList<>();
    hosts.add(library == null
        ? new Host("Java", Finds.NO, "HlaOperators finds none that loads")
        : new Host("Java", Finds.BY_ITSELF, "HlaOperators takes the one above"));
    hosts.add(byName(System.getenv("LD_LIBRARY_PATH")));
    if (library != null) {
      hosts.add(python(library.path()));
    }
    hosts.add(node());
    return hosts;
  }

  /** What a program gets that opens the library by its bare name. */
  static Host byName(String libraryPath) {
    for (String folder : libraryPath == null ? new String[0] : libraryPath.split(File.pathSeparator)) {
      Path file = Path.of(folder, FILE_NAME);
      if (!folder.isEmpty() && Files.isRegularFile(file)) {
        return new Host("C, C++, C#, ...", Finds.BY_ITSELF, "LD_LIBRARY_PATH leads to " + file);
      }
    }
    return new Host("C, C++, C#, ...", Finds.BY_PATH,
        "by the path of `hla lib-path`; no folder of LD_LIBRARY_PATH holds " + FILE_NAME);
  }

  private static Host python(String library) {
    String answer = ask("python3", "-c", PYTHON, library);
    if (!answer.startsWith(MARK)) {
      return new Host("Python", Finds.ABSENT, answer);
    }
    return new Host("Python", answer.endsWith("registers it") ? Finds.BY_PATH : Finds.NO, "onnxruntime " + answer.substring(MARK.length()));
  }

  private static Host node() {
    String answer = ask("node", "-e", NODE);
    return answer.startsWith(MARK)
        ? new Host("Node", Finds.NO, "onnxruntime-node " + answer.substring(MARK.length()) + " cannot register libraries; the functions in the file run")
        : new Host("Node", Finds.ABSENT, answer);
  }

  /** Runs a program and returns the last line that it printed, or why there is none. */
  private static String ask(String... command) {
    try {
      // Through a file, so that a program that hangs can be ended while its output is read.
      Path output = Files.createTempFile("hla-doctor", ".txt");
      try {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile()).start();
        process.getOutputStream().close();
        boolean ended = process.waitFor(SECONDS, TimeUnit.SECONDS);
        process.destroyForcibly();
        return ended
            ? Files.readString(output).lines().filter(line -> !line.isBlank()).reduce(command[0] + " printed nothing", (earlier, last) -> last)
            : command[0] + " did not answer within " + SECONDS + " s";
      } finally {
        Files.deleteIfExists(output);
      }
    } catch (IOException e) {
      return "no " + command[0] + " on PATH";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return command[0] + " was not waited for";
    }
  }
}
