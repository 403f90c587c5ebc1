#include "schedule.h"

#include <algorithm>

#include "shared_memory.h"
#include "sizes.h"

namespace hla::cuda {
namespace {

// Blocks of the state pass that a multiprocessor holds at once: as many as its registers allow.
constexpr int64_t kBlocksPerMultiprocessor = 2;
// A shorter chunk spends more on its partial state than it saves.
constexpr int64_t kMinChunk = 256;
// A float32 sum of more tokens than this would lose digits of the tolerance.
constexpr int64_t kMaxChunk = 4096;

int64_t chunk_count(int64_t keys, int64_t blocks_per_chunk, int64_t partial_bytes, int multiprocessors) {
  const int64_t by_device = std::max<int64_t>(1, multiprocessors * kBlocksPerMultiprocessor / blocks_per_chunk);
  const int64_t by_tokens = std::max<int64_t>(1, keys / kMinChunk);
  const int64_t by_digits = ceil_div(keys, kMaxChunk);
  const int64_t by_memory = std::max<int64_t>(1, kMaxPartialBytes / partial_bytes);
  return std::min(std::max(std::min(by_device, by_tokens), by_digits), by_memory);
}

}  // namespace

int terms_of(Element element, int64_t keys) {
  switch (element) {
    case Element::kFloat32: return 3;
    case Element::kFloat16: return 2;
    default: return keys >= kKeysForOneTerm ? 1 : 2;
  }
}

CoreSchedule::CoreSchedule(const RowTables& tables, const int32_t* words, const CoreCall& call, int multiprocessors, int terms,
                           bool warpgroups)
    : kind_(Kind::kAttention), element_(call.element), terms_(terms) {
  const Sizes& n = call.sizes;
  const int64_t groups = n.batch * n.heads;
  if (groups == 0 || n.queries == 0 || n.width == 0) {
    kind_ = Kind::kNothing;
    return;
  }
  const int32_t heads = small(n.heads, "the number of heads");
  const int32_t width = small(n.width, "the width of the values");
  if (n.keys == 0) {
    kind_ = Kind::kZeros;
    zero_ = {call.output, heads, width, n.queries};
    zero_blocks_ = blocks(groups * n.queries, "queries");
    return;
  }

  if (warpgroups && terms == 1 && WgmmaSchedule::fits(tables, call)) by_warpgroups_.emplace(tables, call, multiprocessors);
  if (by_warpgroups_) {
    workspace_bytes_ = by_warpgroups_->workspace_bytes();
    return;
  }

  const int32_t column_tiles = small(ceil_div(n.width, kColumns), "the width of the values");
  const int64_t partial_floats = groups * column_tiles * tables.row_tiles() * kStateRows * kPitch;
  const int64_t wanted = chunk_count(n.keys, groups * column_tiles * tables.row_tiles(), partial_floats * 4, multiprocessors);
  const int64_t chunk_tokens = ceil_div(ceil_div(n.keys, wanted), kStateTokens) * kStateTokens;
  const int32_t chunks = small(ceil_div(n.keys, chunk_tokens), "the number of keys");

  state_.table = tables.state_table(words);
  state_.features = call.key_features;
  state_.value = call.value;
  state_.feature_element = call.feature_element;
  state_.aligned = aligned(call.value, call.element, n.width, 16);
  state_.heads = heads;
  state_.width = width;
  state_.rows = tables.rows();
  state_.row_tiles = tables.row_tiles();
  state_.column_tiles = column_tiles;
  state_.chunks = chunks;
  state_.keys = n.keys;
  state_.chunk_tokens = chunk_tokens;
  state_blocks_ = blocks(groups * chunks * column_tiles * tables.row_tiles(), "tiles of the state");
  state_shared_ = state_shared_bytes(call.element, terms, tables.state_nodes());

  reduce_.weights = tables.weights(words);
  reduce_.rows = tables.rows();
  reduce_.row_tiles = tables.row_tiles();
  reduce_.output_tiles = tables.output_tiles();
  reduce_.column_tiles = column_tiles;
  reduce_.chunks = chunks;
  reduce_.width = width;
  reduce_blocks_ =
      blocks(groups * column_tiles * tables.output_tiles() * (kOutputRows / kReduceRows), "rows of the state");

  output_.table = tables.output_table(words);
  output_.segments = tables.output_segments();
  output_.max_nodes = tables.output_nodes();
  output_.features = call.query_features;
  output_.output = call.output;
  output_.feature_element = call.feature_element;
  output_.paired = aligned(call.output, call.element, n.width, 2 * bytes_of(call.element));
  output_.heads = heads;
  output_.width = width;
  output_.output_tiles = tables.output_tiles();
  output_.column_tiles = column_tiles;
  output_.token_tiles = small(ceil_div(n.queries, kOutputTokens), "the number of queries");
  output_.queries = n.queries;
  output_.epsilon = call.epsilon;
  output_blocks_ = blocks(groups * column_tiles * output_.token_tiles, "tiles of queries");
  output_shared_ = output_shared_bytes(terms, tables.output_nodes());

  const size_t partial_bytes = static_cast<size_t>(partial_floats) * static_cast<size_t>(chunks) * sizeof(float);
  state_offset_ = (partial_bytes + kAlign - 1) / kAlign * kAlign;
  workspace_bytes_ = state_offset_ + static_cast<size_t>(groups * column_tiles * tables.output_tiles()) * kOutputRows *
                                         kPitch * static_cast<size_t>(terms) * sizeof(uint16_t);
}

void CoreSchedule::run(Launcher& launcher, void* workspace) const {
  if (kind_ == Kind::kNothing) return;
  if (kind_ == Kind::kZeros) {
    launcher.zero(element_, zero_blocks_, zero_);
    return;
  }
  if (by_warpgroups_) {
    by_warpgroups_->run(launcher, workspace);
    return;
  }
  StateArgs state = state_;
  ReduceArgs reduce = reduce_;
  OutputArgs output = output_;
  state.partial = static_cast<float*>(workspace);
  reduce.partial = state.partial;
  reduce.state = reinterpret_cast<uint16_t*>(static_cast<unsigned char*>(workspace) + state_offset_);
  output.state = reduce.state;
  launcher.state(element_, terms_, state_blocks_, state_shared_, state);
  launcher.reduce(terms_, reduce_blocks_, reduce);
  launcher.output(element_, terms_, output_blocks_, output_shared_, output);
}

Element mapped_element(const RowTables& tables, const CoreCall& call, int terms, bool warpgroups) {
  CoreCall with = call;
  const auto rows = [&](int64_t tokens) { return map_rows(nullptr, call.sizes.heads, tokens, tables.features()); };
  with.feature_element = Element::kBfloat16;
  with.query_features = rows(call.sizes.queries);
  with.key_features = rows(call.sizes.keys);
  return warpgroups && terms == 1 && WgmmaSchedule::fits(tables, with) ? Element::kBfloat16 : Element::kFloat32;
}

void run_maps(Launcher& launcher, Element element, const Sizes& sizes, int64_t depth, int64_t features, const MapCall& call,
              const Activations& activations, Element result_element, void* result, int multiprocessors) {
  const int64_t groups = sizes.batch * sizes.heads;
  if (groups == 0 || call.tokens == 0) return;
  // Features are wanted in bfloat16 where the device has warpgroup products and the passes take them.
  if (result_element == Element::kBfloat16 &&
      run_wgmma_maps(launcher, element, sizes, depth, features, call, activations, result, multiprocessors)) {
    return;
  }
  MapArgs args{};
  args.x = call.x;
  args.weight = call.weight;
  args.bias = call.bias;
  args.activations = activations;
  args.aligned_x = aligned(call.x, element, depth, 16);
  args.aligned_weight = aligned({call.weight, 0, 0, 0}, element, features, 16);
  args.heads = small(sizes.heads, "the number of heads");
  args.depth = small(depth, "the width of queries and keys");
  args.features = small(features, "the number of features");
  args.token_tiles = small(ceil_div(call.tokens, kMapTokens), "the number of tokens");
  args.column_tiles = small(ceil_div(features, kMapColumns), "the number of features");
  args.tokens = call.tokens;
  args.mask = call.mask;
  args.result = result;
  args.bfloat16 = result_element == Element::kBfloat16;
  launcher.maps(element, blocks(groups * args.token_tiles * args.column_tiles, "tiles of tokens"), map_shared_bytes(element),
                args);
}

Rows map_rows(const void* result, int64_t heads, int64_t tokens, int64_t features) {
  return {result, heads * tokens * features, tokens * features, features};
}

}  // namespace hla::cuda
