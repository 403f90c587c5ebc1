package dev.hla.distill;

import dev.hla.converter.HlaException;
import java.util.List;
import java.util.ServiceLoader;

/** Where fits run. They are independent of each other, and give the same maps wherever they run on the same processors. */
public interface FitEngine extends AutoCloseable {
  /**
   * Does all tasks. One that fails stops no other.
   *
   * @param onFit called as fits end, from one thread at a time
   * @return how each ended, in the order of the tasks
   */
  List<FitOutcome> fit(List<FitTask> tasks, Runnable onFit);

  @Override
  void close();

  /** Threads of this process. */
  static FitEngine threads(int count) {
    return new ThreadEngine(count);
  }

  /**
   * An engine that a module of its own brings.
   *
   * @param name as its {@link Provider} says
   * @param address of the machines to run on, in the engine's own terms
   * @throws HlaException where the module is not there, or the engine does not start
   */
  static FitEngine of(String name, String address) {
    for (Provider provider : ServiceLoader.load(Provider.class)) {
      if (provider.name().equals(name)) {
        return provider.open(address);
      }
    }
    throw new HlaException("this build has no module " + name + " to fit with; build it with: mvn -B -P" + name + " -DskipTests package");
  }

  /** Opens engines of one kind; a module names it in {@code META-INF/services}. */
  interface Provider {
    String name();

    /** @throws HlaException where the engine does not start */
    FitEngine open(String address);
  }
}
