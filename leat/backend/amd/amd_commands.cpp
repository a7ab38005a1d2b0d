// Launches that touch no memory in common run side by side; one that meets an earlier one waits by
// a partial flush and sees its results by an acquire of the caches above L2. Overwriting what an
// earlier launch read or wrote counts as meeting it. Source: warpfront/hipfire pull 594 (replayed
// lists that reuse memory), ROCm/legacy-rocm-build issue 6409 (which caches).
#include "leat/backend/amd/amd_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "leat/backend/amd/amd_channel.h"
#include "leat/backend/amd/amd_pm4.h"
#include "leat/backend/amd/amd_sdma_words.h"

namespace leat {

namespace {

constexpr size_t kBlockDwords = 2048;
constexpr size_t kBlockArguments = 4096;  // of 8 bytes
constexpr size_t kBlockCopyDwords = 512;
constexpr size_t kCopyDwords = sdma::kPollDwords + sdma::kCopyDwords + sdma::kFenceDwords;
// Smaller copies are not worth that the queues wait for each other. Not measured: no card was here.
constexpr uint64_t kEngineBytesLeast = uint64_t{1} << 20;
// What one command adds at most: a launch with all its state, a wait and scratch; the end.
constexpr size_t kCommandDwordsMax = 96;
constexpr size_t kArgumentsMax = 64;
// A kernel's arguments begin on a cache line.
constexpr size_t kArgumentAlignment = 8;
static_assert(kBlockDwords <= AmdChannel::kSubmitDwordsMax);
static_assert(AmdCommands::kCopyBytesMax <= sdma::kCopyBytesMax);

}  // namespace

Result<void> AmdCommands::reserve() {
  is_fresh_ = true;
  TRY_ASSIGN(memory_, context_.memory.allocate(kBlockArguments * sizeof(uint64_t), AmdPlace::code));
  words_.reserve(kBlockDwords, 0);
  copies_.reserve(kBlockCopyDwords, 0);
  hazards_.reserve(kArgumentsMax);
  arguments_ = reinterpret_cast<uint64_t*>(memory_.host);
  clear();
  return {};
}

bool AmdCommands::is_full() const {
  return is_fresh_ && (words_.size() + 2 * kCommandDwordsMax > kBlockDwords ||
                       argument_count_ + 2 * kArgumentsMax > kBlockArguments ||
                       copies_.size() + kCopyDwords > kBlockCopyDwords);
}

void AmdCommands::clear() {
  words_.clear();
  copies_.clear();
  list_arguments_.clear();
  argument_count_ = 0;
  hazards_.clear();
  state_ = {};
  has_state_ = has_launches_ = has_copies_ = false;
  if (is_fresh_) add_begin(words_, context_);
}

void AmdCommands::add_begin(CommandWords& words, const AmdContext& context) {
  pm4::partial_flush(words);
  pm4::acquire(words, context.card.chip->generation->system_acquire);
  if (context.is_by_drm()) pm4::enable_all_units(words);
}

void AmdCommands::add_end(CommandWords& words, const AmdContext& context, uint64_t fence_value) {
  pm4::release(words, context.card.chip->generation->system_release, pm4::kReleaseValue,
               context.fence.address(), fence_value);
  if (context.is_by_drm()) pm4::align(words, drm::kBufferAlignment);
}

// --- Commands -----------------------------------------------------------------------------------

void AmdCommands::wait_for_launches(bool acquires) {
  if (has_launches_) pm4::partial_flush(words_);
  if (acquires) pm4::acquire(words_, context_.card.chip->generation->light_acquire);
  has_launches_ = false;
  if (acquires) has_copies_ = false;
}

void AmdCommands::launch(const AmdKernel& kernel, std::span<const MemoryAccess> arguments,
                         const Grid& grid) {
  const bool meets = hazards_.add(arguments);
  if (meets || has_copies_) wait_for_launches(true);
  // A kernel's code stays where it is while commands here may name it, so the entry tells kernels
  // apart.
  if (!has_state_ || state_.entry != kernel.registers().entry) set_state(kernel.registers());
  if (!arguments.empty()) add_arguments(arguments);
  pm4::dispatch(words_, grid);
  has_launches_ = true;
}

/// Only what differs from what the packets before have set.
void AmdCommands::set_state(const AmdRegisters& wanted) {
  const auto differs = [&](auto AmdRegisters::*member) {
    return !has_state_ || state_.*member != wanted.*member;
  };
  if (differs(&AmdRegisters::entry)) {
    pm4::set_registers(words_, pm4::kProgram, {low(wanted.entry >> 8), high(wanted.entry >> 8)});
  }
  if (differs(&AmdRegisters::rsrc1) || differs(&AmdRegisters::rsrc2)) {
    pm4::set_registers(words_, pm4::kResources, {wanted.rsrc1, wanted.rsrc2});
  }
  if (differs(&AmdRegisters::rsrc3)) {
    pm4::set_registers(words_, pm4::kResources3, {wanted.rsrc3});
  }
  if (differs(&AmdRegisters::resource_limits)) {
    pm4::set_registers(words_, pm4::kResourceLimits, {wanted.resource_limits});
  }
  if (!has_state_) {
    pm4::set_registers(words_, pm4::kStart, {0, 0, 0, wanted.threads, 1, 1});
  } else if (differs(&AmdRegisters::threads)) {
    pm4::set_registers(words_, pm4::kNumThread, {wanted.threads});
  }
  AmdScratch scratch = state_.scratch;
  if (wanted.uses_scratch() && scratch.address != wanted.scratch.address) {
    scratch = wanted.scratch;
    pm4::set_registers(words_, pm4::kTmpringSize, {scratch.tmpring_size});
    pm4::set_registers(words_, pm4::kScratchBase,
                       {low(scratch.address >> 8), high(scratch.address >> 8)});
  }
  state_ = wanted;
  state_.scratch = scratch;
  has_state_ = true;
}

void AmdCommands::add_arguments(std::span<const MemoryAccess> arguments) {
  const size_t first = round_up(argument_count_, kArgumentAlignment);
  argument_count_ = first + arguments.size();
  if (!is_fresh_) {
    if (list_arguments_.size() < argument_count_) list_arguments_.resize(2 * argument_count_);
    arguments_ = list_arguments_.data();
    words_.add_address(words_.size() + 2, first * sizeof(uint64_t));
  }
  const uint64_t address = memory_.address + first * sizeof(uint64_t);
  words_.add({pm4::header(pm4::kSetShReg, 3, true), pm4::kUserData, low(address), high(address)});
  for (size_t i = 0; i < arguments.size(); ++i) arguments_[first + i] = arguments[i].address;
}

// A copy goes through L2, where all that launches have written is; what the caches above it hold of
// the target is old afterwards. The packet of 0 bytes ends once the copies have.
void AmdCommands::copy(uint64_t target, uint64_t source, uint64_t size_bytes) {
  CHECK(size_bytes <= kCopyBytesMax);
  if (is_fresh_ && context_.handoff.is_open && size_bytes >= kEngineBytesLeast) {
    return copy_by_engine(target, source, static_cast<uint32_t>(size_bytes));
  }
  wait_for_launches(false);
  while (size_bytes > 0) {
    const auto part = static_cast<uint32_t>(std::min<uint64_t>(size_bytes, pm4::kDmaBytesMax));
    pm4::copy(words_, target, source, part);
    target += part;
    source += part;
    size_bytes -= part;
  }
  pm4::copy(words_, 0, 0, 0);
  hazards_.clear();
  has_copies_ = true;
}

// The compute queue ends what came before, lets the copy engine go on, and waits for it. Exactly
// the step is waited for: neither number moves on before the other has.
void AmdCommands::copy_by_engine(uint64_t target, uint64_t source, uint32_t size_bytes) {
  AmdHandoff& handoff = context_.handoff;
  const AmdGeneration& generation = *context_.card.chip->generation;
  const uint32_t step = ++handoff.steps;
  pm4::release(words_, generation.system_release, pm4::kReleaseValue, handoff.from_compute, step);
  sdma::wait_equal(copies_, handoff.from_compute, step);
  sdma::copy(copies_, target, source, size_bytes);
  sdma::fence(copies_, handoff.from_copies, step);
  pm4::wait_equal(words_, handoff.from_copies, step);
  pm4::acquire(words_, generation.system_acquire);
  hazards_.clear();
  has_launches_ = has_copies_ = false;
}

void AmdCommands::mark_time(uint64_t address) {
  pm4::release(words_, pm4::kReleasePlain, pm4::kReleaseClock, address, 0);
}

// --- The end ------------------------------------------------------------------------------------

void AmdCommands::end(uint64_t fence_value) { add_end(words_, context_, fence_value); }

void AmdCommands::write(std::byte* target) { words_.place(memory_.address, target); }

Result<void> AmdCommands::place() {
  if (words_.is_empty()) return {};
  if (context_.is_by_drm()) pm4::align(words_, drm::kBufferAlignment);
  if (words_.size() > pm4::kBufferDwordsMax) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("A recorded list has ({}) dwords of packets, more than the limit ({}).",
                    words_.size(), pm4::kBufferDwordsMax));
  }
  const uint64_t argument_bytes = round_up(argument_count_ * sizeof(uint64_t), 256);
  TRY_ASSIGN(const DirectRange memory,
             context_.memory.allocate(argument_bytes + words_.size_bytes(), AmdPlace::code));
  if (argument_count_ > 0) {
    std::memcpy(memory.host, arguments_, argument_count_ * sizeof(uint64_t));
  }
  words_.place(memory.address, memory.host + argument_bytes);
  memory_ = memory;
  list_address_ = memory.address + argument_bytes;
  list_dwords_ = words_.size();
  return {};
}

}  // namespace leat
