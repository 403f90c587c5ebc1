#include "isa.h"

#include <cstdlib>
#include <stdexcept>

namespace hla {
namespace {

#if defined(__x86_64__)
// The compiler's run-time test also asks whether the operating system saves the wide registers.
std::string lacks_avx2() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return "AVX2";
  if (!__builtin_cpu_supports("fma")) return "FMA";
  if (!__builtin_cpu_supports("f16c")) return "F16C";
  return "";
}

std::string lacks_avx512() {
  const std::string lacks = lacks_avx2();
  if (!lacks.empty()) return lacks;
  if (!__builtin_cpu_supports("avx512f")) return "AVX512F";
  if (!__builtin_cpu_supports("avx512bw")) return "AVX512BW";
  if (!__builtin_cpu_supports("avx512dq")) return "AVX512DQ";
  if (!__builtin_cpu_supports("avx512vl")) return "AVX512VL";
  return "";
}
#endif

}  // namespace

std::vector<Variant> variants() {
  std::vector<Variant> all;
#if defined(__x86_64__)
  all.push_back({"avx512", avx512_kernel(), lacks_avx512()});
  all.push_back({"avx2", avx2_kernel(), lacks_avx2()});
#endif
  all.push_back({"baseline", baseline_kernel(), ""});
  return all;
}

Selection select_kernel(const char* forced) {
  const std::string wanted = forced == nullptr ? "" : forced;
  std::string passed_over;
  std::string names;
  for (const Variant& variant : variants()) {
    names += (names.empty() ? "" : ", ") + std::string(variant.name);
    if (!wanted.empty()) {
      if (wanted != variant.name) continue;
      if (!variant.lacks.empty()) {
        throw std::invalid_argument("HLA_ISA=" + wanted + ": this CPU lacks " + variant.lacks +
                                    "; unset HLA_ISA to take the fastest kernel that runs here");
      }
      return {variant.kernel, "HLA_ISA=" + wanted + " asked for it"};
    }
    if (variant.lacks.empty()) {
      return {variant.kernel, passed_over.empty() ? "the fastest there is" : passed_over};
    }
    passed_over += (passed_over.empty() ? "" : "; ") + std::string(variant.name) + ": this CPU lacks " + variant.lacks;
  }
  throw std::invalid_argument("HLA_ISA=" + wanted + ": expected one of " + names);
}

const Selection& selected_kernel() {
  static const Selection selection = select_kernel(std::getenv("HLA_ISA"));
  return selection;
}

}  // namespace hla
