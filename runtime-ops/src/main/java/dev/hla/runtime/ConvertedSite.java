package dev.hla.runtime;

import dev.hla.converter.HadamardFunction;
import dev.hla.converter.RankSpec;
import dev.hla.onnx.AttributeProto;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.StringStringEntryProto;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * An attention of a converted model, as its node tells.
 *
 * @param name the site's name, as inspect prints it
 * @param form the exporter's form that it had
 * @param maps fitted or unfitted
 * @param output the tensor that the node makes
 * @param sourceOutput the tensor of the original model that it takes the place of, or "" where the node does not tell
 * @param queryFeatures the tensor [B, H, N, R]; of a fused node, the one that {@link FusedFeatures} adds
 * @param keyFeatures the tensor [B, H, M, R], likewise
 * @param ranks rank of each factor
 * @param powers power of each factor
 * @param epsilon added to the denominator
 * @param operator whether an operator stands for it; false where plain nodes do
 */
public record ConvertedSite(
    String name, String form, String maps, String output, String sourceOutput, String queryFeatures, String keyFeatures,
    List<Integer> ranks, List<Integer> powers, double epsilon, boolean operator) {
  private static final String RANKS = "hla.ranks";

  /** The converted attentions at the top level of a model's graph, in its order. */
  public static List<ConvertedSite> of(ModelProto model) {
    return model.getGraph().getNodeList().stream()
        .filter(ConvertedSite::isConverted)
        .map(node -> isOperator(node) ? of(node) : ofPlainNodes(node)).toList();
  }

  /** How many there are besides, in bodies of If, Loop and Scan and in functions: no output can show their tensors. */
  static long inner(ModelProto model) {
    long functions = model.getFunctionsList().stream().filter(f -> !f.getDomain().equals(HadamardFunction.DOMAIN))
        .mapToLong(f -> f.getNodeList().stream().filter(ConvertedSite::isConverted).count() + inBodies(f.getNodeList())).sum();
    return functions + inBodies(model.getGraph().getNodeList());
  }

  private static long inBodies(List<NodeProto> nodes) {
    return nodes.stream().flatMap(node -> node.getAttributeList().stream())
        .flatMap(a -> Stream.concat(a.getGraphsList().stream(), a.hasG() ? Stream.of(a.getG()) : Stream.of()))
        .mapToLong(body -> body.getNodeList().stream().filter(ConvertedSite::isConverted).count() + inBodies(body.getNodeList())).sum();
  }

  private static boolean isConverted(NodeProto node) {
    return isOperator(node) || !metadata(node, RANKS).isEmpty();
  }

  /** A streaming node is none: what it stands for is not in the graph alone, but in the calls before. */
  private static boolean isOperator(NodeProto node) {
    return node.getDomain().equals(HadamardFunction.DOMAIN) && (node.getOpType().equals(HadamardFunction.CORE) || node.getOpType().equals(HadamardFunction.FUSED));
  }

  /** The last node of a site in a portable model: its metadata hold what an operator has as attributes and inputs. */
  private static ConvertedSite ofPlainNodes(NodeProto node) {
    RankSpec spec = RankSpec.parse(metadata(node, RANKS));
    return new ConvertedSite(
        metadata(node, "hla.site"), metadata(node, "hla.form"), metadata(node, "hla.maps"), node.getOutput(0), metadata(node, "hla.source_output"),
        metadata(node, "hla.query_features"), metadata(node, "hla.key_features"),
        Arrays.stream(spec.ranks()).boxed().toList(), Arrays.stream(spec.powers()).boxed().toList(), Double.parseDouble(metadata(node, "hla.epsilon")), false);
  }

  private static ConvertedSite of(NodeProto node) {
    boolean core = node.getOpType().equals(HadamardFunction.CORE);
    List<Integer> ranks = integers(node, "ranks");
    List<Integer> powers = integers(node, "powers");
    String site = metadata(node, "hla.site");
    return new ConvertedSite(
        site.isEmpty() ? node.getName() : site, metadata(node, "hla.form"), metadata(node, "hla.maps"),
        node.getOutput(0), metadata(node, "hla.source_output"),
        core ? node.getInput(0) : FusedFeatures.name(node, "query"), core ? node.getInput(1) : FusedFeatures.name(node, "key"),
        ranks, powers.isEmpty() ? ranks.stream().map(rank -> 1).toList() : powers,
        node.getAttributeList().stream().filter(a -> a.getName().equals("epsilon")).mapToDouble(AttributeProto::getF).findFirst().orElse(0), true);
  }

  private static List<Integer> integers(NodeProto node, String attribute) {
    return node.getAttributeList().stream().filter(a -> a.getName().equals(attribute))
        .flatMap(a -> a.getIntsList().stream()).map(Long::intValue).toList();
  }

  private static String metadata(NodeProto node, String key) {
    return node.getMetadataPropsList().stream().filter(p -> p.getKey().equals(key))
        .map(StringStringEntryProto::getValue).findFirst().orElse("");
  }
}
