// See probe_kernels.h.
#include "leat/run/probe_kernels.h"

#include <algorithm>
#include <vector>

#include "leat/emit/emit.h"
#include "leat/ir/builder.h"
#include "leat/ir/verify.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

// Chains of one lane. A CPU needs latency (4 or 5) times units (2) = 10 vectors at least and has 16
// or 32 registers, of which two hold the factors; a GPU hides latency by waves and needs fewer.
constexpr int kChains = 12;
// Multiply-adds of one chain in one round of the rolled loop.
constexpr int kUnroll = 16;
// A GPU's waves of one workgroup together have that many lanes, where it allows.
constexpr uint32_t kGpuWorkgroupLanes = 256;
// Workgroups for each compute unit: enough to fill it whatever its occupancy is.
constexpr uint32_t kGroupsPerComputeUnit = 16;
// Where the number of compute units is not known.
constexpr uint32_t kGroupsWhenUnknown = 4096;
constexpr uint32_t kSoftwareGroups = 64;

uint32_t waves_of(const Target& target) {
  if (target.is_cpu) return 1;
  const uint32_t lanes = std::min(target.lanes_per_workgroup_max, kGpuWorkgroupLanes);
  return std::max(1u, lanes / target.wave_lanes);
}

uint32_t groups_of(const Target& target) {
  if (target.is_cpu) return std::max(1u, target.compute_units);
  if (target.software) return kSoftwareGroups;
  const uint32_t groups =
      target.compute_units > 1 ? target.compute_units * kGroupsPerComputeUnit : kGroupsWhenUnknown;
  return std::min(groups, target.workgroups_max[0]);
}

Result<KernelBinary> emit_verified(ir::Program program, const Target& target) {
  TRY(ir::verify(program));
  TRY(run_passes(program, target));
  return emit(program, target);
}

}  // namespace

Result<KernelBinary> empty_kernel(const Target& target) {
  ir::Builder builder("empty", target.wave_lanes, 1);
  return emit_verified(builder.finish(), target);
}

Result<KernelBinary> count_kernel(const Target& target) {
  ir::Builder builder("count", target.wave_lanes, 1);
  const uint32_t word = builder.parameter("word", DType::i32, true, 1);
  const ir::ValueId zero = builder.i32(0);
  const ir::ValueId is_first = builder.binary(ir::Opcode::eq_i, builder.lane_id(), zero);
  const ir::ValueId count = builder.load(word, zero, 1, is_first);
  builder.store(word, zero, builder.add(count, builder.i32(1)), is_first);
  return emit_verified(builder.finish(), target);
}

Result<FmaKernel> fma_kernel(const Target& target) {
  const uint32_t waves = waves_of(target);
  const uint32_t groups = groups_of(target);
  const int64_t group_lanes = int64_t{waves} * target.wave_lanes;
  FmaKernel kernel;
  kernel.output_count = group_lanes * groups;
  kernel.flop_per_round = 2.0 * kChains * kUnroll * static_cast<double>(kernel.output_count);

  ir::Builder builder("fma_peak", target.wave_lanes, waves);
  builder.program().grid = {groups, 1, 1};
  const uint32_t rounds = builder.parameter("rounds", DType::i32, false, 1);
  const uint32_t output = builder.parameter("output", DType::f32, true, kernel.output_count);
  const ir::ValueId lane = builder.add(
      builder.mul(builder.wave_id(), builder.i32(target.wave_lanes)), builder.lane_id());
  const ir::ValueId lane_value = builder.convert(ir::Opcode::float_from_int, lane);
  // Factors a little below 1 keep every chain finite and far from the subnormal numbers.
  const ir::ValueId factor = builder.fma(lane_value, builder.f32(1e-7f), builder.f32(0.9f));
  std::vector<ir::ValueId> chains;
  for (int c = 0; c < kChains; ++c) {
    chains.push_back(builder.add(lane_value, builder.f32(static_cast<float>(c))));
  }
  const std::vector<ir::ValueId> sums =
      builder.loop(builder.i32(0), builder.load(rounds, builder.i32(0)), 1, chains, true,
                   [&](ir::ValueId, std::span<const ir::ValueId> carried) {
                     std::vector<ir::ValueId> next(carried.begin(), carried.end());
                     for (int u = 0; u < kUnroll; ++u) {
                       for (ir::ValueId& chain : next) chain = builder.fma(chain, factor, factor);
                     }
                     return next;
                   });
  ir::ValueId sum = sums[0];
  for (size_t c = 1; c < sums.size(); ++c) sum = builder.add(sum, sums[c]);
  const ir::ValueId group = builder.mul(builder.group_id(0), builder.i32(group_lanes));
  builder.store(output, builder.add(group, lane), sum);
  TRY_ASSIGN(kernel.binary, emit_verified(builder.finish(), target));
  return kernel;
}

}  // namespace leat
