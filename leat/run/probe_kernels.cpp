// See probe_kernels.h.
#include "leat/run/probe_kernels.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "leat/base/target_facts.h"
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

// Of a wave by matrix units: every a with every b is a chain.
constexpr int kUnitRows = 2;
constexpr int kUnitColumns = 4;
constexpr int kUnitUnroll = 16;
// A CPU has eight registers for all of it.
constexpr int kTileColumns = 2;
constexpr uint32_t kUnitGroupsPerComputeUnit = 2;

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

namespace {

/// The factor rounded down to bf16, twice.
ir::ValueId pair_of(ir::Builder& builder, ir::ValueId factor) {
  const ir::ValueId bits = builder.convert(ir::Opcode::bits_from_float, factor);
  return builder.binary(ir::Opcode::or_i, builder.binary(ir::Opcode::shr_u, bits, builder.i32(16)),
                        builder.binary(ir::Opcode::and_i, bits, builder.i32(-65536)));
}

/// What all links of the chains have in common.
struct Chain {
  DType sums = DType::f32;
  double flop = 2;  // of a link
  std::function<ir::ValueId(ir::Builder& builder, ir::ValueId lane)> first;
  std::function<ir::ValueId(ir::Builder& builder, ir::ValueId factor, ir::ValueId sum)> link;
};

ir::ValueId lane_as_float(ir::Builder& builder, ir::ValueId lane) {
  return builder.convert(ir::Opcode::float_from_int, lane);
}

// Factors a little below 1 keep every chain finite and far from the subnormal numbers.
ir::ValueId factor_of(ir::Builder& builder, ir::ValueId lane) {
  return builder.fma(lane_as_float(builder, lane), builder.f32(1e-7f), builder.f32(0.9f));
}

Chain chain_of(const Target& target, DType element) {
  const TargetFacts facts = facts_of(target);
  if (element == DType::i8 && facts.has_dot_us) {
    return {DType::i32, 8,
            [](ir::Builder& b, ir::ValueId lane) { return b.mul(lane, b.i32(0x01030507)); },
            [](ir::Builder& b, ir::ValueId factor, ir::ValueId sum) {
              return b.dot(ir::Opcode::dot_us, factor, factor, sum);
            }};
  }
  if (element == DType::bf16 && facts.has_dot_bf16) {
    return {DType::f32, 4,
            [](ir::Builder& b, ir::ValueId lane) { return pair_of(b, factor_of(b, lane)); },
            [](ir::Builder& b, ir::ValueId factor, ir::ValueId sum) {
              return b.dot(ir::Opcode::dot_bf16, factor, factor, sum);
            }};
  }
  return {DType::f32, 2, factor_of, [](ir::Builder& b, ir::ValueId factor, ir::ValueId sum) {
            return b.fma(sum, factor, factor);
          }};
}

}  // namespace

