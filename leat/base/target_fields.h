// All fields of a Target, for who hashes or stores one.
#pragma once

#include "leat/base/target.h"

namespace leat {

/// visit(field) for each, in the order of the struct; arrays as such. The struct is taken apart by
/// a structured binding: a field that is added and not named here does not compile.
template <typename AnyTarget, typename Visit>
void visit_target_fields(AnyTarget& target, const Visit& visit) {
  auto& [name, format, opengl, is_cpu, software, llvm_triple, llvm_cpu, llvm_features, wave_lanes,
         lanes_per_workgroup_max, local_memory_bytes_max, workgroups_max, vector_registers,
         compute_units, cache_bytes, buffer_bindings_max, argument_bytes_max, storage_f16,
         shader_64bit, shader_keeps_nan, shader_products, waves_hide_latency, local_memory_is_fast,
         uniform_loads_broadcast, tile_rates] = target;
  const auto visit_all = [&visit](auto&... fields) { (visit(fields), ...); };
  visit_all(name, format, opengl, is_cpu, software, llvm_triple, llvm_cpu, llvm_features,
            wave_lanes, lanes_per_workgroup_max, local_memory_bytes_max, workgroups_max,
            vector_registers, compute_units, cache_bytes, buffer_bindings_max, argument_bytes_max,
            storage_f16, shader_64bit, shader_keeps_nan, shader_products, waves_hide_latency,
            local_memory_is_fast, uniform_loads_broadcast, tile_rates);
}

}  // namespace leat
