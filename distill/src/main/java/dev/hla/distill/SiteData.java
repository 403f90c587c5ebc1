package dev.hla.distill;

/** The samples of one attention site. */
interface SiteData {
  /** The site's name, as inspect prints it. */
  String name();

  int heads();

  int headDim();

  /** The factor on query times key before the softmax. */
  double scale();

  /** How many samples there are. */
  int size();

  /** Sample number {@code index}; every call may read it anew. */
  SiteSample sample(int index);

  /** The samples from one number on, up to another. */
  default SiteData range(int from, int to) {
    SiteData all = this;
    return new SiteData() {
      @Override
      public String name() {
        return all.name();
      }

      @Override
      public int heads() {
        return all.heads();
      }

      @Override
      public int headDim() {
        return all.headDim();
      }

      @Override
      public double scale() {
        return all.scale();
      }

      @Override
      public int size() {
        return to - from;
      }

      @Override
      public SiteSample sample(int index) {
        return all.sample(from + index);
      }
    };
  }
}
