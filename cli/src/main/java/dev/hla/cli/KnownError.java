package dev.hla.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What ONNX Runtime, the dynamic linker and the operator library say when a model or the library does not load, with the
 * cause and the cure of each. The words are those of ONNX Runtime 1.29, with what 1.17 to 1.24 say where they differ;
 * docs/errors.md holds the same as a table. A text may be long and of any kind: what a pattern lets run on begins where words do, or
 * ends after 1000 characters, so that looking takes time in proportion to the text.
 */
enum KnownError {
  OPERATOR_NOT_REGISTERED(
      "ai\\.hla:(\\w+)\\(-?\\d+\\) is not a registered function/op",
      "the file uses the operator $1, holds no function of that name, and the session has no operator library that knows it",
      "register the library, whose path `hla lib-path` prints, with the session's options before the session is made (Python"
          + " register_custom_ops_library, C++ RegisterCustomOpsLibrary, C# RegisterCustomOpLibrary, Java registerCustomOpLibrary); or use the file as `hla convert`"
          + " wrote it: it holds the functions, which some tools drop"),
  FOREIGN_OPERATOR(
      "(?<![\\w.])(?!ai\\.hla:)([\\w.]+):(\\w+)\\(-?\\d+\\) is not a registered function/op",
      "the model uses the operator $2 of domain $1, which is none of this toolkit's",
      "register the library that brings it; the original model needs it, too"),
  NO_OPSET_IMPORT(
      "No opset import for domain '?ai\\.hla'?",
      "nodes of the file use domain ai.hla, but its opset_import does not name it: a tool that rewrote the file dropped the entry",
      "run such tools before `hla convert`, not after it; or add version 1 of domain ai.hla to opset_import; or register the operator"
          + " library, with which ONNX Runtime 1.29 loads the file as it is"),
  RUNTIME_TOO_OLD(
      "this library needs ONNX Runtime (1\\.\\d+) or newer",
      "this ONNX Runtime is older than $1, whose interface the operator library uses",
      "take ONNX Runtime $1 or newer, or register nothing: the functions in the file run in older ones, too"),
  API_VERSION(
      "The requested API version \\[(\\d+)] is not available, only API versions \\[1, (\\d+)]",
      "a library or program was built for ONNX Runtime 1.$1, and the runtime that it meets is 1.$2",
      "take ONNX Runtime 1.$1 or newer; where several are installed, see which one is loaded (ldd, LD_LIBRARY_PATH, the class path)."
          + " The operator library asks for 18"),
  LIBRARY_NOT_FOUND(
      "Failed to load library (.{1,1000}?) with error: \\1: cannot open shared object file",
      "there is no file $1, or, given without a folder, none on the library path, or it is for another kind of processor",
      "name the file with its whole path, which `hla lib-path` prints; if it is there, `file $1` says for which processor"),
  DEPENDENCY_NOT_FOUND(
      "Failed to load library (.{1,1000}?) with error: (?!\\1:)(\\S{1,1000}?): cannot open shared object file",
      "$1 is there, but $2, which it needs, is not on the library path",
      "install what holds $2, or add its folder to LD_LIBRARY_PATH before the program starts; `ldd $1` lists all that it needs"),
  WRONG_ELF_CLASS(
      "(?<!\\S)(\\S+): wrong ELF class: (\\w+)",
      "$1 is for processors of another word size ($2) than this program",
      "take the library for this machine: `hla lib-path` prints it"),
  NOT_A_LIBRARY(
      "(?<!\\S)(\\S+): (?:invalid ELF header|file too short|cannot read file data)",
      "$1 is no shared library: a folder, a text or error page under its name, or a file cut short",
      "copy it again from where `hla lib-path` says"),
  SYSTEM_TOO_OLD(
      "version `(\\S+)' not found \\(required by (.{1,1000}?)\\)",
      "$2 was built on a system with newer C or C++ libraries ($1) than this one has",
      "build the toolkit from its sources here, or run on a system at least as new"),
  NO_OPERATOR_LIBRARY(
      "undefined symbol: RegisterCustomOps",
      "the file that was named is a shared library, but no operator library",
      "name libhla_ops.so itself, which `hla lib-path` prints; libhla_ops_cuda.so is its plugin and is not registered"),
  REGISTERED_TWICE(
      "Domain already set in registry",
      "these session options hold the operator library already",
      "register it once for each options object; HlaOperators.register does so by itself"),
  EXTERNAL_DATA_OUTSIDE(
      "escapes (?:both )?model directory|Absolute paths? not allowed for external data",
      "the model names a weights file outside its own folder, by an absolute path, \"..\" or a link, and ONNX Runtime 1.24 and newer refuse that",
      "put the weights themselves beside the model; `hla convert --external-data copy` (or link) puts them beside the file that it writes"),
  EXTERNAL_DATA_MISSING(
      "(?=External data)(?<!loaded from bytes.{0,200})External data path does not exist: \"(.{1,1000}?)\""
          + "|cannot get file size: No such file or directory \\[(.{1,1000}?)]|GetFileLength for (\\S+) failed",
      "the weights file $1$2$3 is missing: the model was moved or copied without it",
      "put it there; `hla convert --external-data copy` puts the weights beside the file that it writes"),
  EXTERNAL_DATA_SHORT(
      "External initializer: (\\S+) offset: (\\d+) size to read: (\\d+) given file_length: (\\d+)",
      "the weights file ends at byte $4, before the end of the initializer $1 ($3 bytes from $2): it is cut short, or another model's",
      "copy the weights again with the model that they belong to"),
  EXTERNAL_DATA_IN_MEMORY(
      "model_path must not be empty|External data path for model loaded from bytes",
      "the model was opened from memory, so that the runtime does not know where its weights file lies",
      "open it by its path, or set session.model_external_initializers_file_folder_path to the weights' folder"),
  NOT_A_MODEL(
      "Protobuf parsing failed",
      "the file is no ONNX model, or cut short",
      "look at its first bytes: a text beginning with \"version https://git-lfs\" stands for a file that `git lfs pull` fetches"),
  IR_TOO_NEW(
      "Unsupported model IR version: (\\d+), max supported IR version: (\\d+)",
      "the file has IR version $1, and this ONNX Runtime reads up to $2",
      "take a newer ONNX Runtime, or export the original with an older opset; `hla convert` keeps what the original has"),
  OPSET_TOO_NEW(
      "Opset (\\d+) is under development.{0,300}?Current official support for domain (\\S+) is till opset (\\d+)",
      "the file uses opset $1 of $2, and this ONNX Runtime knows up to $3",
      "take a newer ONNX Runtime, or export the original with an older opset; `hla convert` keeps what the original has");

  private final Pattern words;
  private final String cause;
  private final String cure;

  KnownError(String words, String cause, String cure) {
    this.words = Pattern.compile(words, Pattern.DOTALL);
    this.cause = cause;
    this.cure = cure;
  }

  /**
   * A known error in a text.
   *
   * @param id its name, in docs/errors.md, too
   * @param matched the words that it was known by
   */
  record Diagnosis(String id, String matched, String cause, String cure) {}

  /** All that a text holds, each once. */
  static List<Diagnosis> in(String text) {
    List<Diagnosis> found = new ArrayList<>();
    for (KnownError error : values()) {
      Matcher matcher = error.words.matcher(text);
      if (matcher.find()) {
        MatchResult match = matcher.toMatchResult();
        found.add(new Diagnosis(error.id(), match.group().replaceAll("\\s+", " "), fill(error.cause, match), fill(error.cure, match)));
      }
    }
    return found;
  }

  String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  private static String fill(String template, MatchResult match) {
    String filled = template;
    for (int group = 1; group <= match.groupCount(); group++) {
      String value = match.group(group);
      filled = filled.replace("$" + group, value == null ? "" : value);
    }
    return filled;
  }
}
