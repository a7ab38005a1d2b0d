// The scheduler's checks are those of NVIDIA/open-gpu-doc manuals/ampere/ga100/pri_sked.ref.txt
// (SKED_HWW_ESR), as far as a descriptor of ours can break them.
#include "leat/backend/nvidia/nvidia_check.h"

#include <array>
#include <cstring>

#include "leat/backend/nvidia/nvidia_methods.h"
#include "leat/route/nvidia_target.h"
#include "leat/route/packet_text.h"

namespace leat {

namespace {

constexpr uint32_t kThreadsMax = 1024;
constexpr uint32_t kConstantBytesMax = 65536;
constexpr uint32_t kChainMax = 1u << 20;

/// Walks the methods of a segment with the state that they leave.
class SegmentCheck {
 public:
  SegmentCheck(const NvidiaContext& context, PushEngine engine)
      : context_(context), engine_(engine) {}

  Result<void> take(const PushMethod& method);

 private:
  Result<void> check_subchannel(const PushMethod& method) const;
  Result<void> check_semaphore(uint32_t execute) const;
  Result<void> check_copy(uint32_t launch) const;
  Result<void> check_local_memory() const;
  Result<void> check_launch(uint64_t address) const;
  Result<Qmd> read_qmd(uint64_t address) const;
  uint64_t pair(uint32_t high_method) const {
    return uint64_t{value(high_method)} << 32 | value(high_method + 4);
  }
  uint32_t value(uint32_t method) const { return state_[method / 4]; }

