package dev.hla.distill.plan;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.rewrite.Choice;
import dev.hla.converter.rewrite.Plan;
import dev.hla.converter.rewrite.Rewriter;
import dev.hla.onnx.ValueInfoProto;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Times the attention of a site by running it, softmax and every choice of maps in turns, at the shapes of some inputs. */
final class SiteTimer {
  private static final int LEAST_ROUNDS = 7;
  private static final int MOST_ROUNDS = 100;

  private final OnnxModel model;
  private final ModelSession.Settings settings;
  private final Map<String, Tensor> inputs;
  private final double seconds;

  /** @param seconds for the rounds of one site */
  SiteTimer(OnnxModel model, Map<String, Tensor> inputs, ModelSession.Settings settings, double seconds) {
    this.model = model;
    this.inputs = inputs;
    this.settings = settings;
    this.seconds = seconds;
  }

  /** Milliseconds, median: first of softmax, then with each of the maps. */
  double[] site(AttentionSite site, List<SiteMaps> choices) {
    SiteCut cut = new SiteCut(model, site);
    List<OnnxModel> models = new ArrayList<>(List.of(model));
    choices.forEach(maps -> models.add(converted(Map.of(site, maps))));
    Set<String> reads = new LinkedHashSet<>();
    models.forEach(each -> reads.addAll(cut.reads(each)));
    Map<String, Tensor> values = values(reads);
    List<ModelSession> sessions = new ArrayList<>();
    List<Map<String, Tensor>> feeds = new ArrayList<>();
    try {
      for (OnnxModel each : models) {
        sessions.add(ModelSession.open(cut.model(each, values), model.folder(), model.path() + " (" + site.name() + ")", settings));
        Map<String, Tensor> feed = new HashMap<>();
        cut.reads(each).forEach(read -> feed.put(read, values.get(read)));
        feeds.add(feed);
      }
      return inTurns(sessions, feeds);
    } finally {
      sessions.forEach(ModelSession::close);
    }
  }

  /** Milliseconds of the whole model: the original, and with some sites converted. */
  double[] whole(Map<AttentionSite, SiteMaps> maps) {
    try (ModelSession original = ModelSession.open(model.path(), settings);
        ModelSession other = ModelSession.open(converted(maps).proto().toByteArray(), model.folder(), model.path() + " (converted)", settings)) {
      return inTurns(List.of(original, other), List.of(inputs, inputs));
    }
  }

  private OnnxModel converted(Map<AttentionSite, SiteMaps> maps) {
    List<Choice> choices = maps.entrySet().stream().map(e -> new Choice(e.getKey(), e.getValue(), true)).toList();
    return Rewriter.rewrite(model, new Plan(choices, List.of())).model();
  }

  private Map<String, Tensor> values(Set<String> reads) {
    Map<String, Tensor> values = new HashMap<>(inputs);
    values.keySet().retainAll(reads);
    List<String> wanted = reads.stream().filter(v -> !values.containsKey(v)).toList();
    var graph = model.proto().getGraph().toBuilder().clearOutput();
    wanted.forEach(v -> graph.addOutput(ValueInfoProto.newBuilder().setName(v)));
    if (!wanted.isEmpty()) {
      byte[] observed = model.proto().toBuilder().setGraph(graph).build().toByteArray();
      try (ModelSession session = ModelSession.open(observed, model.folder(), model.path() + " (observed)", settings)) {
        values.putAll(session.run(inputs, wanted));
      }
    }
    return values;
  }

  private double[] inTurns(List<ModelSession> sessions, List<Map<String, Tensor>> feeds) {
    List<ModelSession.Prepared> prepared = new ArrayList<>();
    try {
      for (int i = 0; i < sessions.size(); i++) {
        prepared.add(sessions.get(i).prepare(feeds.get(i)));
        // The first run takes memory, and is not counted.
        prepared.get(i).millis();
      }
      double[][] millis = new double[sessions.size()][MOST_ROUNDS];
      long begun = System.nanoTime();
      int round = 0;
      for (; round < LEAST_ROUNDS || round < MOST_ROUNDS && (System.nanoTime() - begun) / 1e9 < seconds; round++) {
        for (int i = 0; i < sessions.size(); i++) {
          millis[i][round] = prepared.get(i).millis();
        }
      }
      int rounds = round;
      return Arrays.stream(millis).mapToDouble(m -> Arrays.stream(m, 0, rounds).sorted().toArray()[rounds / 2]).toArray();
    } finally {
      prepared.forEach(ModelSession.Prepared::close);
    }
  }
}