Result<FmaKernel> fma_kernel(const Target& target, DType element) {
  const Chain chain = chain_of(target, element);
  const uint32_t waves = waves_of(target);
  const uint32_t groups = groups_of(target);
  const int64_t group_lanes = int64_t{waves} * target.wave_lanes;
  FmaKernel kernel;
  kernel.output_count = group_lanes * groups;
  kernel.flop_per_round = chain.flop * kChains * kUnroll * static_cast<double>(kernel.output_count);

  ir::Builder builder("fma_peak", target.wave_lanes, waves);
  builder.program().grid = {groups, 1, 1};
  const uint32_t rounds = builder.parameter("rounds", DType::i32, false, 1);
  const uint32_t output = builder.parameter("output", chain.sums, true, kernel.output_count);
  const ir::ValueId lane = builder.add(
      builder.mul(builder.wave_id(), builder.i32(target.wave_lanes)), builder.lane_id());
  const bool is_whole = chain.sums == DType::i32;
  const ir::ValueId lane_value = is_whole ? lane : lane_as_float(builder, lane);
  const ir::ValueId factor = chain.first(builder, lane);
  std::vector<ir::ValueId> chains;
  for (int c = 0; c < kChains; ++c) {
    const ir::ValueId number = is_whole ? builder.i32(c) : builder.f32(static_cast<float>(c));
    chains.push_back(builder.add(lane_value, number));
  }
  const std::vector<ir::ValueId> sums =
      builder.loop(builder.i32(0), builder.load(rounds, builder.i32(0)), 1, chains, true,
                   [&](ir::ValueId, std::span<const ir::ValueId> carried) {
                     std::vector<ir::ValueId> next(carried.begin(), carried.end());
                     for (int u = 0; u < kUnroll; ++u) {
                       for (ir::ValueId& sum : next) sum = chain.link(builder, factor, sum);
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

namespace {

/// Numbers between -0.5 and 0.5 in local memory: of zeros a chip is faster than of any others.
uint32_t fill_local(ir::Builder& builder, DType element, int64_t count) {
  const auto lanes = static_cast<int64_t>(builder.program().wave_lanes);
  const int64_t rounds = (count + lanes - 1) / lanes;
  const uint32_t local =
      builder.local("factors", element, 1, static_cast<uint32_t>(rounds * lanes));
  for (int64_t r = 0; r < rounds; ++r) {
    const ir::ValueId place = builder.add(builder.lane_id(), builder.i32(r * lanes));
    const ir::ValueId number = builder.rem(builder.mul(place, builder.i32(37)), 64);
    const ir::ValueId real = builder.convert(ir::Opcode::float_from_int, number);
    builder.store_local(local, place, builder.fma(real, builder.f32(0x1p-6f), builder.f32(-0.5f)));
  }
  builder.barrier();
  return local;
}

ir::Fragment fragment_of(const MatrixShape& shape, ir::Role role) {
  return {.role = role,
          .element = role == ir::Role::sum ? shape.sum
                     : role == ir::Role::a ? shape.a
                                           : shape.b,
          .m = shape.m,
          .n = shape.n,
          .k = shape.k,
          .waves = shape.waves};
}

/// Of a row of 128 bytes each piece of k is another fragment, where the unit reads such rows.
std::vector<ir::ValueId> load_fragments(ir::Builder& builder, const ir::Fragment& fragment,
                                        uint32_t local, int count, bool in_words) {
  const bool swizzled = fragment.waves > 1;
  const int64_t size = int64_t{fragment.rows()} * fragment.columns();
  const int64_t element_bytes = size_bytes_of(fragment.element);
  int64_t stride = swizzled ? ir::kSwizzledRowBytes / element_bytes : fragment.columns();
  if (in_words) stride *= ir::rows_in_word(element_bytes);
  std::vector<ir::ValueId> found;
  for (int i = 0; i < count; ++i) {
    found.push_back(builder.fragment_load(
        fragment, {.slot = local,
                   .index = builder.i32(swizzled ? i * int64_t{fragment.k} : i * size),
                   .stride = builder.i32(stride),
                   .by_columns = swizzled && fragment.role == ir::Role::b,
                   .is_local = true,
                   .swizzled = swizzled,
                   .in_words = in_words}));
  }
  return found;
}

/// The largest product; of those that several waves share, k goes through a row of 128 bytes.
const MatrixShape* largest_shape(const TargetFacts& facts, DType element) {
  const MatrixShape* largest = nullptr;
  for (const MatrixShape& shape : facts.matrix_shapes) {
    const bool fits =
        shape.a == element && shape.b == element && shape.sum == DType::f32 && !shape.tf32;
    const auto size = [](const MatrixShape& s) { return int64_t{s.m} * s.n * s.k; };
    if (fits && (largest == nullptr || size(shape) > size(*largest))) largest = &shape;
  }
  return largest;
}

}  // namespace

Result<std::optional<FmaKernel>> unit_kernel(const Target& target, DType element) {
  const TargetFacts facts = facts_of(target);
  const MatrixShape* shape = largest_shape(facts, element);
  if (shape == nullptr) return std::optional<FmaKernel>();
  const bool is_shared = shape->waves > 1;
  const int row_count = is_shared ? 1 : kUnitRows;
  const int column_count = is_shared ? 1 : target.is_cpu ? kTileColumns : kUnitColumns;
  const uint32_t waves = waves_of(target), units = waves / shape->waves;
  const uint32_t groups = target.compute_units * kUnitGroupsPerComputeUnit;
  const int64_t sums = int64_t{row_count} * column_count, sum_size = int64_t{shape->m} * shape->n;
  FmaKernel kernel;
  kernel.output_count = sums * sum_size * units * groups;
  kernel.flop_per_round = 2.0 * kUnitUnroll * static_cast<double>(kernel.output_count * shape->k);

  ir::Builder builder("unit_peak", target.wave_lanes, waves);
  builder.program().grid = {groups, 1, 1};
  const uint32_t rounds = builder.parameter("rounds", DType::i32, false, 1);
  const uint32_t output = builder.parameter("output", DType::f32, true, kernel.output_count);
  const ir::Fragment a = fragment_of(*shape, ir::Role::a), b = fragment_of(*shape, ir::Role::b);
  const int64_t row_elements = ir::kSwizzledRowBytes / size_bytes_of(element);
  const int64_t local_elements =
      is_shared ? std::max<int64_t>(shape->m, shape->n) * row_elements
                : kUnitColumns * std::max<int64_t>(int64_t{a.rows()} * a.columns(),
                                                   int64_t{b.rows()} * b.columns());
  const uint32_t local = fill_local(builder, element, local_elements);
  const bool in_words = target.is_cpu;
  const std::vector<ir::ValueId> rows = load_fragments(builder, a, local, row_count, false);
  const std::vector<ir::ValueId> columns =
      load_fragments(builder, b, local, column_count, in_words);
  std::vector<ir::ValueId> chains(static_cast<size_t>(sums));
  for (ir::ValueId& chain : chains) {
    chain = builder.fragment_fill(fragment_of(*shape, ir::Role::sum), builder.f32(0));
  }
  chains = builder.loop(builder.i32(0), builder.load(rounds, builder.i32(0)), 1, chains, false,
                        [&](ir::ValueId, std::span<const ir::ValueId> carried) {
                          std::vector<ir::ValueId> next(carried.begin(), carried.end());
                          for (size_t u = 0; u < size_t{kUnitUnroll} * next.size(); ++u) {
                            const size_t c = u % next.size(),
                                         column = static_cast<size_t>(column_count);
                            next[c] = builder.mma(rows[c / column], columns[c % column], next[c]);
                          }
                          for (ir::ValueId& sum : next)
                            sum = is_shared ? builder.mma_wait(sum, 0) : sum;
                          return next;
                        });
  const ir::ValueId unit =
      builder.add(builder.mul(builder.group_id(0), builder.i32(units)),
                  builder.div(builder.wave_id(), static_cast<int64_t>(shape->waves)));
  for (size_t c = 0; c < chains.size(); ++c) {
    const ir::ValueId place =
        builder.add(builder.mul(unit, builder.i32(sums)), builder.i32(static_cast<int64_t>(c)));
    builder.fragment_store({.slot = output,
                            .index = builder.mul(place, builder.i32(sum_size)),
                            .stride = builder.i32(shape->n)},
                           chains[c]);
  }
  TRY_ASSIGN(kernel.binary, emit_verified(builder.finish(), target));
  return std::optional(std::move(kernel));
}

}  // namespace leat
