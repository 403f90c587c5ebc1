package dev.hla.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Rows of text in aligned columns, for a terminal. Columns of numbers are set to the right. */
final class Table {
  private final List<String[]> rows = new ArrayList<>();

  Table(String... heads) {
    rows.add(heads);
  }

  void row(String... cells) {
    rows.add(cells);
  }

  boolean isEmpty() {
    return rows.size() == 1;
  }

  /** Three significant digits; NaN as it is, "" for null. */
  static String number(Double value) {
    if (value == null) {
      return "";
    }
    double size = Math.abs(value);
    String format = size != 0 && (size < 1e-3 || size >= 1e5) ? "%.2e" : size < 10 ? "%.4f" : "%.1f";
    return String.format(Locale.ROOT, format, value);
  }

  static String shape(long[] shape) {
    return Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining(", ", "[", "]"));
  }

  @Override
  public String toString() {
    int columns = rows.get(0).length;
    int[] widths = new int[columns];
    boolean[] right = new boolean[columns];
    for (int c = 0; c < columns; c++) {
      int column = c;
      widths[c] = rows.stream().mapToInt(row -> row[column].length()).max().orElse(0);
      right[c] = rows.size() > 1 && rows.stream().skip(1).allMatch(row -> row[column].matches("-?[0-9.e+-]+|NaN|"));
    }
    return rows.stream().map(row -> line(row, widths, right)).collect(Collectors.joining(System.lineSeparator()));
  }

  private static String line(String[] row, int[] widths, boolean[] right) {
    StringBuilder line = new StringBuilder(" ");
    for (int c = 0; c < row.length; c++) {
      String space = " ".repeat(widths[c] - row[c].length());
      line.append(' ').append(right[c] ? space + row[c] : row[c] + space).append(' ');
    }
    return line.toString().stripTrailing();
  }
}