  const NvidiaContext& context_;
  PushEngine engine_;
  std::array<uint32_t, 0x1000> state_ = {};  // the last data of each method
};

Result<void> SegmentCheck::check_subchannel(const PushMethod& method) const {
  const uint32_t wanted =
      engine_ == PushEngine::compute ? method::kComputeSubchannel : method::kCopySubchannel;
  const bool is_host = method.method < 0x100 && method.method != method::kSetObject;
  if (is_host || method.subchannel == wanted) return {};
  return broken("Method (0x{:x}) is sent to subchannel ({}) instead of ({}).", method.method,
                method.subchannel, wanted);
}

Result<void> SegmentCheck::take(const PushMethod& method) {
  if (name_of_method(engine_, method.method) == nullptr) {
    return broken("Method (0x{:x}) is none that Leat sends.", method.method);
  }
  TRY(check_subchannel(method));
  state_[method.method / 4] = method.data;
  switch (method.method) {
    case method::kSetObject: {
      const NvidiaClasses& classes = context_.card.classes;
      const uint32_t wanted = engine_ == PushEngine::compute ? classes.compute : classes.copy;
      if (method.data == wanted) return {};
      return broken("Class (0x{:x}) is not the channel's (0x{:x}).", method.data, wanted);
    }
    case method::kSemExecute: return check_semaphore(method.data);
    case method::kLaunchDma: return check_copy(method.data);
    case method::kLocalNonThrottledA + 8: return check_local_memory();
    case method::kSendSignalingPcas2B:
      return check_launch(uint64_t{value(method::kSendPcasA)} << 8);
    default: return {};
  }
}

Result<void> SegmentCheck::check_semaphore(uint32_t execute) const {
  const uint64_t address = uint64_t{value(method::kSemAddrHi)} << 32 | value(method::kSemAddrLo);
  const bool timestamp = (execute & method::kSemTimestamp) != 0;
  const uint64_t size_bytes = timestamp ? 16 : (execute & method::kSemPayload64) != 0 ? 8 : 4;
  if (address % size_bytes != 0) {
    return broken("Semaphore address (0x{:x}) is no multiple of ({}).", address, size_bytes);
  }
  if (context_.memory.is_mapped(address, size_bytes)) return {};
  return broken("Semaphore address (0x{:x}) is not mapped.", address);
}

Result<void> SegmentCheck::check_copy(uint32_t launch) const {
  constexpr uint32_t kPhysical = 3u << 12;
  const uint64_t source = pair(method::kOffsetInUpper), target = pair(method::kOffsetInUpper + 8);
  const uint64_t size_bytes = value(method::kLineLengthIn);
  if (launch != method::kLinearCopy || (launch & kPhysical) != 0) {
    return broken("Copy mode (0x{:x}) is not a linear copy (0x{:x}).", launch, method::kLinearCopy);
  }
  for (const uint64_t address : {source, target}) {
    if (context_.memory.is_mapped(address, size_bytes)) continue;
    return broken("Copy of ({}) bytes at (0x{:x}) leaves what is mapped.", size_bytes, address);
  }
  return {};
}

/// The last of five methods that set it.
Result<void> SegmentCheck::check_local_memory() const {
  const uint64_t base = pair(method::kLocalMemoryA), per_tpc = pair(method::kLocalNonThrottledA);
  const uint64_t size_bytes = per_tpc * context_.card.tpcs_on_die;
  constexpr uint64_t kUnit = 0x8000;
  if (per_tpc == 0 || per_tpc % kUnit != 0) {
    return broken("Local memory of a TPC ({}) is not positive or no multiple of ({}).", per_tpc,
                  kUnit);
  }
  if (context_.memory.is_mapped(base, size_bytes)) return {};
  return broken("Local memory of ({}) bytes at (0x{:x}) is not mapped.", size_bytes, base);
}

Result<Qmd> SegmentCheck::read_qmd(uint64_t address) const {
  Qmd qmd(context_.card.classes.qmd);
  const size_t size_bytes = qmd.dwords().size_bytes();
  const std::byte* host = context_.memory.host_of(address, size_bytes);
  if (host == nullptr || address % kQmdAlignment != 0) {
    return broken("QMD address (0x{:x}) is not one of ours.", address);
  }
  std::memcpy(qmd.dwords().data(), host, size_bytes);
  return qmd;
}

Result<void> SegmentCheck::check_launch(uint64_t address) const {
  for (uint32_t i = 0; i < kChainMax; ++i) {
    TRY_ASSIGN(const Qmd qmd, read_qmd(address));
    TRY(check_qmd(context_, qmd));
    if (qmd.get(QmdField::dependent0_enable) == 0) return {};
    address = qmd.get(QmdField::dependent0_pointer);
  }
  return broken("A chain of launches is longer than ({}) or closed.", kChainMax);
}

Result<void> check_field(const Qmd& qmd, QmdField field, uint64_t least, uint64_t most) {
  const uint64_t value = qmd.get(field);
  if (value >= least && value <= most) return {};
  return broken("QMD field {} ({}) is not in ({} to {}).", name_of(field), value, least, most);
}

/// Bits outside the fields that Leat sets.
Result<void> check_reserved(const Qmd& qmd) {
  Qmd rest = qmd;
  for (size_t i = 0; i < static_cast<size_t>(QmdField::count); ++i) {
    rest.set(static_cast<QmdField>(i), 0);
  }
  const std::span<const uint32_t> dwords = std::as_const(rest).dwords();
  for (size_t i = 0; i < dwords.size(); ++i) {
    if (dwords[i] != 0) return broken("QMD dword ({}) has unknown bits (0x{:x}).", i, dwords[i]);
  }
  return {};
}

Result<void> check_shape(const Qmd& qmd) {
  using enum QmdField;
  TRY(check_field(qmd, grid_width, 1, 0x7fffffff));
  TRY(check_field(qmd, grid_height, 1, 65535));
  TRY(check_field(qmd, grid_depth, 1, 65535));
  TRY(check_field(qmd, cta_width, 1, kThreadsMax));
  TRY(check_field(qmd, cta_height, 1, kThreadsMax));
  TRY(check_field(qmd, cta_depth, 1, 64));
  TRY(check_field(qmd, register_count, 1, kNvidiaRegistersPerThreadMax));
  TRY(check_field(qmd, barrier_count, 0, kNvidiaBarriersMax));
  const uint64_t threads = qmd.get(cta_width) * qmd.get(cta_height) * qmd.get(cta_depth);
  if (threads > kThreadsMax) {
    return broken("Workgroup of ({}) threads is larger than ({}).", threads, kThreadsMax);
  }
  const uint64_t registers = (threads + 31) / 32 * 32 * ((qmd.get(register_count) + 7) / 8 * 8);
  if (registers <= kNvidiaRegistersPerSm) return {};
  return broken("Workgroup needs ({}) registers of ({}).", registers, kNvidiaRegistersPerSm);
}

Result<void> check_memory(const NvidiaContext& context, const Qmd& qmd) {
  using enum QmdField;
  const auto config_bytes = [](uint64_t config) { return (config - 1) * 4096; };
  TRY(check_field(qmd, min_sm_config, 1, qmd.get(max_sm_config)));
  TRY(check_field(qmd, target_sm_config, qmd.get(min_sm_config), qmd.get(max_sm_config)));
  TRY(check_field(qmd, shared_memory_size, 0, config_bytes(qmd.get(min_sm_config))));
  TRY(check_field(qmd, local_memory_high, 0, context.setup.local().bytes_per_thread));
  if (!context.memory.is_mapped(qmd.program(), 128)) {
    return broken("Program address (0x{:x}) is not mapped.", qmd.program());
  }
  if (qmd.prefetch_size_bytes() != 0 &&
      !context.memory.is_mapped(qmd.prefetch_address(), qmd.prefetch_size_bytes())) {
    return broken("Code to prefetch, ({}) bytes at (0x{:x}), is not mapped.",
                  qmd.prefetch_size_bytes(), qmd.prefetch_address());
  }
  TRY(check_field(qmd, bank0_size, 16, kConstantBytesMax));
  if (qmd.get(bank0_valid) == 0 || !context.memory.is_mapped(qmd.bank0(), qmd.get(bank0_size))) {
    return broken("Constant bank at (0x{:x}) of ({}) bytes is not mapped.", qmd.bank0(),
                  qmd.get(bank0_size));
  }
  if (qmd.get(release0_enable) == 0) return {};
  if (context.memory.is_mapped(qmd.release_address(), 8)) return {};
  return broken("Release address (0x{:x}) is not mapped.", qmd.release_address());
}

}  // namespace

Result<void> check_qmd(const NvidiaContext& context, const Qmd& qmd) {
  const uint64_t major = context.card.classes.qmd == QmdVersion::v3_0   ? 3
                         : context.card.classes.qmd == QmdVersion::v4_0 ? 4
                                                                        : 5;
  TRY(check_field(qmd, QmdField::version_major, major, major));
  TRY(check_field(qmd, QmdField::api_visible_call_limit, 1, 1));
  TRY(check_reserved(qmd));
  TRY(check_shape(qmd));
  return check_memory(context, qmd);
}

Result<void> check_segment(const NvidiaContext& context, PushEngine engine,
                           std::span<const uint32_t> words) {
  TRY_ASSIGN(const std::vector<PushMethod> methods, read_segment(words));
  SegmentCheck check(context, engine);
  for (const PushMethod& method : methods) TRY(check.take(method));
  return {};
}

}  // namespace leat
