package dev.hla.converter;

import dev.hla.converter.FunctionBody.Kind;
import dev.hla.onnx.TensorProto.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;

/**
 * What the nodes that one function body serves differ in. Where all are alike, numbers are constants and nothing is decided
 * at run time; where they are not, the node picks by its number.
 *
 * @param <T> what is known of a node
 */
final class Variants<T> {
  private final FunctionBody f;
  /** Every variant, in the order of their numbers. */
  private final List<T> all;
  /** Numbers of those that are possible here. */
  private final List<Integer> possible;
  /**
   * Number of the node's variant, [1]; null where there is one variant. It is not known before the run, although it follows
   * from attributes: ONNX Runtime takes the place of an If whose condition it knows by the nodes of a branch, and where that is
   * nested it crashes (1.30) or forgets inputs (1.17).
   */
  private final String number;
  /** What was picked before, by the nodes that pick. */
  private final Map<List<?>, String> picked;

  /**
   * @param body the outermost body, which gets the nodes that pick
   * @param number of the node's variant, an int64 tensor [1]; null where there is one
   */
  Variants(FunctionBody body, List<T> all, String number) {
    this(body, all, IntStream.range(0, all.size()).boxed().toList(), number == null ? null : body.late("late_number", number), new HashMap<>());
  }

  private Variants(FunctionBody body, List<T> all, List<Integer> possible, String number, Map<List<?>, String> picked) {
    f = body;
    this.all = all;
    this.possible = possible;
    this.number = number;
    this.picked = picked;
  }

  private Variants<T> only(List<Integer> those) {
    return new Variants<>(f, all, those, number, picked);
  }

  /** The same nodes, something else known of them; {@code knowing} is asked for those that are possible here. */
  <U> Variants<U> map(Function<T, U> knowing) {
    return new Variants<>(f, IntStream.range(0, all.size()).mapToObj(i -> possible.contains(i) ? knowing.apply(all.get(i)) : null).toList(), possible, number, picked);
  }

  /** Those that {@code which} accepts, for nodes that run for no others. */
  Variants<T> where(Predicate<T> which) {
    return only(possible.stream().filter(i -> which.test(all.get(i))).toList());
  }

  boolean any(Predicate<T> which) {
    return possible.stream().anyMatch(i -> which.test(all.get(i)));
  }

  /** One of them, for what they have in common. */
  T example() {
    return all.get(possible.get(0));
  }

  /** A number of the node's variant: a tensor of one element. */
  String number(String name, ToLongFunction<T> of) {
    long[] numbers = IntStream.range(0, all.size()).mapToLong(i -> of.applyAsLong(here(i))).toArray();
    return Arrays.stream(numbers).allMatch(each -> each == numbers[0]) && isConstant() ? f.vector(numbers[0])
        : picked.computeIfAbsent(List.of(Arrays.toString(numbers)), key -> f.op(name, "Gather", f.vector(numbers), number));
  }

  /** Some numbers of the node's variant: a 1-dimensional tensor. */
  String numbers(String name, Function<T, long[]> of) {
    List<long[]> lists = IntStream.range(0, all.size()).mapToObj(i -> of.apply(here(i))).toList();
    return isConstant() && lists.stream().allMatch(list -> Arrays.equals(list, lists.get(0))) ? f.table(name, lists.get(0))
        : part(name, f.table(name + "_of_all", lists.stream().flatMapToLong(Arrays::stream).toArray()), lists.stream().mapToLong(list -> list.length).toArray());
  }

  /** The same of floats. */
  String reals(String name, Function<T, float[]> of) {
    List<float[]> lists = IntStream.range(0, all.size()).mapToObj(i -> of.apply(here(i))).toList();
    if (isConstant() && lists.stream().allMatch(list -> Arrays.equals(list, lists.get(0)))) {
      return f.reals(name, lists.get(0));
    }
    float[] joined = new float[lists.stream().mapToInt(list -> list.length).sum()];
    int end = 0;
    for (float[] list : lists) {
      System.arraycopy(list, 0, joined, end, list.length);
      end += list.length;
    }
    return part(name, f.reals(name + "_of_all", joined), lists.stream().mapToLong(list -> list.length).toArray());
  }

  /** A variant; one that is possible here in place of one that is not, whose numbers are never picked. */
  private T here(int variant) {
    return all.get(possible.contains(variant) ? variant : possible.get(0));
  }

  /**
   * Whether what is equal in all variants that are possible here may be a constant. Not where a runtime loads nodes for a
   * node of another variant: it would infer shapes from it that contradict those of that node, and refuse the file.
   */
  private boolean isConstant() {
    return possible.size() == all.size();
  }

  /** The node's part of {@code joined}, which has a part of {@code lengths} for each variant, one after the other. */
  private String part(String name, String joined, long[] lengths) {
    long[] ends = lengths.clone();
    Arrays.parallelPrefix(ends, Long::sum);
    long[] begins = IntStream.range(0, ends.length).mapToLong(i -> ends[i] - lengths[i]).toArray();
    return picked.computeIfAbsent(List.of(joined, Arrays.toString(ends)),
        key -> f.slice(name, joined, f.op(name + "_begin", "Gather", f.vector(begins), number), f.op(name + "_end", "Gather", f.vector(ends), number), f.vector(0)));
  }

  /**
   * Values that are made in one way for some variants and in another for others.
   *
   * @param outputs names of the values
   * @param key equal for variants that are served in the same way
   * @param way builds the values for the variants that are possible then
   */
  <K> List<String> choose(
      FunctionBody b, List<String> outputs, Kind kind, Function<T, K> key, BiFunction<FunctionBody, Variants<T>, List<String>> way) {
    Map<K, List<Integer>> groups = new LinkedHashMap<>();
    possible.forEach(i -> groups.computeIfAbsent(key.apply(all.get(i)), k -> new ArrayList<>()).add(i));
    return choose(b, outputs, kind, List.copyOf(groups.values()), way);
  }

  private List<String> choose(
      FunctionBody b, List<String> outputs, Kind kind, List<List<Integer>> groups, BiFunction<FunctionBody, Variants<T>, List<String>> way) {
    Variants<T> first = only(groups.get(0));
    if (groups.size() == 1) {
      return way.apply(b, first);
    }
    long[] flags = new long[all.size()];
    groups.get(0).forEach(i -> flags[i] = 1);
    String name = outputs.get(0) + "_condition";
    String condition = picked.computeIfAbsent(List.of(name, Arrays.toString(flags)),
        key -> f.cast(name, f.op(name + "_flag", "Gather", f.vector(flags), number), DataType.BOOL));
    return b.choose(outputs, kind, condition, then -> way.apply(then, first),
        otherwise -> choose(otherwise, outputs, kind, groups.subList(1, groups.size()), way));
  }
}
