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
