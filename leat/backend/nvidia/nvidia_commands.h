// Commands on their way into memory that the GPU reads: launch descriptors, constant banks and two
// push buffers, one for the compute channel and one for the copy channel. The same class serves the
// few blocks that fresh submits use in turn and a recorded list, which has memory of its own.
//
// Order. Launches form chains: a launch whose arguments overlap with those of one chain, one of
// them written, is made dependent on that chain's last launch by its descriptor, so that the GPU
// goes on without its front end. A launch that overlaps with no chain starts a chain of its own
// and runs beside the others; one that overlaps with several waits for the engine to fall idle.
// Copies run on the copy channel; before the first and after the last of some copies the channels
// hand over through a word in memory.
#pragma once

#include <span>
#include <vector>

#include "leat/backend/nvidia/nvidia_kernel.h"
#include "leat/device/memory_hazards.h"

namespace leat {

class NvidiaCommands final : public RecordedList {
 public:
  explicit NvidiaCommands(NvidiaContext& context) : context_(context) {}
  ~NvidiaCommands() override { context_.retire(memory_); }
  NvidiaCommands(const NvidiaCommands&) = delete;
  NvidiaCommands& operator=(const NvidiaCommands&) = delete;

  /// Reserves everything for `launches_max` launches, so that nothing is allocated later.
  Result<void> reserve(uint32_t launches_max);
  /// Whether another command may not fit into what was reserved.
  bool is_full() const;
  bool is_empty() const { return is_empty_; }
  /// Forgets all commands; the memory stays.
  void clear();

  void launch(const NvidiaKernel& kernel, std::span<const MemoryAccess> arguments);
  /// Of at most kCopyBytesMax.
  void copy(uint64_t target, uint64_t source, uint64_t size_bytes);
  static constexpr uint64_t kCopyBytesMax = 2 * method::kCopyBytesMax;
  /// Writes the time to `address` + 8 once all earlier commands are done.
  void mark_time(uint64_t address);
  /// Writes everything into the card's memory. The end sets the fence to `fence_value`.
  /// Errors, for a list without reserved memory: out_of_memory; invalid_argument, when it is longer
  /// than a segment can be.
  Result<void> finish(uint64_t fence_value);
  /// Where a submit enters the compute segment.
  enum class Entry : uint8_t {
    armed,  // waits for the arm word
    busy,   // waits for the engine to fall idle
    idle,   // nothing runs
  };
  /// Makes the next submit of a finished list set the fence to `value`. Nothing to do when that was
  /// foreseen, else two stores to the card.
  void set_fence_value(uint64_t value);
  /// Fills in what an armed submit waits for: `address` holding `payload` or more. `idle`: nothing
  /// runs, so that it need not wait for the engine too.
  void set_arm(uint64_t address, uint64_t payload, bool idle);
  /// Makes the way from `entry` what it says.
  void enter(Entry entry);
  /// After a submit with that value, which was handed to the GPU.
  void set_submitted(uint64_t value);
  /// 0 before the first submit.
  uint64_t submitted_value() const { return submitted_value_; }

  // The segments of the next submit, once finished.
  uint64_t compute_address(Entry entry) const {
    return image().address + compute_offset_ + skipped_dwords(entry) * sizeof(uint32_t);
  }
  uint32_t compute_dwords(Entry entry) const {
    return static_cast<uint32_t>(compute_.size()) - skipped_dwords(entry);
  }
  uint64_t copy_address() const { return image().address + copy_offset_; }
  /// The hand-over word as a round finds it. No round of this image is in flight.
  void reset_handoff() { *reinterpret_cast<volatile uint32_t*>(image().host) = 0; }
  uint32_t copy_dwords() const { return static_cast<uint32_t>(copy_.size()); }
  /// The segments as they stand in the card's memory: for the check, since reading is slow.
  std::span<const uint32_t> compute_words(Entry entry) const;
  std::span<const uint32_t> copy_words() const;

 private:
  struct Launch {
    const NvidiaBank* bank = nullptr;  // the context keeps it when the kernel goes
    uint32_t first_parameter = 0;
    uint32_t parameter_count = 0;
    uint32_t pcas_index = kNone;  // of its address in compute_; kNone when it is chained
    uint32_t dependent = kNone;   // the launch that follows in its chain
  };
  struct Chain {
    uint32_t tail = 0;
  };
  /// A copy of the whole in the card's memory. Short lists have two that take turns, so that the
  /// fence value of the next submit is written while the GPU works on this one.
  struct Image {
    std::byte* host = nullptr;
    uint64_t address = 0;
    volatile uint32_t* payload = nullptr;  // of the end's release, two dwords
    uint64_t value = 0;                    // what stands there
    bool waits = true;  // the dword where `busy` enters waits; an armed submit may change it
  };
  struct ChainAccess {
    MemoryAccess access;
    uint32_t chain = 0;
  };
  static constexpr uint32_t kArmDwords = 6;
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kEvery = 0xfffffffe;
  // Beyond these a launch waits for the engine instead of being compared with all before it.
  static constexpr size_t kAccessesMax = 4096;
  static constexpr size_t kFreshAccessesMax = 256;

  static uint32_t skipped_dwords(Entry entry) {
    return entry == Entry::armed ? 0 : entry == Entry::busy ? kArmDwords : kArmDwords + 1;
  }
  void close_copies();
  void release_to_copies();
  void front_end_barrier();
  uint32_t conflicting_chain(std::span<const MemoryAccess> accesses) const;
  void remember(std::span<const MemoryAccess> accesses, uint32_t chain);
  void semaphore(std::vector<uint32_t>& words, uint64_t address, uint64_t payload,
                 uint32_t execute);
  void place_release(uint64_t fence_value);
  Result<void> place();
  void write_image(Image& image);
  void set_wait(Image& image, bool waits);
  void write_launch(Image& image, uint32_t index);
  void write_bank(std::byte* target, const Launch& launch, bool whole);
  const Image& image() const { return images_[image_]; }
  bool is_fresh() const { return launches_max_ != 0; }
  uint64_t launch_offset(size_t index) const;

  NvidiaContext& context_;
  NvidiaRange memory_;
  uint32_t launches_max_ = 0;  // 0: a recorded list, sized at its end
  bool is_empty_ = true;
  bool in_copies_ = false;
  uint32_t handoff_ = 0;  // the hand-over word's value that was last waited for
  std::vector<Launch> launches_;
  std::vector<Qmd> qmds_;
  std::vector<uint64_t> parameters_;
  std::vector<uint32_t> compute_;
  std::vector<uint32_t> copy_;
  std::vector<Chain> chains_;  // since the front end last waited
  std::vector<ChainAccess> accesses_;
  std::vector<uint32_t> handoff_words_[2];  // places of the hand-over's address: compute_, copy_
  std::vector<bool> slot_is_dense_;         // the slot's bank holds more than head and parameters
  uint64_t compute_offset_ = 0;
  uint64_t copy_offset_ = 0;
  uint32_t first_slot_ = 0;  // fresh: slots below were used since the constants were invalidated
  Image images_[2];
  uint32_t image_count_ = 1;
  uint32_t image_ = 0;
  uint64_t submitted_value_ = 0;
};

}  // namespace leat
