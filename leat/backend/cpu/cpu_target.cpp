// See cpu_target.h. Register counts: Intel SDM vol. 1, sections 5.13 and 5.19 (16 YMM, 32 ZMM) and
// Arm ARM, section A1.4.2 (32 V registers).
#include "leat/backend/cpu/cpu_target.h"

#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "leat/backend/cpu/cpu_jit.h"
#include "leat/base/cpu_count.h"
#include "leat/base/env.h"

namespace leat {

namespace {

// What a kernel may keep on the stack of a thread as local memory.
constexpr uint32_t kLocalMemoryBytesMax = 65536;
// Any number does, as arguments are pointers in an array.
constexpr uint32_t kBufferArgumentsMax = 256;

bool has_all(const std::string& features, std::initializer_list<std::string_view> wanted) {
  const std::string list = features + ",";
  return std::ranges::all_of(wanted, [&](std::string_view feature) {
    return list.find("+" + std::string(feature) + ",") != std::string::npos;
  });
}

struct VectorUnit {
  const char* name;
  uint32_t lanes;
  uint32_t registers;
};

VectorUnit vector_unit_of(const HostCpu& host) {
  if (host.triple.starts_with("aarch64")) return {"aarch64 neon", 4, 32};
  if (has_all(host.features, {"avx512f", "avx512bw", "avx512dq", "avx512vl"})) {
    return {"x86-64 avx512", 16, 32};
  }
  if (has_all(host.features, {"avx2", "fma", "f16c"})) return {"x86-64 avx2", 8, 16};
  return {"x86-64 sse2", 4, 16};
}

Target cpu_target(const HostCpu& host, uint32_t threads) {
  const VectorUnit unit = vector_unit_of(host);
  Target target;
  target.name = unit.name;
  target.format = CodeFormat::native_object;
  target.is_cpu = true;
  target.waves_hide_latency = false;
  target.local_memory_is_fast = false;
  target.uniform_loads_broadcast = true;
  target.llvm_triple = host.triple;
  target.llvm_cpu = host.cpu;
  target.llvm_features = host.features;
  target.wave_lanes = unit.lanes;
  target.lanes_per_workgroup_max = unit.lanes;
  target.local_memory_bytes_max = kLocalMemoryBytesMax;
  target.workgroups_max[0] = 0x7fffffff;
  target.vector_registers = unit.registers;
  target.compute_units = threads;
  target.buffer_bindings_max = kBufferArgumentsMax;
  return target;
}

}  // namespace

Target host_cpu_target(uint32_t threads) {
  if (threads == 0) threads = std::min(usable_cpus(), kThreadsMax);
  Target target = cpu_target(host_cpu(), threads);
  const long cache_bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (cache_bytes > 0) target.cache_bytes = static_cast<uint64_t>(cache_bytes);
  return target;
}

Target aarch64_target() {
  return cpu_target({"aarch64-unknown-linux-gnu", "generic", "+neon,+fp-armv8", ""}, 1);
}

}  // namespace leat
