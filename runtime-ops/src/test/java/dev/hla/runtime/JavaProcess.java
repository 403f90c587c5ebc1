package dev.hla.runtime;

import java.io.File;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A class of the tests in a Java machine of its own. */
final class JavaProcess {
  private JavaProcess() {}

  /** The class path goes into the environment: ONNX Runtime 1.29.0 crashes in a process whose command line is longer than 4096 bytes. */
  static ProcessBuilder of(Class<?> main, List<String> classPath, List<String> options, List<String> arguments) {
    List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-D" + NativeLibrary.CACHE_PROPERTY + "=" + System.getProperty(NativeLibrary.CACHE_PROPERTY, "target/cache")));
    command.addAll(options);
    command.add(main.getName());
    command.addAll(arguments);
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("CLASSPATH", String.join(File.pathSeparator, classPath));
    return builder;
  }

  /** The class path of this machine. */
  static List<String> classPath() {
    return List.of(System.getProperty("java.class.path").split(File.pathSeparator));
  }
}
