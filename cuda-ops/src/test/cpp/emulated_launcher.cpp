#include "emulated_launcher.h"

using namespace hla::cuda;
using hla::Element;

void EmulatedLauncher::state(Element element, int terms, int64_t blocks, int shared, const StateArgs& args) {
  run(blocks, shared, [&](unsigned char* memory) {
    if (element == Element::kFloat32) return state_block<Float32, 3>(args, memory);
    if (element == Element::kFloat16) return state_block<Float16, 2>(args, memory);
    return terms == 1 ? state_block<Bfloat16, 1>(args, memory) : state_block<Bfloat16, 2>(args, memory);
  });
}

void EmulatedLauncher::reduce(int terms, int64_t blocks, const ReduceArgs& args) {
  run(blocks, 0, [&](unsigned char*) {
    if (terms == 1) return reduce_block<1>(args);
    return terms == 2 ? reduce_block<2>(args) : reduce_block<3>(args);
  });
}

void EmulatedLauncher::output(Element element, int terms, int64_t blocks, int shared, const OutputArgs& args) {
  run(blocks, shared, [&](unsigned char* memory) {
    if (element == Element::kFloat32) return output_block<Float32, 3>(args, memory);
    if (element == Element::kFloat16) return output_block<Float16, 2>(args, memory);
    return terms == 1 ? output_block<Bfloat16, 1>(args, memory) : output_block<Bfloat16, 2>(args, memory);
  });
}

void EmulatedLauncher::zero(Element element, int64_t blocks, const ZeroArgs& args) {
  run(blocks, 0, [&](unsigned char*) {
    element == Element::kFloat32 ? zero_block<Float32>(args) : zero_block<Float16>(args);
  });
}

void EmulatedLauncher::maps(Element element, int64_t blocks, int shared, const MapArgs& args) {
  run(blocks, shared, [&](unsigned char* memory) {
    if (element == Element::kFloat32) return maps_block<Float32>(args, memory);
    if (element == Element::kFloat16) return maps_block<Float16>(args, memory);
    return maps_block<Bfloat16>(args, memory);
  });
}

void EmulatedLauncher::wgmma_state(int64_t blocks, int shared, const WgmmaStateArgs& args) {
  run(blocks, shared, [&](unsigned char* memory) {
    const bool narrow = args.columns == kBlockColumns;
    if (args.second_rank == 16) return narrow ? wgmma_state_block<64, 1>(args, memory) : wgmma_state_block<128, 1>(args, memory);
    return narrow ? wgmma_state_block<64, 2>(args, memory) : wgmma_state_block<128, 2>(args, memory);
  }, kGroupThreads);
}

void EmulatedLauncher::wgmma_reduce(int64_t blocks, const WgmmaReduceArgs& args) {
  run(blocks, 0, [&](unsigned char*) {
    args.columns == kBlockColumns ? wgmma_reduce_block<64>(args) : wgmma_reduce_block<128>(args);
  }, kGroupReduceThreads);
}

namespace {

template <int kColumns, int kHalves>
void output(const WgmmaOutputArgs& args, unsigned char* memory) {
  args.resident ? wgmma_output_block<kColumns, kHalves, true>(args, memory)
                : wgmma_output_block<kColumns, kHalves, false>(args, memory);
}

}  // namespace

void EmulatedLauncher::wgmma_output(int64_t blocks, int shared, const WgmmaOutputArgs& args) {
  run(blocks, shared, [&](unsigned char* memory) {
    const bool narrow = args.columns == kBlockColumns;
    if (args.second_rank == 16) return narrow ? ::output<64, 1>(args, memory) : ::output<128, 1>(args, memory);
    return narrow ? ::output<64, 2>(args, memory) : ::output<128, 2>(args, memory);
  }, kGroupThreads);
}

void EmulatedLauncher::wgmma_maps(int64_t blocks, int shared, const WgmmaMapArgs& args) {
  run(blocks, shared, [&](unsigned char* memory) { wgmma_maps_block(args, memory); }, kGroupThreads);
}
