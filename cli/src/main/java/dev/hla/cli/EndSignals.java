package dev.hla.cli;

import dev.hla.converter.files.Unfinished;
import java.io.IOException;
import java.util.List;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * What the signals to end (Ctrl-C, kill, a closed terminal) do: what is unfinished is removed, and the process ends as by the
 * signal, at once. Java would tear native libraries down while threads are in them, and ONNX Runtime crashes then: one time in
 * thirty when a session was being opened.
 */
final class EndSignals {
  private static final List<String> NAMES = List.of("INT", "TERM", "HUP");

  private EndSignals() {}

  /** A signal that the process was started to ignore, as by nohup, stays ignored. */
  static void endAtOnce() {
    for (String name : NAMES) {
      Signal.handle(new Signal(name), signal -> {
        Unfinished.deleteAll();
        Signal.handle(signal, SignalHandler.SIG_DFL);
        send(name);
        Runtime.getRuntime().halt(128 + signal.getNumber());
      });
    }
  }

  /** Sends a signal to this process, which Java itself cannot. */
  private static void send(String name) {
    try {
      new ProcessBuilder("sh", "-c", "kill -" + name + " $PPID").inheritIO().start().waitFor();
    } catch (IOException | InterruptedException e) {
      // The process halts all the same, with the exit code that shells give the signal.
      return;
    }
  }

  /** Back to Java's way, for libraries that clean up when the Java machine shuts down. */
  static void shutDown() {
    for (String name : NAMES) {
      Signal.handle(new Signal(name), signal -> System.exit(128 + signal.getNumber()));
    }
  }
}
