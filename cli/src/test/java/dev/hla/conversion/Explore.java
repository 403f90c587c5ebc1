package dev.hla.conversion;

import dev.hla.converter.attention.*;
import dev.hla.runtime.Tensor;
import dev.hla.testdata.*;
import dev.hla.testdata.graph.*;
import java.util.*;
import org.junit.jupiter.api.Test;

class Explore {
  @Test
  void all() {
    List<AttentionSpec> specs = new ArrayList<>();
    for (AttentionForm f : AttentionForm.values()) {
      if (System.getProperty("only") != null && !f.name().matches(System.getProperty("only"))) continue;
      AttentionSpec s = AttentionSpec.of(f);
      for (AttentionMask m : AttentionMask.values()) { specs.add(s.with(m)); specs.add(s.with(m).open()); specs.add(s.with(m).crossing()); specs.add(s.with(m).crossing().open());}
      for (Precision p : Precision.values()) { specs.add(s.with(p)); specs.add(s.with(p).open()); }
      for (Projection p : Projection.values()) { specs.add(s.with(p)); specs.add(s.with(p).open()); }
      for (Placement p : Placement.values()) { specs.add(s.with(p)); specs.add(s.with(p).open()); }
      for (int o : new int[] {9, 10, 11, 12, 13, 14, 17, 18, 20, 21, 23, 24, 25, 26}) specs.add(s.atOpset(o));
    }
    Map<String, Integer> seen = new TreeMap<>();
    for (AttentionSpec s : new LinkedHashSet<>(specs)) {
      if (!s.isLegal()) continue;
      String r;
      try { r = check(s); } catch (Throwable e) { r = "EXC " + e; }
      if (!r.isEmpty()) System.out.println(s + " :: " + r.substring(0, Math.min(420, r.length())));
      seen.merge(r.isEmpty() ? "ok" : "bad", 1, Integer::sum);
    }
    System.out.println(seen);
  }
  static String check(AttentionSpec s) {
    StringBuilder out = new StringBuilder();
    AttentionModel m = AttentionModel.of(s);
    AttentionModel.Inputs in = m.inputs(AttentionSpec.FIRST, 1);
    Map<String, Tensor> feeds = Conversion.tensors(in.feeds());
    Map<String, Tensor> flagged = new LinkedHashMap<>(feeds);
    if (s.placement() == Placement.IF_BODY) { Tensor t = Tensor.zeros(dev.hla.runtime.ElementType.BOOL); t.set(0, 1); flagged.put("flag", t); }
    try { Conversion.run(m.model(), flagged, false, List.of("y")); if (!s.runsOnCpu()) out.append("RUNS "); } catch (Exception e) { if (s.runsOnCpu()) out.append("ORIG ").append(e.getMessage()).append(" | "); }
    SiteReport r = Conversion.find(m.model());
    if (r.sites().size() != 1) return out + "SITES " + r;
    AttentionSite site = r.sites().get(0);
    out.append(site.form().equals(s.form().reported()) ? "" : "form " + site.form());
    out.append(site.kind() == (s.cross() ? Kind.CROSS : Kind.SELF) ? "" : " kind " + site.kind());
    out.append(site.heads() == 4 && site.headDim() == 8 ? "" : " heads " + site.heads() + " " + site.headDim());
    out.append(site.mask().name().equals(s.maskEffect().name()) ? "" : " mask " + site.mask());
    out.append(Math.abs(site.scale() - s.scale()) < 3e-3 ? "" : " scale " + site.scale());
    out.append(site.dtype() == s.type().dataType() ? "" : " dtype " + site.dtype());
    out.append(" " + site.queryTokens()+ "x" + site.keyTokens());
    if (!s.dynamic() && out.toString().trim().equals(s.cross() ? "12x7" : "12x12") || s.dynamic() && out.toString().trim().equals(s.cross() ? "tokensxcontext_tokens" : "tokensxtokens")) out.setLength(0);
    if (s.maskEffect() == AttentionMask.Effect.FULL) return out + (site.convertible() ? " convertible!" : "");
    if (!site.convertible()) return out + " REASON " + site.reason();
    Conversion c = Conversion.of(m.model());
    Tensor a, b;
    try {
    a = Conversion.run(c.converted(), flagged, true, List.of("y")).get("y");
    b = Conversion.run(c.converted(), flagged, false, List.of("y")).get("y");
    } catch (Exception e) { return out + "CONV " + e.getMessage(); }
    double err = HadamardReference.relativeError(SiteReference.doubles(a.floats()), SiteReference.doubles(b.floats()));
    if (err > s.type().tolerance()) out.append(" lib/nolib " + err);
    if (s.placement() == Placement.MAIN) {
    Map<String, Tensor> ops = Conversion.run(m.operands(), feeds, false, List.of("query", "key", "value"));
    double[] q = SiteReference.doubles(ops.get("query").floats()), k = SiteReference.doubles(ops.get("key").floats()), v = SiteReference.doubles(ops.get("value").floats());
    double[] ref = SiteReference.attend(c.plan().choices().get(0).maps(), 2, 4, s.keyHeads(), 12, m.keys(AttentionSpec.FIRST), 8, q, k, v, in.keyWeights());
    ref = HadamardReference.swapTokensAndHeads(2, 4, 12, 8, ref);
    var withMerged = c.converted().toBuilder();
    withMerged.getGraphBuilder().addOutput(dev.hla.onnx.ValueInfoProto.newBuilder().setName(m.merged()));
    for (boolean lib : new boolean[] {true, false}) {
      Tensor got = Conversion.run(withMerged.build(), feeds, lib, List.of(m.merged())).get(m.merged());
      double e2 = HadamardReference.relativeError(ref, SiteReference.doubles(got.floats()));
      if (e2 > s.type().tolerance()) out.append(" def(lib " + lib + ") " + e2);
    }
    }
    return out.toString();
  }
}
