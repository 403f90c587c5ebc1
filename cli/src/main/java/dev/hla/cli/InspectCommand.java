package dev.hla.cli;

import dev.hla.converter.OnnxModel;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.converter.attention.NotAttention;
import dev.hla.converter.attention.Payoff;
import dev.hla.converter.attention.SiteReport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(name = "inspect", description = "Lists every attention site of a model, and every softmax that is none, with the reason.")
final class InspectCommand extends Verb {
  /** What pays is judged by the product of two factors of 16 features. */
  private static final long FEATURES = 32;
  private static final long STATE = 256;

  @Parameters(arity = "1..*", paramLabel = "MODEL", description = "ONNX files")
  List<Path> models;

  @Override
  int execute() {
    List<Object> documents = new ArrayList<>();
    for (Path file : models) {
      OnnxModel model = OnnxModel.load(existing(file));
      SiteReport report = AttentionFinder.find(model);
      documents.add(document(model, report));
      print(model, report);
    }
    json(documents.size() == 1 ? documents.get(0) : documents);
    return Exit.DONE;
  }

  /** The document of one model, as docs/cli describes it. */
  record Document(String model, long opset, long irVersion, String producer, List<Site> sites, List<NotAttention> notAttention) {}

  /** One site; a size that is not static is its symbolic expression, or "?". */
  record Site(String name, String node, String form, String kind, long heads, long headDim, Object queryTokens, Object keyTokens, Object batch,
      String mask, Double scale, String dtype, boolean convertible, boolean pays, String reason) {}

  static Document document(OnnxModel model, SiteReport report) {
    String producer = (model.proto().getProducerName() + " " + model.proto().getProducerVersion()).strip();
    return new Document(model.path().toString(), model.opset(""), model.proto().getIrVersion(), producer,
        report.sites().stream().map(InspectCommand::site).toList(), report.notAttention());
  }

  private static Site site(AttentionSite s) {
    Payoff payoff = Payoff.of(s, FEATURES, STATE);
    return new Site(s.name(), s.node(), s.form(), s.kind().toString(), s.heads(), s.headDim(), SiteText.size(s.queryTokens()),
        SiteText.size(s.keyTokens()), SiteText.size(s.batch()), s.mask().toString(), Double.isNaN(s.scale()) ? null : s.scale(),
        SiteText.dtype(s.dtype()), s.convertible(), s.convertible() && payoff.pays(), s.convertible() ? payoff.pays() ? "" : payoff.text() : s.reason());
  }

  private void print(OnnxModel model, SiteReport report) {
    say("%s: opset %d, %s; %d attention site%s, %d other softmax", model.path(), model.opset(""),
        model.proto().getProducerName().isEmpty() ? "producer unknown" : model.proto().getProducerName(), report.sites().size(),
        report.sites().size() == 1 ? "" : "s", report.notAttention().size());
    for (AttentionSite s : report.sites()) {
      Payoff payoff = Payoff.of(s, FEATURES, STATE);
      say("  %-28s %-6s %d heads of %d, %s x %s tokens, mask %s, %s, %s form", s.name(), s.kind(), s.heads(), s.headDim(),
          SiteText.size(s.queryTokens()), SiteText.size(s.keyTokens()), s.mask(), SiteText.dtype(s.dtype()), s.form());
      say("  %-28s %s", "", s.convertible() ? "converts; " + payoff.text() : "kept: " + s.reason());
    }
    for (NotAttention n : report.notAttention()) {
      say("  %s (%s) is no attention site: %s", n.node(), n.op(), n.reason());
    }
  }
}
