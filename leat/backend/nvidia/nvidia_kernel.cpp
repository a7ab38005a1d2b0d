// Source: layout of constant bank 0 measured on the output of ptxas 13.0.88 for each architecture;
// what goes into a QMD: tinygrad runtime/ops_nv.py and mesa nak/qmd.rs (both MIT), found to work on
// GH100. Shared memory configurations: value = KiB / 4 + 1.
#include "leat/backend/nvidia/nvidia_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/backend/nvidia/nvidia_image.h"
#include "leat/base/numbers.h"
#include "leat/route/kernel_limits.h"
#include "leat/route/nvidia_target.h"

namespace leat {

namespace {

constexpr uint64_t kCodeTailBytes = 8192;  // mapped behind the code: instructions are prefetched
constexpr uint32_t kStackReserve = 0x240;  // above the stack's top in the local window
constexpr uint32_t kStackTop = (16u << 20) - kStackReserve;
constexpr uint32_t kMembarSystem = 1;  // CWD_MEMBAR_TYPE_L1_SYSMEMBAR

/// Where the launch's facts stand in constant bank 0.
struct BankLayout {
  uint32_t workgroup_size;  // three u32
  uint32_t grid;            // three u32
  uint32_t shared_window;   // u64
  uint32_t local_window;    // u64
  uint32_t stack_top;       // u32
  uint32_t dynamic_shared;  // u32; 0: not told
};

BankLayout layout_of(QmdVersion version) {
  if (version == QmdVersion::v5_0) return {0x360, 0x370, 0x2F0, 0x2F8, 0x37C, 0};
  return {0x0, 0xC, 0x18, 0x20, 0x28, version == QmdVersion::v4_0 ? 0x2Cu : 0u};
}

/// The smallest configuration with at least `bytes` of shared memory for a multiprocessor that has
/// `most` KiB.
uint32_t sm_config_of(uint32_t bytes, uint32_t most) {
  constexpr uint32_t kKib[] = {8, 16, 32, 64, 100, 132, 164, 196, 228};
  for (const uint32_t kib : kKib) {
    if (kib << 10 >= bytes && kib <= most) return kib / 4 + 1;
  }
  return most / 4 + 1;
}

/// What a launch of this code asks of the chip beyond the target's limits.
Result<void> check_resources(const NvidiaCard& card, const KernelBinary& binary,
                             const Cubin& cubin) {
  const auto check = [&](const char* what, uint64_t value, uint64_t limit) {
    return check_limit(binary, card.info, what, value, limit);
  };
  const uint32_t threads = binary.wave_lanes * binary.waves_per_workgroup;
  if (cubin.max_threads != 0) TRY(check("Workgroup size", threads, cubin.max_threads));
  TRY(check("Registers of a lane", cubin.register_count, kNvidiaRegistersPerThreadMax));
  TRY(check("Barriers", cubin.barrier_count, kNvidiaBarriersMax));
  TRY(check("Stack of a lane", cubin.stack_bytes, kStackTop));
  // The section counts the reserve itself, from sm_90 on.
  TRY(check("Local memory", uint64_t{cubin.shared_bytes} + binary.local_memory_bytes,
            card.target.local_memory_bytes_max + kNvidiaSharedReserveBytes));
  return check("Registers of a workgroup",
               uint64_t{round_up(cubin.register_count, 8)} * round_up(threads, 32),
               kNvidiaRegistersPerSm);
}

Result<void> check_cubin(const NvidiaCard& card, const KernelBinary& binary, const Cubin& cubin) {
  // Code for one architecture runs on later ones of the same major number.
  if (cubin.sm_version / 10 != card.sm_version / 10 || cubin.sm_version > card.sm_version) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Kernel \"{}\" is for sm_{}, the chip is sm_{}.", binary.name,
                             cubin.sm_version, card.sm_version));
  }
  const uint64_t parameter_bytes = binary.arguments.size() * sizeof(uint64_t);
  if (cubin.parameter_bytes != parameter_bytes) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Kernel \"{}\" takes ({}) bytes of parameters, its arguments are ({}).",
                    binary.name, cubin.parameter_bytes, parameter_bytes));
  }
  const uint64_t bank_bytes =
      std::max<uint64_t>(cubin.parameter_offset + parameter_bytes, cubin.bank0.size());
  TRY(check_limit(binary, card.info, "Constant bank", bank_bytes,
                  NvidiaImageLayout::kBankBytesMax));
  return check_resources(card, binary, cubin);
}

}  // namespace

