// See target_hash.h. The hash takes the struct apart by a structured binding: a field that is added
// and not named here does not compile.
#include "leat/base/target_hash.h"

#include <type_traits>

namespace leat {

namespace {

void add_field(SecureHasher& hasher, const std::string& text) { hasher.add(text); }

template <typename T>
requires(std::is_integral_v<T> || std::is_enum_v<T>) void add_field(SecureHasher& hasher, T value) {
  hasher.add(static_cast<int64_t>(value));
}

template <typename T, size_t count>
void add_field(SecureHasher& hasher, const T (&values)[count]) {
  for (const T& value : values) add_field(hasher, value);
}

}  // namespace

void add_target(SecureHasher& hasher, const Target& target) {
  const auto& [name, format, opengl, is_cpu, software, llvm_triple, llvm_cpu, llvm_features,
               wave_lanes, lanes_per_workgroup_max, local_memory_bytes_max, workgroups_max,
               vector_registers, compute_units, cache_bytes, buffer_bindings_max,
               argument_bytes_max, storage_f16, shader_64bit, shader_products, waves_hide_latency,
               local_memory_is_fast, uniform_loads_broadcast, tile_rates] = target;
  const auto add_all = [&hasher](const auto&... fields) { (add_field(hasher, fields), ...); };
  add_all(name, format, opengl, is_cpu, software, llvm_triple, llvm_cpu, llvm_features, wave_lanes,
          lanes_per_workgroup_max, local_memory_bytes_max, workgroups_max, vector_registers,
          compute_units, cache_bytes, buffer_bindings_max, argument_bytes_max, storage_f16,
          shader_64bit, shader_products, waves_hide_latency, local_memory_is_fast,
          uniform_loads_broadcast, tile_rates);
}

}  // namespace leat
