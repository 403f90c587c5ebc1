package dev.hla.converter;

import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.FunctionProto;
import dev.hla.onnx.GraphProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * How many nodes a model has once its functions are inlined, as every runtime does on loading. A few functions that call
 * each other twice at each level make billions; such a file is refused before anything tries.
 */
final class FunctionExpansion {
  private static final long MOST_NODES = 20_000_000;
  private static final int DEEPEST_CALLS = 200;

  private final String file;
  private final Map<String, FunctionProto> functions = new HashMap<>();
  private final Map<String, Long> sizes = new HashMap<>();
  private final Set<String> open = new HashSet<>();

  private FunctionExpansion(String file, List<FunctionProto> all) {
    this.file = file;
    all.forEach(f -> functions.put(f.getDomain() + ":" + f.getName(), f));
  }

  /** @throws HlaException if functions call each other in a circle, or expand beyond what can be loaded */
  static void check(String file, ModelProto model) {
    if (model.getFunctionsCount() > 0) {
      new FunctionExpansion(file, model.getFunctionsList()).nodes(model.getGraph().getNodeList());
    }
  }

  private long nodes(List<NodeProto> nodes) {
    long sum = 0;
    for (NodeProto n : nodes) {
      sum += 1 + called(n);
      for (AttributeProto a : n.getAttributeList()) {
        sum += a.hasG() ? nodes(a.getG().getNodeList()) : 0;
        for (GraphProto g : a.getGraphsList()) {
          sum += nodes(g.getNodeList());
        }
      }
      if (sum > MOST_NODES) {
        throw new HlaException(file + ": its functions expand to more than " + MOST_NODES + " nodes (at node '" + n.getName() + "'); no runtime can load that");
      }
    }
    return sum;
  }

  private long called(NodeProto n) {
    String key = n.getDomain() + ":" + n.getOpType();
    FunctionProto f = functions.get(key);
    if (f == null) {
      return 0;
    }
    Long known = sizes.get(key);
    if (known != null) {
      return known;
    }
    if (!open.add(key) || open.size() > DEEPEST_CALLS) {
      throw new HlaException(file + ": function " + f.getName() + (open.size() > DEEPEST_CALLS ? " lies " + DEEPEST_CALLS + " calls deep"
          : " calls itself") + "; a function must expand to plain nodes");
    }
    long size = nodes(f.getNodeList());
    open.remove(key);
    sizes.put(key, size);
    return size;
  }
}
