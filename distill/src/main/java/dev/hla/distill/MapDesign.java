package dev.hla.distill;

import dev.hla.converter.Activation;
import dev.hla.converter.HlaException;
import dev.hla.converter.RankSpec;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What maps to fit.
 *
 * @param spec ranks and powers of the factors
 * @param activations one for each factor
 * @param hidden units of a hidden layer beside the linear map, 0 for none
 */
public record MapDesign(RankSpec spec, List<Activation> activations, int hidden) implements Serializable {
  private static final int MOST_PLAIN = 1024;

  /** Keeps a copy and checks the count. */
  public MapDesign {
    activations = List.copyOf(activations);
    if (activations.size() != spec.ranks().length) {
      throw new HlaException(activations.size() + " activations for the " + spec.ranks().length + " factors of " + spec);
    }
    if (hidden < 0) {
      throw new HlaException("a hidden layer of " + hidden + " units; 0 or more are possible");
    }
  }

  /**
   * The usual activations: exp for a gate, nothing for an even power, and for odd powers the one given.
   *
   * @param positive keeps the features of an odd power from changing sign
   */
  public static MapDesign of(RankSpec spec, Activation positive, int hidden) {
    List<Activation> activations = new ArrayList<>();
    for (int f = 0; f < spec.ranks().length; f++) {
      boolean gate = spec.ranks()[f] == 1;
      activations.add(gate ? Activation.EXP : spec.powers()[f] % 2 == 0 ? Activation.IDENTITY : positive);
    }
    return new MapDesign(spec, activations, hidden);
  }

  /** Plain linear attention: one factor of softplus features, as many as another design has products, so with a state of its size. */
  public static MapDesign plainLinear(long products) {
    return of(new RankSpec(new int[] {(int) Math.min(MOST_PLAIN, products)}, new int[] {1}), Activation.SOFTPLUS, 0);
  }

  /**
   * Reads a design as a user writes it: ranks and powers as {@link RankSpec} does, then optionally the activation of odd
   * powers and the units of a hidden layer, such as {@code 16,16,1:softmax+64}.
   *
   * @throws HlaException where it is none
   */
  public static MapDesign parse(String text) {
    String[] parts = text.split(":", 2);
    String positive = parts.length == 1 ? "softmax" : parts[1];
    int hidden = 0;
    int plus = positive.indexOf('+');
    if (plus >= 0) {
      String units = positive.substring(plus + 1);
      if (!units.matches("[0-9]{1,6}")) {
        throw new HlaException("maps \"" + text + "\": \"" + units + "\" is no number of hidden units; write for example 16,16,1:softmax+64");
      }
      hidden = Integer.parseInt(units);
      positive = positive.substring(0, plus);
    }
    Activation activation = Activation.of(positive.isEmpty() ? "softmax" : positive.toLowerCase(Locale.ROOT));
    return of(RankSpec.parse(parts[0]), activation, hidden);
  }

  /** Whether every factor but the gates is an even power of a linear form, which has a start in closed form. */
  boolean squares() {
    for (int f = 0; f < activations.size(); f++) {
      if (spec.ranks()[f] > 1 && activations.get(f) != Activation.IDENTITY) {
        return false;
      }
    }
    return true;
  }

  /** Sum of the powers of the factors that are no gates; 1 for plain linear attention. */
  public int degree() {
    int degree = 0;
    for (int f = 0; f < spec.ranks().length; f++) {
      degree += spec.ranks()[f] > 1 ? spec.powers()[f] : 0;
    }
    return degree;
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    String odd = activations.stream().filter(a -> a != Activation.IDENTITY && a != Activation.EXP).findFirst().map(Activation::word).orElse("");
    return spec + (odd.isEmpty() && hidden == 0 ? "" : ":" + odd) + (hidden == 0 ? "" : "+" + hidden);
  }
}
