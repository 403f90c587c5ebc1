package dev.hla.converter;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/** The version of the toolkit, which the build writes into a resource. */
public final class ToolkitVersion {
  private static final String RESOURCE = "toolkit.properties";

  private ToolkitVersion() {}

  /** Such as 0.1.0. */
  public static String get() {
    return Holder.VERSION;
  }

  private static final class Holder {
    static final String VERSION = read();

    private static String read() {
      Properties properties = new Properties();
      try (InputStream in = ToolkitVersion.class.getResourceAsStream(RESOURCE)) {
        if (in == null) {
          throw new IllegalStateException("this build lacks its resource " + RESOURCE);
        }
        properties.load(in);
        return properties.getProperty("version");
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
