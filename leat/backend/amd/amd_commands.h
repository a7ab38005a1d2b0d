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
  /// Of a block: what the copy engine does of it.
  CommandWords& copies() { return copies_; }
  /// Of a block: adds the end of its submit.
  void end(uint64_t fence_value);
  /// Of a block: writes arguments, and packets to `target`, in the ring.
  void write(std::byte* target);
  /// Of a block.
  uint32_t dwords() const { return words_.size(); }
  /// Of a recorded list: its packets.
  uint64_t list_address() const { return list_address_; }
  uint32_t list_dwords() const { return list_dwords_; }

  /// What every submit begins with, and what it ends with.
  static void add_begin(CommandWords& words, const AmdContext& context);
  static void add_end(CommandWords& words, const AmdContext& context, uint64_t fence_value);

  /// The fence value of the last submit.
  uint64_t submitted_value() const { return submitted_value_; }
  void set_submitted(uint64_t value) { submitted_value_ = value; }

 private:
  void set_state(const AmdRegisters& wanted);
  void add_arguments(std::span<const MemoryAccess> arguments);
  void copy_by_engine(uint64_t target, uint64_t source, uint32_t size_bytes);
  /// All launches so far are done, and what they wrote is seen, before the next command.
  void wait_for_launches(bool acquires);

  // What a replay reads, beside each other: a list that was not replayed for a while is in no
  // cache, and then these loads are what a replay costs.
  uint64_t submitted_value_ = 0;
  uint64_t list_address_ = 0;
  uint32_t list_dwords_ = 0;

  AmdContext& context_;
  DirectRange memory_;  // a block's arguments; a list's arguments and packets
  bool is_fresh_ = false;
  CommandWords words_;
  CommandWords copies_;            // for the copy engine
  uint64_t* arguments_ = nullptr;  // a block's: in its memory, where the GPU reads them
  size_t argument_count_ = 0;
  std::vector<uint64_t> list_arguments_;  // until the list has memory
  MemoryHazards hazards_;
  AmdRegisters state_;         // as the packets so far leave it
  bool has_state_ = false;     // false: the registers hold anything
  bool has_launches_ = false;  // since the last wait
  bool has_copies_ = false;    // since the last acquire
};

}  // namespace leat
