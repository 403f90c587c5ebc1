package dev.hla.conversion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.cli.Ran;
import dev.hla.converter.OnnxModel;
import dev.hla.converter.SiteMaps;
import dev.hla.converter.attention.AttentionFinder;
import dev.hla.converter.attention.AttentionSite;
import dev.hla.distill.Capture;
import dev.hla.distill.FitEngine;
import dev.hla.distill.FitSettings;
import dev.hla.distill.FolderCalibration;
import dev.hla.distill.MapDesign;
import dev.hla.distill.ModelError;
import dev.hla.distill.SiteFits;
import dev.hla.distill.SiteResult;
import dev.hla.distill.plan.Budget;
import dev.hla.distill.plan.PlanFile;
import dev.hla.distill.plan.PlanTable;
import dev.hla.runtime.ModelSession;
import dev.hla.runtime.Slot;
import dev.hla.runtime.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The way from a text encoder to a converted one, with the sites and maps that {@code plan} chose: fitted to speeches,
 * judged on a novel. It takes minutes of fitting, so it runs with -Pquality only; -Dhla.quality.folder=FOLDER keeps what
 * was fitted, for the next time or after an interruption.
 */
@Tag("quality")
class SentencePlanTest {
  private static final List<String> CHOICES = List.of("8^2,3^2,1", "16,16,1:softmax+64");
  private static final int SAMPLES = 134;
  private static final int HELD_OUT = 16;
  /** As plan has it. */
  private static final int STEPS = 400;
  /** Random sets that are really converted, for each budget. */
  private static final int SETS = 5;
  private static final ModelSession.Settings SETTINGS = new ModelSession.Settings(false, 0);

  @TempDir static Path temporary;

  private static Path folder;
  private static Path model;
  private static SentenceCosine cosine;

  @BeforeAll
  static void writeTexts() throws IOException {
    folder = Files.createDirectories(Path.of(System.getProperty("hla.quality.folder", temporary.toString())).toAbsolutePath());
    model = TextInputs.model(folder);
    TextInputs.write(TextInputs.of("speeches.txt", 5), folder.resolve("speeches"));
    cosine = new SentenceCosine(model, TextInputs.of("novel.txt", 5));
  }

  @Test
  void halfTheSitesKeepSentencesWhereTheyAre() {
    assertTrue(cosineOfPlan("half", "50%") >= 0.985);
  }

  @Test
  void allSitesKeepSentencesNear() {
    assertTrue(cosineOfPlan("all", "100%") >= 0.92);
  }

  private static double cosineOfPlan(String name, String convert) {
    Path converted = folder.resolve(name + ".onnx");
    plan(name, convert);
    hla("convert", model.toString(), "--plan", folder.resolve(name + ".json").toString(), "-o", converted.toString(), "--force");
    double mean = cosine.of(converted);
    System.out.printf(Locale.ROOT, "%s of the sites converted: sentence cosine %.4f on text of another kind%n", convert, mean);
    return mean;
  }

  private static void plan(String name, String convert) {
    List<String> arguments = new ArrayList<>(List.of("plan", model.toString(), "--inputs", folder.resolve("speeches").toString(), "--convert", convert,
        "--samples", "" + SAMPLES, "--held-out", "" + HELD_OUT, "--refine", "0", "--seconds", "0.2", "--work", folder.resolve("work").toString(),
        "-o", folder.resolve(name + ".json").toString(), "--force"));
    CHOICES.forEach(choice -> arguments.addAll(List.of("--choice", choice)));
    hla(arguments.toArray(String[]::new));
  }

  private static void hla(String... arguments) {
    Ran ran = Ran.hla(arguments);
    assertEquals(0, ran.code(), ran.err());
    System.out.print(ran.out());
  }

  @Test
  void whatThePlanPredictsIsWhatConvertedModelsShow() throws IOException {
    plan("any", "0");
    PlanFile file = PlanFile.read(folder.resolve("any.json"));
    PlanTable table = new PlanTable(file.model(), file.sites(), file.modelMillis());
    OnnxModel source = OnnxModel.load(model);
    List<AttentionSite> sites = AttentionFinder.find(source).sites();
    FolderCalibration inputs = new FolderCalibration(folder.resolve("speeches"), slots());
    List<Map<String, Tensor>> heldOut = IntStream.range(SAMPLES, SAMPLES + HELD_OUT).mapToObj(inputs::inputs).toList();
    try (Capture capture = Capture.open(source, sites, inputs, folder.resolve("work")); ModelError error = new ModelError(source, sites, SETTINGS)) {
      List<SiteResult> fits = fits(capture, sites.size());
      Random random = new Random(0);
      for (int share : new int[] {25, 50, 75, 100}) {
        int count = (int) Math.round(sites.size() * share / 100.0);
        PlanTable.Chosen chosen = table.choose(new Budget(count, null, null));
        double best = measured(error, fits, chosen, heldOut);
        print(share, "chosen", chosen, best);
        for (int i = 0; i < SETS; i++) {
          PlanTable.Chosen other = table.predicted(randomSet(random, sites.size(), count));
          double shown = measured(error, fits, other, heldOut);
          print(share, "random", other, shown);
          assertEquals(1, other.error() / shown, 0.3, "predicted " + other.error() + ", measured " + shown);
          assertTrue(best <= shown * 1.02, "the chosen set has an error of " + best + ", a random one " + shown);
        }
      }
    }
  }

  private static void print(int share, String what, PlanTable.Chosen set, double measured) {
    System.out.printf(Locale.ROOT, "%3d %% %s %s: error of the output predicted %.4f, measured %.4f%n", share, what, Arrays.toString(set.choices()),
        set.error(), measured);
  }

  /** Those that plan made; its folder has them. */
  private static List<SiteResult> fits(Capture capture, int sites) {
    List<SiteFits.Job> jobs = new ArrayList<>();
    for (int s = 0; s < sites; s++) {
      for (String choice : CHOICES) {
        jobs.add(new SiteFits.Job(s, FitSettings.of(MapDesign.parse(choice), STEPS, 0)));
      }
    }
    try (FitEngine engine = FitEngine.threads(2)) {
      return new SiteFits(capture, SAMPLES, SAMPLES + HELD_OUT, folder.resolve("work")).fit(jobs, engine, () -> {});
    }
  }

  private static double measured(ModelError error, List<SiteResult> fits, PlanTable.Chosen set, List<Map<String, Tensor>> heldOut) {
    Map<String, SiteMaps> maps = new LinkedHashMap<>();
    for (int s = 0; s < set.choices().length; s++) {
      if (set.choices()[s] >= 0) {
        SiteResult fit = fits.get(s * CHOICES.size() + set.choices()[s]);
        maps.put(fit.site(), fit.maps());
      }
    }
    try (ModelSession converted = error.converted(maps)) {
      return error.of(converted, heldOut);
    }
  }

  private static int[] randomSet(Random random, int sites, int count) {
    List<Integer> order = new ArrayList<>(IntStream.range(0, sites).boxed().toList());
    java.util.Collections.shuffle(order, random);
    int[] set = new int[sites];
    Arrays.fill(set, -1);
    order.subList(0, count).forEach(s -> set[s] = random.nextInt(CHOICES.size()));
    return set;
  }

  private static List<Slot> slots() {
    try (ModelSession session = ModelSession.open(model, SETTINGS)) {
      return session.inputs();
    }
  }
}
