package dev.hla.converter.rewrite;

import dev.hla.converter.HlaException;
import dev.hla.converter.OnnxModel;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import java.util.List;

/** Makes a model one of standard ONNX alone: functions inlined, no other domain than ai.onnx. */
final class PortableModel {
  /** What runtimes beside ONNX Runtime commonly ask for. */
  static final long MIN_OPSET = 17;

  private PortableModel() {}

  /** @throws HlaException if the model is too old to become portable; a change of opset is the exporter's work */
  static void require(OnnxModel model) {
    if (model.opset("") < MIN_OPSET) {
      throw new HlaException(model.path() + ": is of opset " + model.opset("") + ", a portable file needs " + MIN_OPSET
          + " or newer; export the model with opset " + MIN_OPSET + ", or convert without --portable");
    }
  }

  /** @throws HlaException naming the first node that is of another domain */
  static OnnxModel of(OnnxModel model) {
    ModelProto inlined = new FunctionInliner(model).inline();
    check(model, inlined.getGraph().getNodeList());
    ModelProto.Builder out = inlined.toBuilder().clearOpsetImport();
    inlined.getOpsetImportList().stream().filter(id -> standard(id.getDomain())).forEach(out::addOpsetImport);
    return new OnnxModel(model.path(), out.build());
  }

  private static boolean standard(String domain) {
    return domain.isEmpty() || domain.equals("ai.onnx");
  }

  private static void check(OnnxModel model, List<NodeProto> nodes) {
    for (NodeProto n : nodes) {
      if (!standard(n.getDomain())) {
        throw new HlaException(model.path() + ": node '" + n.getName() + "' is " + n.getDomain() + "." + n.getOpType()
            + ", which a portable file cannot hold; " + (n.getDomain().equals("ai.hla") ? "convert the original model"
            : "export the model without runtime-specific optimisation") + ", or convert without --portable");
      }
      for (AttributeProto a : n.getAttributeList()) {
        check(model, a.getG().getNodeList());
        a.getGraphsList().forEach(g -> check(model, g.getNodeList()));
      }
    }
  }
}
