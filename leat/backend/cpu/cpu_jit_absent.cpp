// What stands for cpu_jit.cpp in a build without LLVM: no object file is loaded, and the host is
// named by what GCC's run time finds. Source: GCC's manual, "x86 Built-in Functions".
#include "leat/backend/cpu/cpu_jit.h"

namespace leat {

struct CpuJit::State {};

CpuJit::CpuJit(std::unique_ptr<State> state) : state_(std::move(state)) {}
CpuJit::CpuJit(CpuJit&&) noexcept = default;
CpuJit::~CpuJit() = default;

Result<CpuJit> CpuJit::create() {
  return Error(
      ErrorKind::unsupported,
      "This build of Leat has no compiler for Device \"cpu\"; it runs packed models there, "
      "which leat pack makes elsewhere.");
}

Result<LoadedCode> CpuJit::load(const KernelBinary&) {
  return Error(ErrorKind::unsupported, "This build of Leat loads no object files.");
}

HostCpu host_cpu() {
  HostCpu host;
#if defined(__x86_64__)
  host.triple = "x86_64-unknown-linux-gnu";
  const auto add = [&host](int is_there, const char* name) {
    if (!host.features.empty()) host.features += ',';
    host.features += (is_there != 0 ? "+" : "-") + std::string(name);
  };
#define LEAT_FEATURE(name) add(__builtin_cpu_supports(name), name)
  LEAT_FEATURE("avx2");
  LEAT_FEATURE("avx512bf16");
  LEAT_FEATURE("avx512bw");
  LEAT_FEATURE("avx512cd");
  LEAT_FEATURE("avx512dq");
  LEAT_FEATURE("avx512f");
  LEAT_FEATURE("avx512vl");
  LEAT_FEATURE("avx512vnni");
  LEAT_FEATURE("bmi");
  LEAT_FEATURE("bmi2");
  LEAT_FEATURE("f16c");
  LEAT_FEATURE("fma");
  LEAT_FEATURE("lzcnt");
  LEAT_FEATURE("movbe");
#undef LEAT_FEATURE
  host.cpu = "x86-64";
#elif defined(__aarch64__)
  host.triple = "aarch64-unknown-linux-gnu";
  host.cpu = "generic";
  host.features = "+neon,+fp-armv8";
#endif
  return host;
}

}  // namespace leat
