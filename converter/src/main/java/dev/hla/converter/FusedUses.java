package dev.hla.converter;

import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.NodeProto;
import java.util.Collection;
import java.util.Set;
import java.util.TreeSet;

/**
 * How the fused nodes of a file use their function. A function says nothing of its attributes' values, and what is not known
 * is decided by nodes that a runtime has to load: the body has only those that the file needs.
 *
 * @param activations every value of that attribute, such as {@code identity,identity,exp}
 * @param layouts every value of that attribute
 * @param masked whether any node has a key_mask
 */
public record FusedUses(Set<String> activations, Set<String> layouts, boolean masked) {
  /** @throws HlaException if there is no use at all */
  public FusedUses {
    if (activations.isEmpty() || layouts.isEmpty()) {
      throw new HlaException("no fused nodes given: every value that their attributes have in the file is needed");
    }
    activations = new TreeSet<>(activations);
    layouts = new TreeSet<>(layouts);
  }

  /** What these nodes do. */
  public static FusedUses of(Collection<NodeProto> fused) {
    return new FusedUses(values(fused, "activations"), values(fused, "layout"), fused.stream().anyMatch(n -> !HadamardFunction.keyMask(n).isEmpty()));
  }

  private static Set<String> values(Collection<NodeProto> nodes, String attribute) {
    Set<String> values = new TreeSet<>();
    for (NodeProto n : nodes) {
      n.getAttributeList().stream().filter(a -> a.getName().equals(attribute)).map(AttributeProto::getS).forEach(s -> values.add(s.toStringUtf8()));
    }
    return values;
  }
}