NvidiaKernel::NvidiaKernel(NvidiaContext& context, const KernelBinary& binary)
    : Kernel(binary), context_(context), qmd_(context.card.classes.qmd) {}

Result<std::unique_ptr<Kernel>> NvidiaKernel::load(NvidiaContext& context,
                                                   const KernelBinary& binary) {
  TRY(check_limits(binary, context.card.target, context.card.info));
  TRY_ASSIGN(Cubin cubin, read_cubin(binary.code, binary.entry));
  TRY(check_cubin(context.card, binary, cubin));
  auto kernel = std::make_unique<NvidiaKernel>(context, binary);
  TRY(kernel->fill(binary, cubin));
  return std::unique_ptr<Kernel>(std::move(kernel));
}

Result<void> NvidiaKernel::fill(const KernelBinary& binary, Cubin& cubin) {
  context_.drain_retired();
  TRY_ASSIGN(code_,
             context_.memory.allocate(cubin.text.size() + kCodeTailBytes, NvidiaPlace::window));
  relocate_nvidia_code(cubin.text, code_.address, cubin.relocations);
  std::memcpy(code_.host, cubin.text.data(), cubin.text.size());
  context_.setup.set_caches_stale();
  if (cubin.stack_bytes > 0) {
    const uint32_t per_thread = round_up(cubin.stack_bytes + kStackReserve, 32);
    TRY(context_.reserve_local_memory(per_thread));
    qmd_.set(QmdField::local_memory_high, per_thread);
  }
  fill_bank(binary, cubin);
  fill_qmd(binary, cubin);
  fill_shared_memory(binary, cubin);
  return {};
}

void NvidiaKernel::fill_bank(const KernelBinary& binary, const Cubin& cubin) {
  const BankLayout layout = layout_of(qmd_.version());
  std::vector<std::byte>& bytes = bank_->bytes;
  bank_->parameter_offset = cubin.parameter_offset;
  const uint32_t used = cubin.parameter_offset + cubin.parameter_bytes;
  const uint32_t head = qmd_.version() == QmdVersion::v5_0 ? 0x380 : kBankHeadBytes;
  bytes.assign(
      round_up(std::max<uint32_t>({used, head, static_cast<uint32_t>(cubin.bank0.size())}), 16),
      std::byte{0});
  std::ranges::copy(cubin.bank0, bytes.begin());
  const size_t line = cubin.parameter_offset / 64 * 64;
  bank_->is_sparse =
      line >= kBankHeadBytes && bytes.size() >= line &&
      std::all_of(bytes.begin() + kBankHeadBytes, bytes.begin() + static_cast<std::ptrdiff_t>(line),
                  [](std::byte b) { return b == std::byte{0}; }) &&
      qmd_.version() != QmdVersion::v5_0;
  const auto put = [&](uint32_t offset, auto value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
  };
  put(layout.workgroup_size, binary.wave_lanes * binary.waves_per_workgroup);
  put(layout.workgroup_size + 4, 1u);
  put(layout.workgroup_size + 8, 1u);
  bank_->grid_offset = layout.grid;
  for (uint32_t axis = 0; axis < 3; ++axis) put(layout.grid + 4 * axis, binary.grid[axis]);
  put(layout.shared_window, method::kSharedWindow);
  put(layout.local_window, method::kLocalWindow);
  put(layout.stack_top, kStackTop);
  if (layout.dynamic_shared != 0) put(layout.dynamic_shared, binary.local_memory_bytes);
}

