package dev.hla.runtime;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.hla.converter.HlaException;
import dev.hla.onnx.ModelProto;
import dev.hla.onnx.NodeProto;
import dev.hla.onnx.ValueInfoProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Two models run on the same inputs and compared: every output, and every attention that the second one has converted.
 *
 * @param outputs the graph's outputs
 * @param sites the converted attentions of the second model
 * @param innerSites how many it has besides, in bodies of If, Loop and Scan and in functions, which outputs alone compare
 * @param approximates whether the second model has converted attentions that the first has not
 * @param dimensions the sizes that open axes got
 * @param library what registered the operator library for the second model, or null
 */
public record Verification(
    List<Output> outputs, List<Site> sites, long innerSites, boolean approximates, Map<String, Integer> dimensions, HlaOperators.Registration library) {

  /** One output of the graph; the two models may differ in its type. */
  public record Output(String name, ElementType typeA, ElementType typeB, Difference difference) {}

  /**
   * One converted attention. Its difference includes what earlier converted attentions changed in its inputs.
   *
   * @param difference from the original's attention output, or null where the two cannot be compared; {@code note} tells why
   */
  public record Site(ConvertedSite site, Difference difference, Denominators denominators, String note) {}

  /**
   * One side of the comparison.
   *
   * @param file the model
   * @param settings how to open it
   */
  public record Side(Path file, ModelSession.Settings settings) {}

  /**
   * Runs both models with the operator library on all cores.
   *
   * @param a the original
   * @param b the converted model
   * @param inputs values by name; an input that is left out is made up as {@link RandomInputs} does
   * @throws HlaException if a model cannot be opened or run, or an input does not fit
   * @throws IOException if a model cannot be read
   */
  public static Verification of(Path a, Path b, Map<String, Tensor> inputs) throws IOException {
    return of(new Side(a, ModelSession.Settings.DEFAULT), new Side(b, ModelSession.Settings.DEFAULT), inputs, new RandomInputs(Map.of(), 0));
  }

  /**
   * Runs both sides.
   *
   * @param given values for some or all inputs
   * @param random makes up the others
   * @throws HlaException if a model cannot be opened or run, or an input does not fit
   * @throws IOException if a model cannot be read
   */
  public static Verification of(Side a, Side b, Map<String, Tensor> given, RandomInputs random) throws IOException {
    ModelProto modelA = read(a.file());
    ModelProto modelB = FusedFeatures.expose(read(b.file()));
    List<ConvertedSite> sites = ConvertedSite.of(modelB);
    Set<String> tensorsA = topLevelTensors(modelA);

    Set<String> extraA = new LinkedHashSet<>();
    Set<String> extraB = new LinkedHashSet<>();
    for (ConvertedSite site : sites) {
      extraB.addAll(List.of(site.output(), site.queryFeatures(), site.keyFeatures()));
      if (tensorsA.contains(counterpart(site, modelA))) {
        extraA.add(counterpart(site, modelA));
      }
    }

    Map<String, Tensor> inputs;
    Map<String, Tensor> resultsA;
    List<String> outputs;
    try (ModelSession session = open(modelA, extraA, a)) {
      inputs = random.complete(session.inputs(), given);
      resultsA = session.run(inputs);
      outputs = session.outputs().stream().map(Slot::name).filter(name -> isOutput(modelA, name)).toList();
    }
    try (ModelSession session = open(modelB, extraB, b)) {
      Map<String, Tensor> resultsB = session.run(inputs);
      List<Output> comparedOutputs = new ArrayList<>();
      for (String output : outputs) {
        if (!resultsB.containsKey(output)) {
          throw new HlaException(b.file() + ": has no output " + output + ", which " + a.file() + " has");
        }
        Tensor value = resultsA.get(output);
        comparedOutputs.add(new Output(output, value.type(), resultsB.get(output).type(),
            Difference.between(value, resultsB.get(output), "the output " + output)));
      }
      List<Site> comparedSites = sites.stream()
          .map(site -> compare(site, resultsA.get(counterpart(site, modelA)), resultsB)).toList();
      List<String> namesA = ConvertedSite.of(modelA).stream().map(ConvertedSite::name).toList();
      long inner = ConvertedSite.inner(modelB);
      boolean approximates = sites.stream().anyMatch(site -> !namesA.contains(site.name())) || inner > ConvertedSite.inner(modelA);
      return new Verification(comparedOutputs, comparedSites, inner, approximates, random.dimensions(), session.library());
    }
  }

  /** The tensor of model A to hold beside a site of model B: of the original, or the same site of another conversion. */
  private static String counterpart(ConvertedSite site, ModelProto modelA) {
    for (ConvertedSite other : ConvertedSite.of(modelA)) {
      if (other.name().equals(site.name())) {
        return other.output();
      }
    }
    return site.sourceOutput();
  }

  private static Site compare(ConvertedSite site, Tensor expected, Map<String, Tensor> results) {
    Denominators denominators = Denominators.of(
        results.get(site.queryFeatures()), results.get(site.keyFeatures()),
        site.ranks().stream().mapToInt(Integer::intValue).toArray(),
        site.powers().stream().mapToInt(Integer::intValue).toArray(), site.epsilon());
    Tensor actual = results.get(site.output());
    if (expected == null) {
      return new Site(site, null, denominators, "the first model has no tensor to compare it with");
    }
    if (!Arrays.equals(expected.shape(), actual.shape())) {
      return new Site(site, null, denominators, "laid out differently: " + expected + " and " + actual);
    }
    return new Site(site, Difference.between(expected, actual, site.name()), denominators, "");
  }

  private static ModelSession open(ModelProto model, Set<String> extraOutputs, Side side) {
    ModelProto.Builder copy = model.toBuilder();
    for (String name : extraOutputs) {
      if (!isOutput(model, name)) {
        copy.getGraphBuilder().addOutput(ValueInfoProto.newBuilder().setName(name));
      }
    }
    Path folder = side.file().toAbsolutePath().getParent();
    return ModelSession.open(copy.build().toByteArray(), folder, side.file().toString(), side.settings());
  }

  private static ModelProto read(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new HlaException(file + ": no such file");
    }
    try {
      ModelProto model = ModelProto.parseFrom(Files.readAllBytes(file));
      if (!model.hasGraph() || model.getGraph().getNodeCount() == 0) {
        throw new HlaException(file + ": not an ONNX model, it holds no graph");
      }
      return model;
    } catch (InvalidProtocolBufferException e) {
      throw new HlaException(file + ": not an ONNX model, or cut short", e);
    } catch (OutOfMemoryError e) {
      throw new HlaException(file + ": too large to be read into memory; keep its weights in an external file", e);
    }
  }

  private static Set<String> topLevelTensors(ModelProto model) {
    Set<String> names = new HashSet<>();
    for (NodeProto node : model.getGraph().getNodeList()) {
      names.addAll(node.getOutputList());
    }
    names.remove("");
    return names;
  }

  private static boolean isOutput(ModelProto model, String name) {
    return model.getGraph().getOutputList().stream().anyMatch(output -> output.getName().equals(name));
  }
}
