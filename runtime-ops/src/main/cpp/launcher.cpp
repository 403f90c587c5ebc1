#include "launcher.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "scratch.h"

namespace hla {
namespace {

// Partial states beyond one a head, all together.
constexpr int64_t kMaxExtraStateFloats = int64_t{1} << 20;  // 4 MiB
// A shorter chunk spends more on its panels and its partial state than it saves.
constexpr int64_t kMinKeyChunk = 256;
// Floats that one task of the reduction adds up.
constexpr int64_t kReductionSlice = 16 * 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

size_t element_size(Element element) { return element == Element::kFloat32 ? 4 : 2; }

void* at(const View& view, Element element, int64_t batch, int64_t head, int64_t token) {
  const int64_t offset = batch * view.batch_stride + head * view.head_stride + token * view.token_stride;
  return static_cast<char*>(view.data) + static_cast<size_t>(offset) * element_size(element);
}

// Runs `body` for every index; the first exception of any task is thrown here, after all have ended.
template <typename Body>
void for_each(Parallel& parallel, int64_t total, const Body& body) {
  struct Shared {
    const Body& body;
    std::mutex mutex;
    std::exception_ptr failure;
  } shared{body, {}, nullptr};
  const auto task = [](void* data, size_t index) {
    Shared& self = *static_cast<Shared*>(data);
    try {
      self.body(static_cast<int64_t>(index));
    } catch (...) {
      const std::lock_guard<std::mutex> lock(self.mutex);
      if (self.failure == nullptr) self.failure = std::current_exception();
    }
  };
  if (total == 1) {
    task(&shared, 0);
  } else {
    parallel.run(static_cast<size_t>(total), task, &shared);
  }
  if (shared.failure != nullptr) std::rethrow_exception(shared.failure);
}

// The problem in the terms of one head and a range of tokens.
class Call {
 public:
  Call(const Kernel& kernel, const Problem& problem)
      : kernel_(kernel),
        problem_(problem),
        plan_(problem.plan->view()),
        state_floats_(kernel.state_floats(plan_.size, problem.value_width)),
        scratch_floats_(kernel.scratch_floats(plan_, problem.value_width,
                                               std::max(problem.query_map.width, problem.key_map.width))) {}

  int64_t state_floats() const { return state_floats_; }
  int64_t scratch_floats() const { return scratch_floats_; }

  void state(int64_t head, int64_t begin, int64_t end, float* state, float* scratch) const {
    const int64_t b = head / problem_.heads;
    const int64_t h = head % problem_.heads;
    StateJob job{};
    job.plan = plan_;
    job.element = problem_.element;
    job.tokens = end - begin;
    job.value_width = problem_.value_width;
    job.map = map_of(problem_.key_map, h);
    job.features = {at(problem_.key_features, problem_.element, b, h, begin), problem_.key_features.token_stride};
    job.value = {at(problem_.value, problem_.element, b, h, begin), problem_.value.token_stride};
    job.state = state;
    job.scratch = scratch;
    kernel_.state(job);
  }

  // Takes up the keys of earlier calls, and leaves the sum for the next.
  void carry(int64_t head, float* state) const {
    const int64_t offset = head * plan_.size * (problem_.value_width + 1);
    if (problem_.state_in != nullptr) {
      kernel_.add_carried(state, problem_.state_in + offset, plan_.size, problem_.value_width);
    }
    if (problem_.state_out != nullptr) {
      kernel_.copy_carried(state, problem_.state_out + offset, plan_.size, problem_.value_width);
    }
  }

  void output(int64_t head, int64_t begin, int64_t end, const float* state, float* scratch) const {
    const int64_t b = head / problem_.heads;
    const int64_t h = head % problem_.heads;
    OutputJob job{};
    job.plan = plan_;
    job.element = problem_.element;
    job.tokens = end - begin;
    job.value_width = problem_.value_width;
    job.map = map_of(problem_.query_map, h);
    job.features = {at(problem_.query_features, problem_.element, b, h, begin), problem_.query_features.token_stride};
    job.output = {at(problem_.output, problem_.element, b, h, begin), problem_.output.token_stride};
    job.epsilon = problem_.epsilon;
    job.state = state;
    job.scratch = scratch;
    kernel_.output(job);
  }

 private:
  FeatureMap map_of(const Map& map, int64_t head) const {
    if (map.weight == nullptr) return {};
    const size_t size = element_size(problem_.element);
    const auto features = static_cast<size_t>(plan_.features);
    const auto weights = static_cast<size_t>(head) * static_cast<size_t>(map.width) * features;
    return {static_cast<const char*>(map.weight) + weights * size,
            static_cast<const char*>(map.bias) + static_cast<size_t>(head) * features * size, map.width,
            map.activations->data(), static_cast<int64_t>(map.activations->size())};
  }

