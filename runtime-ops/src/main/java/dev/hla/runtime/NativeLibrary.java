package dev.hla.runtime;

import dev.hla.converter.HlaException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Locale;

/**
 * Where the operator library's file is. An explicit path is taken or refused, never replaced by another; then comes the
 * Java library path, then the copy inside the jar, which is written to a cache folder.
 */
final class NativeLibrary {
  /** System property: the library's file. */
  static final String PATH_PROPERTY = "hla.library.path";
  /** System property: the folder for the jar's copy, instead of the user's cache folder. */
  static final String CACHE_PROPERTY = "hla.cache.dir";

  private static final String FILE_NAME = System.mapLibraryName("hla_ops");
  private static final String CUDA_FILE_NAME = System.mapLibraryName("hla_ops_cuda");

  private NativeLibrary() {}

  /** The library by the three steps. */
  static HlaOperators.Found find() {
    String explicit = System.getProperty(PATH_PROPERTY);
    if (explicit != null && !explicit.isEmpty()) {
      return explicit(Path.of(explicit), "system property " + PATH_PROPERTY);
    }
    for (String folder : System.getProperty("java.library.path", "").split(File.pathSeparator)) {
      Path candidate = Path.of(folder, FILE_NAME);
      if (!folder.isEmpty() && Files.isRegularFile(candidate)) {
        return whole(candidate, "java.library.path");
      }
    }
    Path library = extract(resource(), cacheFolder());
    extractCuda(library.getParent());
    return new HlaOperators.Found(library, "extracted from the jar");
  }

  /** The library at a given place. */
  static HlaOperators.Found explicit(Path path, String foundBy) {
    if (!Files.isRegularFile(path)) {
      throw new HlaException("operator library " + path + " (" + foundBy + "): no such file; name an existing "
          + FILE_NAME + ", or leave the path out to take the one that comes with this program");
    }
    return whole(path, foundBy);
  }

  private static HlaOperators.Found whole(Path path, String foundBy) {
    try {
      long needed = ElfFile.neededBytes(path);
      if (Files.size(path) < needed) {
        throw new HlaException("operator library " + path + " (" + foundBy + "): cut short, " + Files.size(path) + " bytes where at least "
            + needed + " are expected; copy it again");
      }
    } catch (IOException e) {
      throw new HlaException("operator library " + path + " (" + foundBy + "): cannot be read: " + e, e);
    }
    return new HlaOperators.Found(path.toAbsolutePath(), foundBy);
  }

  private static byte[] resource() {
    String name = "/native/" + platform() + "/" + FILE_NAME;
    try (InputStream in = NativeLibrary.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new HlaException("operator library: " + FILE_NAME + " is neither on java.library.path nor in this build for "
            + platform() + "; build it from runtime-ops/src/main/cpp and name it with -D" + PATH_PROPERTY + "=FILE");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new HlaException("operator library: cannot read " + name + " from the jar: " + e.getMessage(), e);
    }
  }

  /**
   * Writes the CUDA plugin beside the library, which opens it there: only where there is an NVIDIA driver, and only where
   * the plugin is in this build. Elsewhere it would do nothing but warn.
   */
  private static void extractCuda(Path folder) {
    // By the loader, as the plugin's jar is a module of its own on the module path.
    String name = "native/" + platform() + "/" + CUDA_FILE_NAME;
    try (InputStream in = nvidiaDriver() ? NativeLibrary.class.getClassLoader().getResourceAsStream(name) : null) {
      if (in != null) {
        write(in.readAllBytes(), folder.resolve(CUDA_FILE_NAME));
      }
    } catch (IOException e) {
      throw new HlaException("operator library: cannot read " + name + " from the jar: " + e.getMessage(), e);
    }
  }

  /** Whether this machine has an NVIDIA driver: on Linux itself, or as a guest of Windows. */
  static boolean nvidiaDriver() {
    return Files.exists(Path.of("/dev/nvidiactl")) || Files.exists(Path.of("/dev/dxg"));
  }

  /** Operating system and architecture, as the folders in the jar are named. */
  static String platform() {
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
    return (os.startsWith("win") ? "windows" : os.startsWith("mac") ? "macos" : os) + "-"
        + (arch.equals("amd64") ? "x86_64" : arch.equals("arm64") ? "aarch64" : arch);
  }

  private static Path cacheFolder() {
    String chosen = System.getProperty(CACHE_PROPERTY);
    if (chosen != null && !chosen.isEmpty()) {
      return Path.of(chosen);
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    return xdg != null && !xdg.isEmpty() ? Path.of(xdg, "hla") : Path.of(System.getProperty("user.home"), ".cache", "hla");
  }

  /**
   * Writes the library to the cache, under a name made of its content: versions do not meet, and a file of that name and
   * content needs no writing. Others may do the same at the same time: each writes a file of its own and renames it.
   */
  static Path extract(byte[] library, Path cache) {
    return write(library, cache.resolve(sha256(library).substring(0, 16)).resolve(FILE_NAME).toAbsolutePath());
  }

  private static Path write(byte[] library, Path target) {
    try {
      // The content is compared, not the name trusted: a file cut short by a full disk must not be loaded.
      if (Files.isRegularFile(target) && Arrays.equals(Files.readAllBytes(target), library)) {
        return target;
      }
      Files.createDirectories(target.getParent());
      Path temporary = Files.createTempFile(target.getParent(), target.getFileName().toString(), ".tmp");
      try {
        Files.write(temporary, library);
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(temporary);
      }
      return target;
    } catch (IOException e) {
      throw new HlaException("operator library: cannot write " + target + " (" + e
          + "); name a writable folder with -D" + CACHE_PROPERTY + "=FOLDER", e);
    }
  }

  private static String sha256(byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
