// A list as it lies in the card's memory, and what a submit changes of it there: the value that its
// end sets the fence to, the word that an armed submit waits for, and whether the engine has to
// fall idle first.
//
// An image: [hand-over word, 512 bytes][launches: 512 bytes of QMD, 1536 of constant bank each]
// [compute push buffer][copy push buffer]. The compute push buffer starts with an acquire for armed
// submits and a wait for an idle engine; a submit enters it where it needs to.
#pragma once

#include <cstddef>

#include "leat/backend/nvidia/nvidia_handoff.h"
#include "leat/backend/nvidia/nvidia_memory.h"

namespace leat {

/// Where a submit enters the compute segment.
enum class NvidiaEntry : uint8_t {
  armed,  // waits for the arm word
  busy,   // waits for the engine to fall idle
  idle,   // nothing runs
};

/// Where the parts of an image lie, in bytes from its start.
struct NvidiaImageLayout {
  static constexpr uint64_t kHandoffBytes = 512;
  static constexpr uint64_t kQmdBytes = 512;
  static constexpr uint64_t kBankBytesMax = 1536;  // room for the constant bank of one launch
  static constexpr uint64_t kLaunchBytes = kQmdBytes + kBankBytesMax;

  uint64_t compute = 0;
  uint64_t copy = 0;
  uint64_t size_bytes = 0;

  static NvidiaImageLayout of(size_t launches, size_t compute_dwords, size_t copy_dwords) {
    NvidiaImageLayout layout;
    layout.compute = launch(launches);
    layout.copy = layout.compute + compute_dwords * sizeof(uint32_t);
    layout.size_bytes = round_up(layout.copy + copy_dwords * sizeof(uint32_t), kHandoffBytes);
    return layout;
  }
  static constexpr uint64_t launch(size_t slot) { return kHandoffBytes + slot * kLaunchBytes; }
};

/// A copy of a list in the card's memory.
class NvidiaImage {
 public:
  /// Dwords in front of the commands: an acquire for set_arm() and a wait for idle.
  static constexpr uint32_t kWaitDword = method::kSemaphoreDwords;
  static void add_entry(CommandWords& compute) {
    add_semaphore(compute, 0, 0, kArmExecute);
    compute.add(kWait);
  }
  static uint32_t skipped_dwords(NvidiaEntry entry) {
    return entry == NvidiaEntry::armed  ? 0
           : entry == NvidiaEntry::busy ? kWaitDword
                                        : kWaitDword + 1;
  }

  void open(std::byte* host, uint64_t address) {
    host_ = host;
    address_ = address;
  }
  std::byte* host() const { return host_; }
  uint64_t address() const { return address_; }
  /// The release at the list's end lies at `payload_offset` and holds `value`.
  void set_end(uint64_t payload_offset, uint64_t value) {
    payload_ = {reinterpret_cast<volatile uint32_t*>(host_ + payload_offset)};
    value_ = value;
    waits_ = true;
  }

  /// Nothing to do when the value stands there already, else two stores to the card.
  void set_fence_value(uint64_t value) {
    if (value_ == value) return;
    value_ = value;
    payload_.set(value);
  }
  /// Fills in what an armed submit waits for: `address` holding `payload` or more. `idle`: nothing
  /// runs, so that it need not wait for the engine too.
  void set_arm(const NvidiaImageLayout& layout, uint64_t address, uint64_t payload, bool idle) {
    volatile uint32_t* const words = compute_words(layout);
    LivePair{words + method::kSemaphoreAddress}.set(address);
    LivePair{words + method::kSemaphorePayload}.set(payload);
    words[method::kSemaphoreExecute] = kArmExecute;
    if (waits_ == idle) set_wait(layout, !idle);
  }
  /// Makes the way from `entry` what it says; an armed submit may have changed it.
  void enter(const NvidiaImageLayout& layout, NvidiaEntry entry) {
    if (entry == NvidiaEntry::busy && !waits_) set_wait(layout, true);
  }
  /// The hand-over word as a round finds it.
  void reset_handoff() {
    *reinterpret_cast<volatile uint32_t*>(host_ + NvidiaHandoff::kOffsetBytes) = 0;
  }

 private:
  static constexpr uint32_t kArmExecute = method::kSemAcquireCircular | method::kSemPayload64;
  static constexpr uint32_t kWait =
      method::immediate(method::kComputeSubchannel, method::kWaitForIdle, 0);
  static constexpr uint32_t kNoWait =
      method::immediate(method::kComputeSubchannel, method::kNoOperation, 0);

  volatile uint32_t* compute_words(const NvidiaImageLayout& layout) const {
    return reinterpret_cast<volatile uint32_t*>(host_ + layout.compute);
  }
  void set_wait(const NvidiaImageLayout& layout, bool waits) {
    waits_ = waits;
    compute_words(layout)[kWaitDword] = waits ? kWait : kNoWait;
  }

  std::byte* host_ = nullptr;
  uint64_t address_ = 0;
  LivePair payload_;    // of the end's release
  uint64_t value_ = 0;  // what stands there
  bool waits_ = true;   // the dword where `busy` enters waits
};

}  // namespace leat