  const Kernel& kernel_;
  const Problem& problem_;
  PlanView plan_;
  int64_t state_floats_;
  int64_t scratch_floats_;
};

void whole_heads(const Call& call, const Problem& problem, Parallel& parallel) {
  for_each(parallel, problem.batch * problem.heads, [&](int64_t head) {
    const Scratch scratch(call.scratch_floats() + call.state_floats());
    float* const state = scratch.data() + call.scratch_floats();
    call.state(head, 0, problem.keys, state, scratch.data());
    call.carry(head, state);
    call.output(head, 0, problem.queries, state, scratch.data());
  });
}

void chunked_heads(const Call& call, const Kernel& kernel, const Problem& problem, const Split& cut,
                   Parallel& parallel) {
  const int64_t heads = problem.batch * problem.heads;
  const int64_t each = call.state_floats();
  const Scratch states(heads * cut.key_chunks * each);
  const auto state_of = [&](int64_t head, int64_t chunk) { return states.data() + (head * cut.key_chunks + chunk) * each; };

  const int64_t key_step = ceil_div(problem.keys, cut.key_chunks);
  for_each(parallel, heads * cut.key_chunks, [&](int64_t task) {
    const int64_t head = task / cut.key_chunks;
    const int64_t chunk = task % cut.key_chunks;
    const Scratch scratch(call.scratch_floats());
    const int64_t begin = std::min(problem.keys, chunk * key_step);
    call.state(head, begin, std::min(problem.keys, begin + key_step), state_of(head, chunk), scratch.data());
  });

  if (cut.key_chunks > 1) {
    const int64_t slices = ceil_div(each, kReductionSlice);
    for_each(parallel, heads * slices, [&](int64_t task) {
      const int64_t head = task / slices;
      const int64_t begin = task % slices * kReductionSlice;
      const int64_t count = std::min(kReductionSlice, each - begin);
      for (int64_t chunk = 1; chunk < cut.key_chunks; ++chunk) {
        kernel.add(state_of(head, 0) + begin, state_of(head, chunk) + begin, count);
      }
    });
  }

  if (problem.state_in != nullptr || problem.state_out != nullptr) {
    for_each(parallel, heads, [&](int64_t head) { call.carry(head, state_of(head, 0)); });
  }
  if (problem.queries == 0) return;

  const int64_t query_step = ceil_div(ceil_div(problem.queries, cut.query_chunks), kernel.output_step) * kernel.output_step;
  const int64_t query_chunks = ceil_div(problem.queries, query_step);
  for_each(parallel, heads * query_chunks, [&](int64_t task) {
    const int64_t head = task / query_chunks;
    const int64_t begin = task % query_chunks * query_step;
    const Scratch scratch(call.scratch_floats());
    call.output(head, begin, std::min(problem.queries, begin + query_step), state_of(head, 0), scratch.data());
  });
}

void zero_output(const Problem& problem) {
  if (problem.state_out != nullptr) {
    const int64_t numbers = problem.batch * problem.heads * problem.plan->size() * (problem.value_width + 1);
    std::fill_n(problem.state_out, numbers, 0.0f);
  }
  for (int64_t b = 0; b < problem.batch; ++b) {
    for (int64_t h = 0; h < problem.heads; ++h) {
      for (int64_t t = 0; t < problem.queries; ++t) {
        std::memset(at(problem.output, problem.element, b, h, t), 0,
                    static_cast<size_t>(problem.value_width) * element_size(problem.element));
      }
    }
  }
}

}  // namespace

int64_t available_cpus() { return std::max<int64_t>(1, std::thread::hardware_concurrency()); }

Split split(const Problem& problem, const Kernel& kernel, int64_t cpus) {
  const int64_t heads = problem.batch * problem.heads;
  if (heads % cpus == 0 || heads >= 4 * cpus) return {1, 1, true};

  // Two tasks a CPU, and a number of tasks that the CPUs share evenly.
  int64_t key_chunks = ceil_div(2 * cpus, heads);
  while (heads * key_chunks % cpus != 0) ++key_chunks;
  const int64_t state = kernel.state_floats(problem.plan->size(), problem.value_width);
  const int64_t by_memory = 1 + kMaxExtraStateFloats / (heads * state);
  const int64_t by_tokens = std::max<int64_t>(1, problem.keys / kMinKeyChunk);
  key_chunks = std::min({key_chunks, by_memory, by_tokens});

  const int64_t query_chunks = std::max<int64_t>(
      1, std::min(ceil_div(4 * cpus, heads), problem.queries / kernel.output_step));
  return {key_chunks, query_chunks, false};
}

void attend(const Kernel& kernel, const Problem& problem, int64_t cpus, Parallel& parallel) {
  if (problem.batch == 0 || problem.heads == 0 || problem.value_width == 0) return;
  if (problem.queries == 0 && problem.state_out == nullptr) return;
  if (problem.keys == 0 && problem.state_in == nullptr) {
    zero_output(problem);
    return;
  }
  const Call call(kernel, problem);
  const Split cut = split(problem, kernel, cpus);
  if (cut.whole_heads) {
    whole_heads(call, problem, parallel);
  } else {
    chunked_heads(call, kernel, problem, cut, parallel);
  }
}

}  // namespace hla
