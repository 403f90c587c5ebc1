#include "wgmma_schedule.h"

#include <algorithm>
#include <limits>

#include "sizes.h"

namespace hla::cuda {
namespace {

// What a block of the state pass costs beyond its tiles, in tiles: filling its stages, and writing and adding its partial.
constexpr int64_t kStateExtra = 10;
// The same of the output pass, whose tiles are longer.
constexpr int64_t kOutputExtra = 1;
// The same of the maps, whose blocks copy the weights first.
constexpr int64_t kMapExtra = 1;

// Into how many parts to cut `tiles` of each of `rows_of_blocks`, a block a part, so that the multiprocessors, a block each,
// are done first. No part is empty.
int64_t parts_of(int64_t tiles, int64_t rows_of_blocks, int multiprocessors, int64_t extra, int64_t most) {
  int64_t best = 1;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t parts = 1; parts <= std::min(tiles, most); ++parts) {
    const int64_t longest = ceil_div(tiles, parts);
    if (ceil_div(tiles, longest) != parts) continue;
    const int64_t time = ceil_div(rows_of_blocks * parts, multiprocessors) * (longest + extra);
    if (time >= least) continue;
    least = time;
    best = parts;
  }
  return best;
}

int32_t columns_of(int64_t width) { return width > kBlockColumns ? 2 * kBlockColumns : kBlockColumns; }

// Shared memory of the output pass: the whole state where that fits, else its tiles in turns.
struct OutputMemory {
  OutputMemory(int columns, int features, int rows) {
    const int whole = wgmma_output_shared_bytes(columns, features, rows / kTileRows);
    resident = whole <= kHopperShared;
    bytes = resident ? whole : wgmma_output_shared_bytes(columns, features, kStages);
  }
  bool resident;
  int bytes;
};

}  // namespace

bool WgmmaSchedule::fits(const RowTables& tables, const CoreCall& call) {
  const int64_t first = tables.first_rank_of_pair();
  const int64_t second = tables.features() - first;
  const int64_t width = call.sizes.width;
  if (call.element != Element::kBfloat16 || call.feature_element != Element::kBfloat16) return false;
  if (first == 0 || first % 8 != 0 || (second != 16 && second != 32)) return false;
  if (width > 2 * kBlockColumns) return false;
  if (tables.features() > 32 * 8) return false;  // a lane for each piece of a token's features
  if (!aligned(call.query_features, call.element, tables.features(), 16) ||
      !aligned(call.key_features, call.element, tables.features(), 16) || !aligned(call.value, call.element, width, 16) ||
      !aligned(call.output, call.element, width, 16)) {
    return false;
  }
  const int32_t columns = columns_of(width);
  const auto features = static_cast<int>(tables.features());
  return wgmma_state_shared_bytes(columns, features) <= kHopperShared &&
         OutputMemory(columns, features, tables.rows()).bytes <= kHopperShared;
}

