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

namespace leat {

namespace {

constexpr size_t kBlockDwords = 2048;
constexpr size_t kBlockArguments = 4096;  // of 8 bytes
// What one command adds at most: a launch with all its state, a wait and scratch; the end.
constexpr size_t kCommandDwordsMax = 96;
constexpr size_t kArgumentsMax = 64;
// A kernel's arguments begin on a cache line.
constexpr size_t kArgumentAlignment = 8;
static_assert(kBlockDwords <= AmdChannel::kSubmitDwordsMax);

}  // namespace

Result<void> AmdCommands::reserve() {
  is_fresh_ = true;
  TRY_ASSIGN(memory_, context_.memory.allocate(kBlockArguments * sizeof(uint64_t), AmdPlace::code));
  words_.reserve(kBlockDwords, kBlockDwords);
  arguments_.reserve(kBlockArguments);
  clear();
  return {};
}

bool AmdCommands::is_full() const {
  return is_fresh_ && (words_.size() + 2 * kCommandDwordsMax > kBlockDwords ||
                       arguments_.size() + 2 * kArgumentsMax > kBlockArguments);
}

void AmdCommands::clear() {
  words_.clear();
  arguments_.clear();
  hazards_.clear();
  state_ = {};
  has_state_ = has_launches_ = has_copies_ = false;
  if (is_fresh_) add_begin(words_, context_);
}

void AmdCommands::add_begin(CommandWords& words, const AmdContext& context) {
  pm4::partial_flush(words);
  pm4::acquire(words, context.card.chip->generation->system_acquire);
}

void AmdCommands::add_end(CommandWords& words, const AmdContext& context, uint64_t fence_value) {
  pm4::release(words, context.card.chip->generation->system_release, pm4::kReleaseValue,
               context.fence.address(), fence_value);
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
  set_state(kernel);
  if (!arguments.empty()) add_arguments(arguments);
  pm4::dispatch(words_, grid);
  has_launches_ = true;
}

/// Only what differs from what the packets before have set.
void AmdCommands::set_state(const AmdKernel& kernel) {
  const AmdRegisters& wanted = kernel.registers();
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
  arguments_.resize((arguments_.size() + kArgumentAlignment - 1) / kArgumentAlignment *
                    kArgumentAlignment);
  words_.add({pm4::header(pm4::kSetShReg, 3, true), pm4::kUserData});
  words_.add_address(words_.size(), arguments_.size() * sizeof(uint64_t));
  words_.add({0, 0});
  for (const MemoryAccess& argument : arguments) arguments_.push_back(argument.address);
}

// A copy goes through L2, where all that launches have written is; what the caches above it hold of
// the target is old afterwards. The packet of 0 bytes ends once the copies have.
void AmdCommands::copy(uint64_t target, uint64_t source, uint64_t size_bytes) {
  CHECK(size_bytes <= kCopyBytesMax);
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

void AmdCommands::mark_time(uint64_t address) {
  pm4::release(words_, pm4::kReleasePlain, pm4::kReleaseClock, address, 0);
}

// --- The end ------------------------------------------------------------------------------------

void AmdCommands::write_arguments(std::byte* target) const {
  if (!arguments_.empty()) {
    std::memcpy(target, arguments_.data(), arguments_.size() * sizeof(uint64_t));
  }
}

void AmdCommands::end(uint64_t fence_value) { add_end(words_, context_, fence_value); }

void AmdCommands::write(std::byte* target) {
  write_arguments(memory_.host);
  words_.place(memory_.address, target);
}

Result<void> AmdCommands::place() {
  if (words_.is_empty()) return {};
  if (words_.size() > pm4::kBufferDwordsMax) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("A recorded list has ({}) dwords of packets, more than the limit ({}).",
                    words_.size(), pm4::kBufferDwordsMax));
  }
  const uint64_t argument_bytes = round_up(arguments_.size() * sizeof(uint64_t), 256);
  TRY_ASSIGN(const DirectRange memory,
             context_.memory.allocate(argument_bytes + words_.size_bytes(), AmdPlace::code));
  write_arguments(memory.host);
  words_.place(memory.address, memory.host + argument_bytes);
  memory_ = memory;
  packets_offset_ = argument_bytes;
  return {};
}

}  // namespace leat
