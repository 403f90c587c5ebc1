// Working memory, kept between runs: a run's buffers are needed again by the next node and the next step, and taking
// them from the system each time cost 2-3 % in page faults.
#pragma once

#include <cstdint>
#include <utility>

namespace hla {

class Scratch {
 public:
  // At least `floats` floats, aligned to kAlignment, contents undefined. Throws std::bad_alloc.
  explicit Scratch(int64_t floats);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  float* data() const { return data_; }

 private:
  float* data_;
  int64_t floats_;
};

}  // namespace hla
