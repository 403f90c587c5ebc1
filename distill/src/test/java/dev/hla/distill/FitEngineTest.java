package dev.hla.distill;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hla.converter.HlaException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FitEngineTest {
  private static final int SITES = 3;
  private static final int SAMPLES = 6;

  @TempDir Path folder;

  @BeforeEach
  void capture() {
    List<MadeUpSite> made = IntStream.range(0, SITES).mapToObj(k -> new MadeUpSite("site." + k, 2, 8, 24, SAMPLES, 1, k)).toList();
    List<CapturedSite> sites = made.stream().map(s -> new CapturedSite(s.name(), s.heads(), s.headDim(), s.scale())).toList();
    try (CaptureFolder capture = CaptureFolder.open(folder, "made up", sites)) {
      IntStream.range(0, SAMPLES).forEach(i -> capture.append(made.stream().map(s -> s.sample(i)).toList()));
    }
  }

  private FitTask task(int site, String maps, int steps) {
    FitSettings settings = new FitSettings(MapDesign.parse(maps), steps, 2e-2, 2, 8, 7);
    return new FitTask(folder.toString(), site, "site." + site, 4, SAMPLES, folder.resolve("fit-" + site + ".npz").toString(), settings);
  }

  private List<FitTask> tasks() {
    return IntStream.range(0, SITES).mapToObj(k -> task(k, "4^2,1", 30)).toList();
  }

  private static List<FitOutcome> fit(List<FitTask> tasks) {
    try (FitEngine engine = FitEngine.threads(2)) {
      AtomicInteger ended = new AtomicInteger();
      List<FitOutcome> outcomes = engine.fit(tasks, ended::incrementAndGet);
      assertEquals(tasks.size(), ended.get());
      return outcomes;
    }
  }

  @Test
  void aSiteThatFailsIsNamedAndStopsNoOther() throws IOException {
    Files.writeString(folder.resolve("fit-1.npz"), "no checkpoint");
    List<FitOutcome> outcomes = fit(tasks());
    assertNotNull(outcomes.get(0).result());
    assertNotNull(outcomes.get(2).result());
    assertTrue(outcomes.get(1).failure().startsWith("site.1: " + folder.resolve("fit-1.npz") + ": not a .npz archive"), outcomes.get(1).failure());
    HlaException e = assertThrows(HlaException.class, () -> SiteFits.results(tasks(), outcomes));
    assertEquals(outcomes.get(1).failure() + "; the other fits are kept for a start with the same options", e.getMessage());
  }

  @Test
  void allSitesThatFailAreNamed() {
    List<FitOutcome> outcomes = tasks().stream().map(task -> FitOutcome.failed(task, "too tired")).toList();
    HlaException e = assertThrows(HlaException.class, () -> SiteFits.results(tasks(), outcomes));
    assertEquals("site.0: too tired; these sites failed as well: site.1, site.2", e.getMessage());
  }

  @Test
  void aFinishedFitIsNotFittedAgain() throws IOException {
    List<FitOutcome> first = fit(tasks());
    FileTime longAgo = FileTime.fromMillis(1_000_000);
    for (int k = 0; k < SITES; k++) {
      Files.setLastModifiedTime(folder.resolve("fit-" + k + ".npz"), longAgo);
    }
    List<FitOutcome> second = fit(tasks());
    for (int k = 0; k < SITES; k++) {
      assertEquals(longAgo, Files.getLastModifiedTime(folder.resolve("fit-" + k + ".npz")), "it was fitted again");
      assertArrayEquals(first.get(k).result().maps().key().weight(), second.get(k).result().maps().key().weight());
    }
  }

  @Test
  void aSiteOfWhichDataAreMissingSaysSo() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(folder.resolve("site-1.f32").toFile(), "rw")) {
      file.setLength(file.length() - 4);
    }
    assertEquals("site.1: " + folder.resolve("site-1.f32") + ": has 36860 bytes, 36864 expected; start the command again, which captures what is missing",
        task(1, "4^2,1", 30).run().failure());
  }

  @Test
  void aFolderThatIsNotThereSaysSo() {
    FitTask task = task(0, "4^2,1", 30);
    FitTask elsewhere = new FitTask(folder + "/elsewhere", 0, task.name(), 4, SAMPLES, null, task.settings());
    assertEquals("site.0: " + folder.resolve("elsewhere/capture.json") + ": not there; every process that fits must see the folder of the capture",
        elsewhere.run().failure());
  }

  @Test
  void tasksAndOutcomesPassBetweenProcesses() throws Exception {
    FitTask task = task(0, "6,1:softmax+4", 10);
    assertEquals(task, copy(task));
    SiteResult result = copy(task.run()).result();
    SiteResult local = task.run().result();
    assertEquals(local.maps().spec(), result.maps().spec());
    assertArrayEquals(local.maps().query().weight(), result.maps().query().weight());
    assertArrayEquals(local.maps().query().hidden().orElseThrow().weight(), result.maps().query().hidden().orElseThrow().weight());
    assertArrayEquals(local.error().heads(), result.error().heads());
  }

  @SuppressWarnings("unchecked")
  private static <T> T copy(T object) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(object);
    }
    try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      return (T) in.readObject();
    }
  }

  @Test
  void anEngineThatIsNotThereSaysHowToGetIt() {
    HlaException e = assertThrows(HlaException.class, () -> FitEngine.of("hadoop", "nowhere"));
    assertEquals("this build has no module hadoop to fit with; build it with: mvn -B -Phadoop -DskipTests package", e.getMessage());
  }
}
