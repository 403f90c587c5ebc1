package dev.hla.converter;

import dev.hla.onnx.NodeProto;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * How the fused nodes of a file use their function. A function says nothing of its attributes' values, and what is not known
 * is decided by nodes that a runtime has to load: the body has only those that the file needs.
 *
 * @param factors what the nodes say of their factors
 * @param layouts every value of that attribute
 * @param masked whether any node has a key_mask
 */
public record FusedUses(List<FactorUse> factors, Set<String> layouts, boolean masked) {
  /** @throws HlaException if there is no use at all */
  public FusedUses {
    if (factors.isEmpty() || layouts.isEmpty()) {
      throw new HlaException("no fused nodes given: every value that their attributes have in the file is needed");
    }
    factors = factors.stream().distinct().toList();
    layouts = new TreeSet<>(layouts);
  }

  /** What these nodes do. */
  public static FusedUses of(Collection<NodeProto> fused) {
    return new FusedUses(fused.stream().map(FactorUse::of).toList(),
        fused.stream().map(n -> FactorUse.text(n, "layout")).collect(Collectors.toSet()),
        fused.stream().anyMatch(n -> !HadamardFunction.keyMask(n).isEmpty()));
  }
}
