// Commands on their way into memory that the GPU reads: launch descriptors, constant banks and two
// push buffers, one for the compute channel and one for the copy channel. The same class serves the
// few blocks that fresh submits use in turn and a recorded list, which has memory of its own. What
// waits for what is NvidiaChains' and NvidiaHandoff's to say; how it lies there, NvidiaImage's.
#pragma once

#include <span>
#include <vector>

#include "leat/backend/nvidia/nvidia_chains.h"
#include "leat/backend/nvidia/nvidia_image.h"
#include "leat/backend/nvidia/nvidia_kernel.h"

namespace leat {

class NvidiaCommands final : public RecordedList {
 public:
  explicit NvidiaCommands(NvidiaContext& context) : context_(context) {}
  ~NvidiaCommands() override { context_.retire(memory_); }
  NvidiaCommands(const NvidiaCommands&) = delete;
  NvidiaCommands& operator=(const NvidiaCommands&) = delete;

  /// Makes it a block of fresh submits: reserves everything, so that nothing is allocated later.
  Result<void> reserve();
  /// Whether another command may not fit into what was reserved.
  bool is_full() const;
  /// Forgets all commands; the memory stays.
  void clear();

  void launch(const NvidiaKernel& kernel, std::span<const MemoryAccess> arguments,
              const Grid& grid);
  /// Of at most kCopyBytesMax.
  void copy(uint64_t target, uint64_t source, uint64_t size_bytes);
  static constexpr uint64_t kCopyBytesMax = 2 * method::kCopyBytesMax;
  /// Writes the time to `address` + 8 once all earlier commands are done.
  void mark_time(uint64_t address);
  /// Writes everything into the card's memory. The end sets the fence to `fence_value`.
  /// Errors, for a list without reserved memory: out_of_memory; invalid_argument, when it is longer
  /// than a segment can be.
  Result<void> finish(uint64_t fence_value);

  // What the next submit of a finished list changes of it; see NvidiaImage.
  void set_fence_value(uint64_t value) { image().set_fence_value(value); }
  void set_arm(uint64_t address, uint64_t payload, bool idle) {
    image().set_arm(layout_, address, payload, idle);
  }
  void enter(NvidiaEntry entry) { image().enter(layout_, entry); }
  /// No round of this image is in flight.
  void reset_handoff() { image().reset_handoff(); }
  /// After a submit with that value, which was handed to the GPU.
  void set_submitted(uint64_t value);
  /// 0 before the first submit.
  uint64_t submitted_value() const { return submitted_value_; }

  // The segments of the next submit, once finished.
  uint64_t compute_address(NvidiaEntry entry) const {
    return image().address() + compute_offset(entry);
  }
  uint32_t compute_dwords(NvidiaEntry entry) const {
    return compute_.size() - NvidiaImage::skipped_dwords(entry);
  }
  uint64_t copy_address() const { return image().address() + layout_.copy; }
  uint32_t copy_dwords() const { return copy_.size(); }
  /// The segments as they stand in the card's memory: for the check, since reading is slow.
  std::span<const uint32_t> compute_words(NvidiaEntry entry) const;
  std::span<const uint32_t> copy_words() const;

 private:
  struct Launch {
    const NvidiaBank* bank = nullptr;  // the context keeps it when the kernel goes
    uint32_t first_parameter = 0;
    uint32_t parameter_count = 0;
    Grid grid = {1, 1, 1};
    uint32_t dependent = kNone;  // the launch that follows in its chain
  };
  static constexpr uint32_t kNone = 0xffffffff;

  void front_end_barrier();
  void close_copies();
  uint64_t payload_offset() const;
  void place_release(uint64_t fence_value);
  Result<void> place();
  void write_image(NvidiaImage& image, uint64_t fence_value);
  void write_launch(const NvidiaImage& image, uint32_t index);
  void write_bank(std::byte* target, const Launch& launch, bool whole);
  NvidiaImage& image() { return images_[image_]; }
  const NvidiaImage& image() const { return images_[image_]; }
  bool is_fresh() const { return launches_max_ != 0; }
  uint64_t compute_offset(NvidiaEntry entry) const {
    return layout_.compute + NvidiaImage::skipped_dwords(entry) * sizeof(uint32_t);
  }
  uint64_t launch_offset(size_t index) const {
    return NvidiaImageLayout::launch(first_slot_ + index);
  }

  NvidiaContext& context_;
  DirectRange memory_;
  uint32_t launches_max_ = 0;  // 0: a recorded list, sized at its end
  std::vector<Launch> launches_;
  std::vector<Qmd> qmds_;
  std::vector<uint64_t> parameters_;
  CommandWords compute_;
  CommandWords copy_;
  NvidiaChains chains_;  // since the front end last waited
  NvidiaHandoff handoff_;
  std::vector<bool> slot_is_dense_;  // the slot's bank holds more than head and parameters
  uint32_t first_slot_ = 0;  // fresh: slots below were used since the constants were invalidated
  NvidiaImageLayout layout_;
  /// Short lists have two images that take turns, so that the fence value of the next submit is
  /// written while the GPU works on this one.
  NvidiaImage images_[2];
  uint32_t image_count_ = 1;
  uint32_t image_ = 0;
  uint64_t submitted_value_ = 0;
};

}  // namespace leat
