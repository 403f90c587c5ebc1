package dev.hla.converter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.TensorProto.DataType;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HadamardFunctionTest {
  /** ONNX Runtime 1.17 to 1.24 cannot fold a Unique with a gap among its outputs, and does not open the file. */
  @ParameterizedTest
  @ValueSource(longs = {11, 13, 15, 17, 18, 21})
  void everyOutputOfEveryNodeHasAName(long opset) {
    RankSpec two = RankSpec.parse("8^2,3^2,1");
    RankSpec one = RankSpec.parse("16^2");
    List<FactorUse> uses = List.of(new FactorUse(two, "identity,identity,exp"), new FactorUse(one, "softplus"));
    for (FunctionProto function : List.of(HadamardFunction.core(opset, DataType.FLOAT, Set.of(one, two)), HadamardFunction.streaming(opset, DataType.FLOAT, Set.of(one, two)),
        HadamardFunction.fused(opset, DataType.FLOAT, new FusedUses(uses, Set.of("BHND", "BNHD"), true)))) {
      assertEquals(List.of(), function.getNodeList().stream().filter(n -> n.getOutputList().contains("")).map(NodeProto::getOpType).toList(),
          function.getName());
    }
  }

  @Test
  void aFunctionForNoNodesIsRefused() {
    assertEquals("no ranks given: a function is made for the ranks and powers of the nodes that use it",
        assertThrows(HlaException.class, () -> HadamardFunction.streaming(17, DataType.FLOAT, Set.of())).getMessage());
  }

  @Test
  void moreProductsThanAFileCanListAreRefused() {
    assertEquals("ranks 100^4,2 make 8842550 products; plain nodes, and the function that every converted file has, take 1048576 at most: use smaller ranks or powers",
        assertThrows(HlaException.class, () -> HadamardFunction.core(17, DataType.FLOAT, Set.of(RankSpec.parse("100^4,2")))).getMessage());
  }
}