WgmmaSchedule::WgmmaSchedule(const RowTables& tables, const CoreCall& call, int multiprocessors) {
  const Sizes& n = call.sizes;
  const int64_t groups = n.batch * n.heads;
  const int32_t rows = tables.rows();
  const int32_t first = tables.first_rank_of_pair();
  const auto features = static_cast<int32_t>(tables.features());
  const int32_t second = features - first;
  const int32_t columns = columns_of(n.width);
  const OutputMemory memory(columns, features, rows);

  state_.features = call.key_features;
  state_.value = call.value;
  state_.heads = small(n.heads, "the number of heads");
  state_.width = static_cast<int32_t>(n.width);
  state_.columns = columns;
  state_.first_rank = first;
  state_.second_rank = second;
  while (8 << state_.feature_pieces_log < features) ++state_.feature_pieces_log;
  state_.row_blocks = static_cast<int32_t>(ceil_div(rows, kGroupStateRows));
  state_.keys = n.keys;
  const int64_t partial_bytes = groups * rows * (columns + 8) * static_cast<int64_t>(sizeof(float));
  const int64_t key_tiles = ceil_div(n.keys, kTileRows);
  const int64_t most = std::max<int64_t>(1, std::min<int64_t>(1024, kMaxPartialBytes / partial_bytes));
  const int64_t wanted = parts_of(key_tiles, groups * state_.row_blocks, multiprocessors, kStateExtra, most);
  state_.chunk_tokens = ceil_div(key_tiles, wanted) * kTileRows;
  state_.chunks = small(ceil_div(n.keys, state_.chunk_tokens), "the number of keys");
  state_blocks_ = blocks(groups * state_.chunks * state_.row_blocks, "tiles of the state");
  state_shared_ = wgmma_state_shared_bytes(columns, features);

  reduce_.rows = rows;
  reduce_.columns = columns;
  reduce_.width = state_.width;
  reduce_.chunks = state_.chunks;
  reduce_blocks_ = blocks(groups * ceil_div(int64_t{rows} * (columns / 8 + 1), kGroupReduceThreads), "rows of the state");

  output_.features = call.query_features;
  output_.output = call.output;
  output_.heads = state_.heads;
  output_.width = state_.width;
  output_.columns = columns;
  output_.first_rank = first;
  output_.second_rank = second;
  output_.feature_pieces_log = state_.feature_pieces_log;
  output_.resident = memory.resident ? 1 : 0;
  output_.tiles = small(ceil_div(n.queries, kGroupTokens), "the number of queries");
  output_.parts = static_cast<int32_t>(parts_of(output_.tiles, groups, multiprocessors, kOutputExtra, output_.tiles));
  output_.queries = n.queries;
  output_.epsilon = call.epsilon;
  output_blocks_ = blocks(groups * output_.parts, "tiles of queries");
  output_shared_ = memory.bytes;

  state_offset_ = (static_cast<size_t>(partial_bytes * state_.chunks) + kAlign - 1) / kAlign * kAlign;
  workspace_bytes_ = state_offset_ + static_cast<size_t>(groups * (rows / kTileRows)) * static_cast<size_t>(state_tile_bytes(columns));
}

void WgmmaSchedule::run(Launcher& launcher, void* workspace) const {
  WgmmaStateArgs state = state_;
  WgmmaReduceArgs reduce = reduce_;
  WgmmaOutputArgs output = output_;
  state.partial = static_cast<float*>(workspace);
  reduce.partial = state.partial;
  reduce.state = reinterpret_cast<uint16_t*>(static_cast<unsigned char*>(workspace) + state_offset_);
  output.state = reduce.state;
  launcher.wgmma_state(state_blocks_, state_shared_, state);
  launcher.wgmma_reduce(reduce_blocks_, reduce);
  launcher.wgmma_output(output_blocks_, output_shared_, output);
}

bool run_wgmma_maps(Launcher& launcher, Element element, const Sizes& sizes, int64_t depth, int64_t features, const MapCall& call,
                    const Activations& activations, void* result, int multiprocessors) {
  if (element != Element::kBfloat16 || depth % 32 != 0 || depth > 256 || features % 8 != 0 || features > kBlockColumns ||
      call.mask.data != nullptr || !aligned(call.x, element, depth, 16) || !aligned({call.weight, 0, 0, 0}, element, features, 16)) {
    return false;
  }
  for (int32_t i = 0; i < activations.count; ++i) {
    if (activations.ends[i] % 8 != 0) return false;
  }
  const int shared = wgmma_maps_shared_bytes(static_cast<int>(depth));
  if (shared > kHopperShared) return false;
  WgmmaMapArgs args{};
  args.x = call.x;
  args.weight = call.weight;
  args.bias = call.bias;
  args.activations = activations;
  args.heads = small(sizes.heads, "the number of heads");
  args.depth = static_cast<int32_t>(depth);
  while (8 << args.depth_pieces_log < depth) ++args.depth_pieces_log;
  args.features = static_cast<int32_t>(features);
  args.tiles = small(ceil_div(call.tokens, kGroupTokens), "the number of tokens");
  args.parts = static_cast<int32_t>(parts_of(args.tiles, sizes.batch * sizes.heads, multiprocessors, kMapExtra, args.tiles));
  args.tokens = call.tokens;
  args.result = static_cast<uint16_t*>(result);
  launcher.wgmma_maps(blocks(sizes.batch * sizes.heads * args.parts, "tiles of tokens"), shared, args);
  return true;
}

}  // namespace hla::cuda
