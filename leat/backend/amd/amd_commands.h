// Commands as packets and the arguments that they point at, on their way into memory that the GPU
// reads. The same class serves the few blocks that fresh submits use in turn, whose packets go into
// the ring, and a recorded list, which the ring calls and which has memory of its own.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "leat/backend/amd/amd_kernel.h"
#include "leat/backend/amd/amd_pm4.h"
#include "leat/device/memory_hazards.h"
#include "leat/route/command_words.h"

namespace leat {

class AmdCommands final : public RecordedList {
 public:
  explicit AmdCommands(AmdContext& context) : context_(context) {}
  ~AmdCommands() override { context_.retire(memory_); }
  AmdCommands(const AmdCommands&) = delete;
  AmdCommands& operator=(const AmdCommands&) = delete;

  /// Makes it a block of fresh submits: reserves everything, so that nothing is allocated later.
  Result<void> reserve();
  /// Whether another command may not fit into what was reserved.
  bool is_full() const;
  /// Forgets all commands; the memory stays. A block's packets begin with what a submit begins
  /// with.
  void clear();

  void launch(const AmdKernel& kernel, std::span<const MemoryAccess> arguments, const Grid& grid);
  /// Of at most kCopyBytesMax.
  void copy(uint64_t target, uint64_t source, uint64_t size_bytes);
  static constexpr uint64_t kCopyBytesMax = uint64_t{4} * pm4::kDmaBytesMax;
  /// Writes the GPU's clock to `address` once all earlier commands are done.
  void mark_time(uint64_t address);

  /// Of a recorded list: places packets and arguments into memory of their own.
  /// Errors: invalid_argument (too long), out_of_memory, io.
  Result<void> place();
  /// Of a block: adds the end of its submit.
  void end(uint64_t fence_value);
  /// Of a block: writes arguments, and packets to `target`, in the ring.
  void write(std::byte* target);
  uint32_t dwords() const { return words_.size(); }
  /// Of a recorded list: its packets.
  uint64_t address() const { return memory_.address + packets_offset_; }
  std::span<const uint32_t> words() const {
    return {reinterpret_cast<const uint32_t*>(memory_.host + packets_offset_), words_.size()};
  }
  /// Of a recorded list, which holds nothing.
  bool is_empty() const { return words_.is_empty(); }

  /// What every submit begins with, and what it ends with.
  static void add_begin(CommandWords& words, const AmdContext& context);
  static void add_end(CommandWords& words, const AmdContext& context, uint64_t fence_value);

  /// The fence value of the last submit.
  uint64_t submitted_value() const { return submitted_value_; }
  void set_submitted(uint64_t value) { submitted_value_ = value; }

 private:
  void set_state(const AmdKernel& kernel);
  void add_arguments(std::span<const MemoryAccess> arguments);
  /// All launches so far are done, and what they wrote is seen, before the next command.
  void wait_for_launches(bool acquires);
  void write_arguments(std::byte* target) const;

  AmdContext& context_;
  DirectRange memory_;  // a block's arguments; a list's arguments and packets
  uint64_t packets_offset_ = 0;
  bool is_fresh_ = false;
  CommandWords words_;
  std::vector<uint64_t> arguments_;
  MemoryHazards hazards_;
  AmdRegisters state_;         // as the packets so far leave it
  bool has_state_ = false;     // false: the registers hold anything
  bool has_launches_ = false;  // since the last wait
  bool has_copies_ = false;    // since the last acquire
  uint64_t submitted_value_ = 0;
};

}  // namespace leat
