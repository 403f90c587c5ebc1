package dev.hla.cli;

import java.util.function.Function;
import java.util.function.Predicate;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** What options may be: numbers within their bounds; any other is wrong usage, before a verb begins. */
final class OptionValues {
  /** More than the cores is of use for a trial at most, and each takes memory. */
  static final int MOST_THREADS = Math.max(64, 4 * Runtime.getRuntime().availableProcessors());

  private OptionValues() {}

  private abstract static class Within<T> implements ITypeConverter<T> {
    private final Function<String, T> parse;
    private final Predicate<T> holds;
    private final String wanted;

    Within(Function<String, T> parse, Predicate<T> holds, String wanted) {
      this.parse = parse;
      this.holds = holds;
      this.wanted = wanted;
    }

    @Override
    public T convert(String text) {
      try {
        T number = parse.apply(text.strip());
        if (holds.test(number)) {
          return number;
        }
      } catch (NumberFormatException e) {
        // Said below, as for a number out of bounds.
      }
      throw new TypeConversionException("'" + text + "' was given, " + wanted + " is wanted");
    }
  }

  /** Steps and the like, of which there may be none. */
  static final class NoneOrMore extends Within<Integer> {
    NoneOrMore() {
      super(Integer::valueOf, n -> n >= 0, "a whole number, 0 or more,");
    }
  }

  /** Sizes and counts. */
  static final class OneOrMore extends Within<Integer> {
    OneOrMore() {
      super(Integer::valueOf, n -> n >= 1, "a whole number, 1 or more,");
    }
  }

  /** Lengths. */
  static final class Tokens extends Within<Long> {
    Tokens() {
      super(Long::valueOf, n -> n >= 0, "a whole number, 0 or more,");
    }
  }

  /** Lengths that the demo times. */
  static final class DemoTokens extends Within<Integer> {
    DemoTokens() {
      super(Integer::valueOf, n -> n >= Demo.LEAST_TOKENS && n <= Demo.MOST_TOKENS, Demo.LEAST_TOKENS + " to " + Demo.MOST_TOKENS);
    }
  }

  /** 0 for one per core. */
  static final class Threads extends Within<Integer> {
    Threads() {
      super(Integer::valueOf, n -> n >= 0 && n <= MOST_THREADS, "1 to " + MOST_THREADS + ", or 0 for one per core,");
    }
  }

  /** How long a frame shows: a file keeps it in 16 bits. */
  static final class Millis extends Within<Integer> {
    Millis() {
      super(Integer::valueOf, n -> n >= 1 && n <= 65535, "1 to 65535");
    }
  }

  /** A number that may have any sign. */
  static final class Finite extends Within<Float> {
    Finite() {
      super(Float::valueOf, Float::isFinite, "a finite number");
    }
  }

  /** A limit of relative errors. */
  static final class ErrorLimit extends Within<Double> {
    ErrorLimit() {
      super(Double::valueOf, n -> n >= 0 && Double.isFinite(n), "a finite number, 0 or more,");
    }
  }

  /** A ratio or a time. */
  static final class AboveZero extends Within<Double> {
    AboveZero() {
      super(Double::valueOf, n -> n > 0 && Double.isFinite(n), "a finite number above 0");
    }
  }

  /** The name before a size; blank where nothing stands before the = sign. */
  static final class AxisName implements ITypeConverter<String> {
    @Override
    public String convert(String text) {
      if (text.isBlank()) {
        throw new TypeConversionException("NAME=N is wanted, with the name of an axis");
      }
      return text.strip();
    }
  }
}