void NvidiaKernel::fill_qmd(const KernelBinary& binary, const Cubin& cubin) {
  using enum QmdField;
  const QmdVersion version = qmd_.version();
  qmd_.set(version_major, version == QmdVersion::v3_0 ? 3 : version == QmdVersion::v4_0 ? 4 : 5);
  if (version != QmdVersion::v3_0) qmd_.set(type, 2);  // a grid of workgroups
  if (version != QmdVersion::v4_0) {  // as tinygrad does; on Hopper found to change nothing
    qmd_.set(group_id, version == QmdVersion::v3_0 ? 0x3F : 0x1F);
    qmd_.set(sampler_index, 1);
    qmd_.set(sm_global_caching_enable, 1);
    const uint32_t sm = context_.card.sm_version;
    qmd_.set(sass_version, sm / 10 << 4 | sm % 10);
  }
  qmd_.set(api_visible_call_limit, 1);
  qmd_.set_grid(grid());
  qmd_.set(cta_width, binary.wave_lanes * binary.waves_per_workgroup);
  qmd_.set(cta_height, 1);
  qmd_.set(cta_depth, 1);
  qmd_.set(register_count, cubin.register_count);
  qmd_.set(barrier_count, cubin.barrier_count);
  qmd_.set_program(code_.address);
  // A multiprocessor that fetches its first instructions by itself waits for the second level cache
  // again and again: with this ResNet-50 in fp16 takes 0.258 ms, without 0.367
  // (bench/results/direct-h200-prefetch.json).
  qmd_.set_prefetch(code_.address, cubin.text.size());
  qmd_.set(bank0_prefetch, 1);  // while the launch before runs: 0.1 us less in a chain
  // Each kernel reads what others wrote, and the first level cache does not follow them.
  qmd_.set(invalidate_shader_data_cache, binary.arguments.empty() ? 0 : 1);
  // All writes visible, to the host too, before the release and before what depends on this one.
  // Without it a dependent launch of 65,536 threads saw one old word in 2000 rounds (H200).
  const bool writes = std::ranges::any_of(binary.arguments, &KernelArgument::written);
  qmd_.set(cwd_membar_type, writes ? kMembarSystem : 0);
}

// One workgroup needs MIN; TARGET lets as many be resident as registers and threads allow.
void NvidiaKernel::fill_shared_memory(const KernelBinary& binary, const Cubin& cubin) {
  const QmdVersion version = qmd_.version();
  // From sm_90 on the section counts the reserve itself.
  const bool counted =
      version != QmdVersion::v3_0 && cubin.shared_bytes >= kNvidiaSharedReserveBytes;
  const uint32_t bytes = round_up(
      cubin.shared_bytes + (counted ? 0 : kNvidiaSharedReserveBytes) + binary.local_memory_bytes,
      128);
  const uint32_t threads = round_up(binary.wave_lanes * binary.waves_per_workgroup, 32);
  const uint32_t by_threads = context_.card.warps_per_sm * 32 / threads;
  const uint32_t by_registers =
      kNvidiaRegistersPerSm / (round_up(cubin.register_count, 8) * threads);
  const uint32_t resident =
      std::max(1u, std::min({by_threads, by_registers, kNvidiaWorkgroupsPerSmMax}));
  const uint32_t most = nvidia_shared_kib(context_.card.sm_version);
  qmd_.set(QmdField::shared_memory_size, bytes);
  qmd_.set(QmdField::min_sm_config, sm_config_of(bytes, most));
  qmd_.set(QmdField::target_sm_config, sm_config_of(bytes * resident, most));
  qmd_.set(QmdField::max_sm_config, most / 4 + 1);
}

}  // namespace leat
