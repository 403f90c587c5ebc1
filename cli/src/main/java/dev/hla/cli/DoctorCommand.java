package dev.hla.cli;

import dev.hla.runtime.Machine;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Says what runs here, how fast a way, and what is missing. */
@Command(name = "doctor", description = {
    "Says what this machine can run models on: ONNX Runtime, processor, operator library and which kernel it takes, GPU, "
        + "which hosts here find the library, and what is missing for more.",
    "Exit code 3 where the operator library does not load.",
    "With --error, says what an error of ONNX Runtime means and what to do; exit code 3 where it is not a known one."})
final class DoctorCommand extends Verb {
  /** What --json prints. */
  record Result(
      String onnxRuntime, String java, String platform, List<String> providers, String processor, int cores, List<String> cpuFeatures,
      LibraryReport library, boolean gpu, String cuda, String cudaKernels, List<Hosts.Host> hosts, List<String> missing) {}

  /** What --json prints with --error. */
  record Explanation(List<KnownError.Diagnosis> causes) {}

  /** Of an error's text, in bytes. */
  private static final int LONGEST = 1 << 20;

  @Option(names = "--error", paramLabel = "TEXT", description =
      "explain this error, the message as it came, and look at nothing else; a file's name reads the file, - standard input")
  String error;

  @Override
  int execute() throws IOException {
    if (error != null) {
      return explain(KnownError.in(errorText()));
    }
    Machine machine = Machine.look();
    Result result = new Result(
        machine.onnxRuntime(), machine.java(), machine.platform(), machine.providers(), machine.processor(), machine.cores(),
        machine.cpuFeatures(), LibraryReport.of(machine.library()), gpu(), machine.cuda().isEmpty() ? "usable" : machine.cuda(),
        cudaKernels(machine), Hosts.look(LibraryReport.of(machine.library())), missing(machine));
    json(result);
    print(result);
    return machine.library() != null ? Exit.DONE : Exit.CHECK_FAILED;
  }

  private String errorText() throws IOException {
    // No message is the name of a file that is here, and a name too long for a file is none.
    File file = new File(error);
    if (!error.equals("-") && !file.isFile()) {
      return error;
    }
    try (InputStream in = error.equals("-") ? System.in : Files.newInputStream(file.toPath())) {
      byte[] text = in.readNBytes(LONGEST + 1);
      if (text.length > LONGEST) {
        warn("--error " + error + ": only the first " + LONGEST + " bytes were looked at");
      }
      return new String(text, 0, Math.min(text.length, LONGEST), StandardCharsets.UTF_8);
    }
  }

  private int explain(List<KnownError.Diagnosis> causes) {
    json(new Explanation(causes));
    for (KnownError.Diagnosis cause : causes) {
      say("error  %s", cause.matched());
      say("cause  %s", cause.cause());
      say("cure   %s", cause.cure());
    }
    if (causes.isEmpty()) {
      warn("not a known error; without --error, doctor says what it finds on this machine");
    }
    return causes.isEmpty() ? Exit.CHECK_FAILED : Exit.DONE;
  }

  private static String cudaKernels(Machine machine) {
    if (machine.library() == null || !machine.library().cuda().isEmpty()) {
      return machine.library() == null ? "none: the operator library does not load" : machine.library().cuda();
    }
    return "none: " + (gpu() ? machine.library().cudaMissing() : "there is no NVIDIA driver");
  }

  private static boolean gpu() {
    return Files.exists(Path.of("/dev/nvidiactl"));
  }

  private static List<String> missing(Machine machine) {
    List<String> missing = new ArrayList<>();
    if (machine.library() == null) {
      missing.add("operator library: " + machine.libraryFailure() + " (converted models still run, as plain ONNX and more slowly)");
    }
    if (!onPath("cmake") || !onPath("g++")) {
      missing.add("cmake and g++, to build the operator library here (Debian: apt-get install cmake g++)");
    }
    if (gpu() && !onPath("nvcc")) {
      missing.add("nvcc, to build the CUDA kernels here");
    }
    if (gpu() && !machine.cuda().isEmpty()) {
      missing.add("CUDA in ONNX Runtime: " + machine.cuda() + "; build with mvn -Pgpu package");
    }
    if (gpu() && machine.library() != null && !machine.library().cudaMissing().isEmpty()) {
      missing.add("CUDA kernels: " + machine.library().cudaMissing());
    }
    return missing;
  }

  private static boolean onPath(String program) {
    for (String folder : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator)) {
      if (Files.isExecutable(Path.of(folder, program))) {
        return true;
      }
    }
    return false;
  }

  private void print(Result r) {
    say("ONNX Runtime      %s, providers %s", r.onnxRuntime(), String.join(", ", r.providers()));
    say("Java              %s on %s", r.java(), r.platform());
    say("processor         %s, %d cores, %s", r.processor(), r.cores(), String.join(" ", r.cpuFeatures()));
    if (r.library() != null) {
      say("operator library  %s, version %s (%s)", r.library().path(), r.library().version(), r.library().foundBy());
      say("kernel            %s, %s: %s", r.library().instructionSet(), r.library().kernel(), r.library().reason());
    }
    say("GPU               %s; CUDA in ONNX Runtime: %s", r.gpu() ? "NVIDIA driver loaded" : "none", r.cuda());
    say("CUDA kernels      %s", r.cudaKernels());
    for (Hosts.Host host : r.hosts()) {
      say("host              %s", host.text());
    }
    for (String missing : r.missing()) {
      say("missing           %s", missing);
    }
  }
}
