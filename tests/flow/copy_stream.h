// A stream whose work is a copy: slot by slot 64 bytes made from the item's number go in, come out,
// and are compared. Runs on every device, the null device included, and costs next to nothing.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "leat/device/device.h"
#include "leat/run/juggler.h"

namespace leat {

inline constexpr size_t kItemWords = 8;

/// What item `item` turns into in place `word`.
inline uint64_t word_of(uint64_t item, size_t word) {
  return (item + 1) * 0x9e3779b97f4a7c15ull + word;
}

/// What came out of a stream, by item.
class CopyResults {
 public:
  explicit CopyResults(uint64_t count) : consumed_(count), order_() { order_.reserve(count); }

  Result<void> consume(uint64_t item, const uint64_t* words) {
    for (size_t w = 0; w < kItemWords; ++w) {
      if (words[w] != word_of(item, w)) wrong_.fetch_add(1);
    }
    consumed_[item].fetch_add(1);
    return {};
  }
  /// On the juggler's thread.
  void deliver(uint64_t item) { order_.push_back(item); }

  uint64_t wrong() const { return wrong_.load(); }
  uint64_t consumed_once() const {
    uint64_t count = 0;
    for (const auto& times : consumed_) count += times.load() == 1;
    return count;
  }
  const std::vector<uint64_t>& order() const { return order_; }
  bool is_in_order() const {
    for (uint64_t i = 0; i < order_.size(); ++i) {
      if (order_[i] != i) return false;
    }
    return true;
  }

 private:
  std::vector<std::atomic<uint32_t>> consumed_;
  std::atomic<uint64_t> wrong_ = 0;
  std::vector<uint64_t> order_;
};

/// The slots of one device. The device outlives it, and it outlives the stream.
class CopySlots {
 public:
  /// `extra_bytes` are copied besides in every run, to make it last.
  static Result<std::unique_ptr<CopySlots>> make(Device& device, size_t slots, CopyResults& results,
                                                 size_t extra_bytes = 0) {
    std::unique_ptr<CopySlots> made(new CopySlots(device, results));
    for (size_t s = 0; s < slots; ++s) TRY(made->add_slot(extra_bytes));
    return made;
  }

  JugglerDevice juggled() {
    JugglerDevice juggled;
    juggled.name = device_.info().name;
    juggled.fence = &device_.queue().fence();
    for (const std::unique_ptr<Slot>& slot : slots_) juggled.slots.push_back(work_of(*slot));
    return juggled;
  }

 private:
  // In words: the ticket, its receipt, the input, the output.
  static constexpr size_t kTicket = 0, kReceipt = 8, kInput = 16, kOutput = 32, kWords = 64;
  struct Slot {
    Buffer buffer;
    Buffer extra;
    std::unique_ptr<RecordedList> list;
    uint64_t ticket = 0;

    uint64_t* words() const { return reinterpret_cast<uint64_t*>(buffer.host_pointer()); }
  };

  CopySlots(Device& device, CopyResults& results) : device_(device), results_(results) {}

  Result<void> add_slot(size_t extra_bytes) {
    auto slot = std::make_unique<Slot>();
    TRY_ASSIGN(slot->buffer, device_.allocate(kWords * sizeof(uint64_t), MemoryKind::shared));
    std::memset(slot->words(), 0, kWords * sizeof(uint64_t));
    Queue& queue = device_.queue();
    TRY(queue.begin_record());
    if (extra_bytes > 0) {
      TRY_ASSIGN(slot->extra, device_.allocate(2 * extra_bytes, MemoryKind::device));
      TRY(queue.copy({&slot->extra, 0, extra_bytes}, {&slot->extra, extra_bytes, extra_bytes}));
    }
    TRY(copy(*slot, kOutput, kInput, kItemWords));
    TRY(copy(*slot, kReceipt, kTicket, 1));
    TRY_ASSIGN(slot->list, queue.end_record());
    slots_.push_back(std::move(slot));
    return {};
  }

  Result<void> copy(const Slot& slot, size_t to, size_t from, size_t words) {
    const size_t size_bytes = words * sizeof(uint64_t);
    return device_.queue().copy({&slot.buffer, to * sizeof(uint64_t), size_bytes},
                                {&slot.buffer, from * sizeof(uint64_t), size_bytes});
  }

  JugglerSlot work_of(Slot& slot) {
    JugglerSlot work;
    work.prepare = [&slot](uint64_t item) -> Result<void> {
      for (size_t w = 0; w < kItemWords; ++w) slot.words()[kInput + w] = word_of(item, w);
      return {};
    };
    work.start = [this, &slot] {
      slot.words()[kTicket] = ++slot.ticket;
      return device_.queue().replay(*slot.list);
    };
    work.verify = [&slot] {
      std::atomic_ref<uint64_t> receipt(slot.words()[kReceipt]);
      return receipt.load(std::memory_order_acquire) == slot.ticket;
    };
    work.consume = [this, &slot](uint64_t item) {
      return results_.consume(item, slot.words() + kOutput);
    };
    return work;
  }

  Device& device_;
  CopyResults& results_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace leat
