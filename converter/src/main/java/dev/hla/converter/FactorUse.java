package dev.hla.converter;

import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.NodeProto;
import java.util.List;

/**
 * What one node says of its factors.
 *
 * @param ranks ranks and powers
 * @param activations that attribute of a fused node, such as {@code identity,identity,exp}; "" for an operator without maps
 */
public record FactorUse(RankSpec ranks, String activations) {
  /**
   * What a node of domain ai.hla says.
   *
   * @throws HlaException naming the node, if its ranks or powers break a limit of the operator
   */
  public static FactorUse of(NodeProto node) {
    try {
      return new FactorUse(new RankSpec(integers(node, "ranks"), integers(node, "powers")), text(node, "activations"));
    } catch (HlaException e) {
      throw new HlaException("node '" + node.getName() + "': " + e.getMessage(), e);
    }
  }

  private static int[] integers(NodeProto node, String attribute) {
    return node.getAttributeList().stream().filter(a -> a.getName().equals(attribute))
        .map(AttributeProto::getIntsList).flatMap(List::stream).mapToInt(each -> {
          if (each != each.intValue()) {
            throw new HlaException("attribute " + attribute + " has " + each + ", which is beyond any that the operator takes");
          }
          return each.intValue();
        }).toArray();
  }

  static String text(NodeProto node, String attribute) {
    return node.getAttributeList().stream().filter(a -> a.getName().equals(attribute)).map(a -> a.getS().toStringUtf8()).findFirst().orElse("");
  }
}
