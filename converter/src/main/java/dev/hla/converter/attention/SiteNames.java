package dev.hla.converter.attention;

import dev.hla.converter.graph.Node;
import dev.hla.onnx.StringStringEntryProto;
import java.util.HashSet;
import java.util.Set;

/** Names sites after the exporter's scopes; a name is the key of the feature-map file, so it is unique in a model. */
final class SiteNames {
  private static final String SCOPES = "pkg.torch.onnx.name_scopes";

  private final Set<String> taken = new HashSet<>();
  private int unnamed;

  String of(Node node) {
    String name = fromPath(node.proto().getName());
    if (name.isEmpty()) {
      name = fromScopes(node);
    }
    if (name.isEmpty()) {
      name = "attention_" + unnamed++;
    }
    String unique = name;
    for (int i = 2; !taken.add(unique); i++) {
      unique = name + "_" + i;
    }
    return unique;
  }

  /** /model/blocks.0/attn/core/Softmax gives model.blocks.0.attn.core. */
  private static String fromPath(String node) {
    int end = node.lastIndexOf('/');
    String scope = end < 0 ? "" : node.substring(0, end).replace('/', '.');
    return scope.startsWith(".") ? scope.substring(1) : scope;
  }

  /** The metadata is a Python list of scopes, outermost first: ['', 'blocks.0', 'blocks.0.attn', 'softmax']. */
  private static String fromScopes(Node node) {
    for (StringStringEntryProto p : node.proto().getMetadataPropsList()) {
      if (p.getKey().equals(SCOPES)) {
        String[] scopes = p.getValue().replaceAll("[\\[\\]'\" ]", "").split(",");
        return scopes.length < 2 ? "" : scopes[scopes.length - 2];
      }
    }
    return "";
  }
}
