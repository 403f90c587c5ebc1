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
// States and maps of heads that take turns. More than a core's L2 holds, as reading a state from L3 once a chunk costs less
// than translating the addresses of one more head's rows.
constexpr int64_t kMaxNearFloats = 512 * 1024;  // 2 MiB
// A shorter chunk spends more on its panels and its partial state than it saves.
constexpr int64_t kMinKeyChunk = 256;
// Floats that one task of the reduction adds up.
constexpr int64_t kReductionSlice = 4 * 1024;

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

// Some heads of one batch, and how far apart their states are.
struct Heads {
  int64_t first;  // counted through all batches
  int64_t count;
  int64_t state_stride;
};

// The problem in the terms of a few heads and a range of tokens.
class Call {
 public:
  Call(const Kernel& kernel, const Problem& problem)
      : kernel_(kernel),
        problem_(problem),
        plan_(problem.plan->view()),
        state_floats_(kernel.state_floats(plan_.size, problem.value_width)) {}

  int64_t state_floats() const { return state_floats_; }
  int64_t scratch_floats(int64_t heads) const {
    return kernel_.scratch_floats(plan_, problem_.value_width, std::max(problem_.query_map.width, problem_.key_map.width),
                                  heads);
  }

  void state(const Heads& heads, int64_t begin, int64_t end, float* state, float* scratch) const {
    const int64_t b = heads.first / problem_.heads;
    const int64_t h = heads.first % problem_.heads;
    StateJob job{};
    job.plan = plan_;
    job.element = problem_.element;
    job.heads = heads.count;
    job.state_stride = heads.state_stride;
    job.tokens = end - begin;
    job.value_width = problem_.value_width;
    job.map = map_of(problem_.key_map, h);
    job.mask = problem_.key_mask;
    if (job.mask.data != nullptr) job.mask.data += b * job.mask.batch_stride + begin * job.mask.token_stride;
    job.features = {at(problem_.key_features, problem_.element, b, h, begin), problem_.key_features.token_stride,
                    problem_.key_features.head_stride};
    job.value = {at(problem_.value, problem_.element, b, h, begin), problem_.value.token_stride,
                 problem_.value.head_stride};
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

  void output(const Heads& heads, int64_t begin, int64_t end, const float* state, float* scratch) const {
    const int64_t b = heads.first / problem_.heads;
    const int64_t h = heads.first % problem_.heads;
    OutputJob job{};
    job.plan = plan_;
    job.element = problem_.element;
    job.heads = heads.count;
    job.state_stride = heads.state_stride;
    job.tokens = end - begin;
    job.value_width = problem_.value_width;
    job.map = map_of(problem_.query_map, h);
    job.features = {at(problem_.query_features, problem_.element, b, h, begin), problem_.query_features.token_stride,
                    problem_.query_features.head_stride};
    job.output = {at(problem_.output, problem_.element, b, h, begin), problem_.output.token_stride,
                  problem_.output.head_stride};
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
};

void whole_heads(const Call& call, const Problem& problem, const Split& cut, Parallel& parallel) {
  const int64_t count = cut.key_heads;
  const int64_t each = call.state_floats();
  for_each(parallel, problem.batch * problem.heads / count, [&](int64_t task) {
    const Heads heads{task * count, count, each};
    const Scratch scratch(call.scratch_floats(count) + count * each);
    float* const states = scratch.data() + call.scratch_floats(count);
    call.state(heads, 0, problem.keys, states, scratch.data());
    for (int64_t i = 0; i < count; ++i) call.carry(heads.first + i, states + i * each);
    call.output(heads, 0, problem.queries, states, scratch.data());
  });
}

void chunked_heads(const Call& call, const Kernel& kernel, const Problem& problem, const Split& cut,
                   Parallel& parallel) {
  const int64_t heads = problem.batch * problem.heads;
  const int64_t each = call.state_floats();
  const Scratch states(heads * cut.key_chunks * each);
  const auto state_of = [&](int64_t head, int64_t chunk) { return states.data() + (head * cut.key_chunks + chunk) * each; };

  const int64_t key_step = ceil_div(problem.keys, cut.key_chunks);
  for_each(parallel, heads / cut.key_heads * cut.key_chunks, [&](int64_t task) {
    const Heads some{task / cut.key_chunks * cut.key_heads, cut.key_heads, cut.key_chunks * each};
    const int64_t chunk = task % cut.key_chunks;
    const Scratch scratch(call.scratch_floats(some.count));
    const int64_t begin = std::min(problem.keys, chunk * key_step);
    call.state(some, begin, std::min(problem.keys, begin + key_step), state_of(some.first, chunk), scratch.data());
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

  // Whole steps, shared out evenly: chunks of one size would leave the last as short as it comes out.
  const int64_t steps = ceil_div(problem.queries, kernel.output_step);
  const auto query_begin = [&](int64_t chunk) { return std::min(problem.queries, steps * chunk / cut.query_chunks * kernel.output_step); };
  for_each(parallel, heads / cut.query_heads * cut.query_chunks, [&](int64_t task) {
    const Heads some{task / cut.query_chunks * cut.query_heads, cut.query_heads, cut.key_chunks * each};
    const int64_t chunk = task % cut.query_chunks;
    const Scratch scratch(call.scratch_floats(some.count));
    call.output(some, query_begin(chunk), query_begin(chunk + 1), state_of(some.first, 0), scratch.data());
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

// True where a token's heads lie side by side and the tokens of a head therefore apart.
bool tokens_first(const View& view) { return view.head_stride < view.token_stride; }

// Heads that one task takes, where each of them is cut into `chunks`: one, unless rows are apart. Then every head touches
// all pages of the tensor, and translating their addresses costs more than reading them; heads that take turns share that.
int64_t heads_together(const Problem& problem, const Kernel& kernel, int64_t cpus, int64_t chunks) {
  if (!tokens_first(problem.key_features) && !tokens_first(problem.value) && !tokens_first(problem.output)) return 1;
  const PlanView plan = problem.plan->view();
  const int64_t map_width = std::max(problem.query_map.width, problem.key_map.width);
  const int64_t each = kernel.state_floats(plan.size, problem.value_width) + map_width * plan.features;
  for (int64_t count = std::min(problem.heads, kMaxNearFloats / each); count > 1; --count) {
    const int64_t tasks = problem.batch * problem.heads / count * chunks;
    if (problem.heads % count == 0 && (tasks % cpus == 0 || tasks >= 4 * cpus)) return count;
  }
  return 1;
}

}  // namespace

int64_t available_cpus() { return std::max<int64_t>(1, std::thread::hardware_concurrency()); }

Split split(const Problem& problem, const Kernel& kernel, int64_t cpus) {
  const int64_t heads = problem.batch * problem.heads;
  if (heads % cpus == 0 || heads >= 4 * cpus) {
    const int64_t together = heads_together(problem, kernel, cpus, 1);
    return {1, 1, together, together, true};
  }

  // Two tasks a CPU, and a number of tasks that the CPUs share evenly.
  int64_t key_chunks = ceil_div(2 * cpus, heads);
  while (heads * key_chunks % cpus != 0) ++key_chunks;
  const int64_t state = kernel.state_floats(problem.plan->size(), problem.value_width);
  const int64_t by_memory = 1 + kMaxExtraStateFloats / (heads * state);
  const int64_t by_tokens = std::max<int64_t>(1, problem.keys / kMinKeyChunk);
  key_chunks = std::min({key_chunks, by_memory, by_tokens});

  const int64_t query_chunks = std::max<int64_t>(
      1, std::min(ceil_div(4 * cpus, heads), problem.queries / kernel.output_step));
  return {key_chunks, query_chunks, heads_together(problem, kernel, cpus, key_chunks),
          heads_together(problem, kernel, cpus, query_chunks), false};
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
    whole_heads(call, problem, cut, parallel);
  } else {
    chunked_heads(call, kernel, problem, cut, parallel);
  }
}

}  // namespace hla
