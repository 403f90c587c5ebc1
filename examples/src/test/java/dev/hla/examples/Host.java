package dev.hla.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.onnxruntime.OrtSession.SessionOptions;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The example folders that a test can run, each installed in a folder of its own outside the sources. */
enum Host {
  /** Compiled by its Makefile; it opens the shared library that lies in the runtime's jar. */
  C(0, true) {
    @Override
    List<String> install(Path folder) throws IOException, InterruptedException {
      Program make = Program.run(List.of("make", "-C", SOURCES.resolve("c").toString(), "OUT=" + folder, "CFLAGS=-O2 -Wall -Wextra -Werror"));
      assertEquals(0, make.code(), make.output());
      return List.of(folder.resolve("run_model").toString(), sharedRuntime(folder).toString());
    }
  },
  /** The single file on a class path that holds the runtime's jar alone. */
  JAVA(0, true) {
    @Override
    List<String> install(Path folder) throws IOException {
      return List.of(java(), "-cp", SessionOptions.class.getProtectionDomain().getCodeSource().getLocation().getPath(),
          SOURCES.resolve("java").resolve("RunModel.java").toString());
    }
  },
  /** On the class path of its own pom. */
  DJL(0, true) {
    @Override
    List<String> install(Path folder) throws IOException {
      Path target = Path.of(System.getProperty("hla.djl.folder"));
      String jars = Files.readString(target.resolve("class.path"));
      assertEquals(1, List.of(jars.split(File.pathSeparator)).stream().filter(jar -> jar.matches(".*/onnxruntime(_gpu)?-[0-9.]+\\.jar")).count(), jars);
      // Without it DJL asks its makers' server for news when it starts.
      return List.of(java(), "-Dai.djl.offline=true", "-cp", target.resolve("classes") + File.pathSeparator + jars, "RunModel");
    }
  },
  /** An older runtime with other kernels; and it cannot register a library. */
  NODE(1e-5, false) {
    @Override
    List<String> install(Path folder) throws IOException, InterruptedException, NotHere {
      for (String file : List.of("package.json", "run_model.js")) {
        Files.copy(SOURCES.resolve("node").resolve(file), folder.resolve(file), StandardCopyOption.REPLACE_EXISTING);
      }
      // Its install script would fetch the CUDA libraries.
      needs(folder, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline");
      return List.of("node", folder.resolve("run_model.js").toString());
    }
  },
  /** Whichever runtime pip has for this Python. */
  PYTHON(1e-5, true) {
    @Override
    List<String> install(Path folder) throws IOException, InterruptedException, NotHere {
      String python = "python3";
      if (REQUIRED) {
        python = folder.resolve("bin").resolve("python3").toString();
        needs(folder, "python3", "-m", "venv", folder.toString());
        needs(folder, python, "-m", "pip", "install", "--quiet", "--retries", "1", "-r", SOURCES.resolve("python").resolve("requirements.txt").toString());
      }
      needs(folder, python, "-c", "import numpy, onnxruntime");
      return List.of(python, SOURCES.resolve("python").resolve("run_model.py").toString());
    }
  };

  /** Whether a host that is not here is a failure: set by -Phosts, which also lets Python's packages be fetched. */
  static final boolean REQUIRED = Boolean.getBoolean("hla.hosts.required");

  private static final Path SOURCES = Path.of("").toAbsolutePath();
  private static final Map<Host, List<String>> INSTALLED = new EnumMap<>(Host.class);
  private static final Map<Host, String> NOT_HERE = new EnumMap<>(Host.class);

  /** The largest relative error against our own runner: 0 where the same kernels of the same runtime run. */
  final double tolerance;
  /** Whether it can register the operator library. */
  final boolean registers;

  Host(double tolerance, boolean registers) {
    this.tolerance = tolerance;
    this.registers = registers;
  }

  /** This machine has not what the host needs. */
  static final class NotHere extends Exception {
    NotHere(String why) {
      super(why);
    }
  }

  /** Builds or fetches into {@code folder} and returns the command, to which model, inputs, output and library are added. */
  abstract List<String> install(Path folder) throws IOException, InterruptedException, NotHere;

  /** Installs the host, once; where that cannot be done the running test ends, with the reason: skipped, or failed if required. */
  final List<String> installed() throws IOException, InterruptedException {
    if (!INSTALLED.containsKey(this) && !NOT_HERE.containsKey(this)) {
      try {
        INSTALLED.put(this, install(Files.createDirectories(Path.of(System.getProperty("hla.hosts.folder"), name().toLowerCase(Locale.ROOT)))));
      } catch (NotHere e) {
        NOT_HERE.put(this, this + " is not here: " + e.getMessage());
      }
    }
    String why = NOT_HERE.get(this);
    assertTrue(why == null || !REQUIRED, why);
    assumeTrue(why == null, why);
    return INSTALLED.get(this);
  }

  /** The runtime's shared library, out of its jar. */
  static Path sharedRuntime(Path folder) throws IOException {
    Path runtime = folder.resolve("libonnxruntime.so");
    String machine = System.getProperty("os.arch").equals("aarch64") ? "linux-aarch64" : "linux-x64";
    try (InputStream in = SessionOptions.class.getResourceAsStream("/ai/onnxruntime/native/" + machine + "/libonnxruntime.so")) {
      Files.copy(in, runtime, StandardCopyOption.REPLACE_EXISTING);
    }
    return runtime;
  }

  static String java() {
    return Path.of(System.getProperty("java.home"), "bin", "java").toString();
  }

  private static void needs(Path folder, String... command) throws InterruptedException, NotHere {
    String line = String.join(" ", command);
    try {
      Program program = Program.in(folder, List.of(command));
      if (program.code() != 0) {
        throw new NotHere("'" + line + "' failed: " + program.output().lines().reduce("", (earlier, last) -> last));
      }
    } catch (IOException e) {
      throw new NotHere("'" + line + "' cannot be started: " + e.getMessage());
    }
  }

  /** The command line for one model; {@code library} may be null. */
  final List<String> command(Path model, Path inputs, Path output, Path library) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(installed());
    command.addAll(List.of(model.toString(), inputs.toString(), output.toString()));
    if (library != null) {
      command.add(library.toString());
    }
    return command;
  }
}
