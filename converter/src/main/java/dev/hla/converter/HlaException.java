package dev.hla.converter;

/**
 * A failure that the user can act on. The message is one line that names the file, the node or the option, what was
 * expected, what came, and what to do; the command line prints it without a stack trace.
 */
public class HlaException extends RuntimeException {
  /** With a message of one line. */
  public HlaException(String message) {
    super(message);
  }

  /** With a message of one line, and what it came from, for --debug. */
  public HlaException(String message, Throwable cause) {
    super(message, cause);
  }
}
