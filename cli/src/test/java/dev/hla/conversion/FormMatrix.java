package dev.hla.conversion;

import dev.hla.testdata.Precision;
import dev.hla.testdata.graph.AttentionForm;
import dev.hla.testdata.graph.AttentionMask;
import dev.hla.testdata.graph.AttentionSpec;
import dev.hla.testdata.graph.Placement;
import dev.hla.testdata.graph.Projection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The cells of the matrix that are tested. Each form meets each mask, type, opset, projection and placement; what is
 * not the subject of a cell (open or static sizes, self or cross) takes turns, so that every pair occurs.
 */
final class FormMatrix {
  static final List<Integer> OPSETS = List.of(9, 10, 11, 12, 13, 14, 17, 18, 20, 21, 23, 24, 25, 26);

  private FormMatrix() {}

  static List<AttentionSpec> cells() {
    Set<AttentionSpec> cells = new LinkedHashSet<>();
    int turn = 0;
    for (AttentionForm form : AttentionForm.values()) {
      AttentionSpec base = AttentionSpec.of(form);
      for (AttentionMask mask : AttentionMask.values()) {
        // Masks of odd forms in float16, so that each mask meets both types.
        boolean half = (form.ordinal() + mask.ordinal()) % 2 == 1;
        turn = add(cells, half ? base.with(mask).with(Precision.FLOAT16) : base.with(mask), turn);
      }
      for (Precision type : Precision.values()) {
        turn = add(cells, base.with(type), turn);
        turn = add(cells, base.with(type).with(AttentionMask.KEY_BIAS), turn);
      }
      for (Projection projection : Projection.values()) {
        turn = add(cells, base.with(projection), turn);
      }
      for (Placement placement : Placement.values()) {
        turn = add(cells, base.with(placement), turn);
        turn = add(cells, base.with(placement).with(form.isMerged() ? AttentionMask.KEY_EXPANDED : AttentionMask.KEY_ADDITIVE), turn);
      }
      for (int opset : OPSETS) {
        turn = add(cells, base.atOpset(opset), turn);
      }
    }
    return cells.stream().filter(AttentionSpec::isLegal).toList();
  }

  /** Turns: static self, open self, static cross, open cross; where cross is not legal, self. */
  private static int add(Set<AttentionSpec> cells, AttentionSpec cell, int turn) {
    AttentionSpec sized = turn % 2 == 0 ? cell : cell.open();
    AttentionSpec crossed = turn / 2 % 2 == 0 ? sized : sized.crossing();
    cells.add(crossed.isLegal() ? crossed : sized);
    return turn + 1;
  }
}
