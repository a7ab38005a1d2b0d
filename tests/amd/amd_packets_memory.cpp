// Packets that act on memory and caches: ACQUIRE_MEM, RELEASE_MEM, waits, copies. gfx10 and later:
// ACQUIRE_MEM does cache work only and waits for nothing; RELEASE_MEM ends the pipe before it,
// while the packets behind it go on.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "tests/amd/amd_packets.h"
#include "tests/amd/amd_packets_words.h"

namespace leat::amd_card {

namespace {

// GCR_CNTL of ACQUIRE_MEM.
constexpr uint32_t kGliInv = 3, kGlmInv = 1 << 5, kGlkInv = 1 << 7, kGlvInv = 1 << 8,
                   kGl1Inv = 1 << 9, kGl2Inv = 1 << 14, kGl2Wb = 1 << 15;
constexpr uint32_t kGcrGfx11 = 0x3ffff, kGcrGfx12 = 0x3fdcf;  // gfx12 has no GLM (4, 5), GL1 (9)
// Ranges, discard, L2's uncached lines only, and an order of the steps: never used here.
constexpr uint32_t kGcrRanges = 3 << 2 | 1 << 10 | 3 << 11 | 1 << 13 | 3 << 16;
// Poll intervals that drivers use: 10 (PAL, Mesa), 4 (tinygrad).
constexpr uint32_t kPollIntervals[] = {10, 4};
// Dword 1 of RELEASE_MEM.
constexpr uint32_t kReleaseGl2Wb = 1 << 21;
/// What dword 1 may be: which caches act is not seen in results, so only the words that drivers use
/// pass. System release and plain end of pipe (HRX), and the kernel's own fence on gfx11.
constexpr uint32_t kReleaseGfx11[] = {0x0030e528, 0x00000528, 0x06603514};
constexpr uint32_t kReleaseGfx12[] = {0x00304528, 0x00000528};
// COPY_DATA sources and destinations.
constexpr uint32_t kSourceMemory = 1, kSourceL2 = 2, kSourceImmediate = 5, kSourceClock = 9;
constexpr uint32_t kIntoL2 = 2, kIntoMemory = 5;
// The HDP flush of the NBIO: the only registers that WAIT_REG_MEM may name.
constexpr uint32_t kHdpRequest = 0xe26, kHdpDone = 0xe27;

bool compares(uint32_t function, uint64_t value, uint64_t reference) {
  switch (function) {
    case 0: return true;
    case 1: return value < reference;
    case 2: return value <= reference;
    case 3: return value == reference;
    case 4: return value != reference;
    case 5: return value >= reference;
    default: return value > reference;
  }
}

}  // namespace

/// Memory as the command processor reaches it: what launches wrote must have been waited for.
Result<uint8_t*> PacketProcessor::memory_at(const Packet& packet, uint64_t va, uint64_t size,
                                            uint8_t access) {
  uint8_t* host = memory_.at(va, size, access);
  if (host == nullptr) {
    return refused(packet,
                   fmt::format("0x{:x} for {} bytes is {}", va, size, memory_.describe(va)));
  }
  const MemoryRange* range = memory_.find(va, size);
  if (range->shadow == nullptr) return host;
  for (uint64_t word = (va - range->va) / 4; word <= (va - range->va + size - 1) / 4; ++word) {
    if (range->shadow->writer[word] > complete_) {
      return refused(packet, fmt::format("0x{:x} is written by launch {}, which was not waited for",
                                         range->va + 4 * word, range->shadow->writer[word]));
    }
  }
  return host;
}

Result<void> PacketProcessor::acquire(const Packet& packet) {
  const bool is_gfx12 = options_.emulator.generation == Generation::gfx12;
  const auto& body = packet.body;
  const uint32_t gcr = body[6];
  if (body[0] != 0) return refused(packet, "dword 1 must be 0");
  if (body[1] != 0xffffffff || body[2] != 0xff || body[3] != 0 || body[4] != 0) {
    return refused(packet, "only the whole address range (size ff:ffffffff, base 0) is known");
  }
  if (std::ranges::find(kPollIntervals, body[5]) == std::end(kPollIntervals)) {
    return refused(packet, "the poll interval is neither 10 nor 4");
  }
  if ((gcr & ~(is_gfx12 ? kGcrGfx12 : kGcrGfx11)) != 0) {
    return refused(packet, "GCR_CNTL has reserved bits");
  }
  if ((gcr & kGcrRanges) != 0) return refused(packet, "ranges and discards are not known");
  if ((gcr & 3) > 1) return refused(packet, "GLI_INV is neither none nor all");
  if (!is_gfx12 && ((gcr & kGl2Inv) != 0) != ((gcr & kGlmInv) != 0)) {
    return refused(packet, "GL2_INV and GLM_INV go together");
  }
  if ((gcr & kGl2Inv) != 0 && (gcr & kGl2Wb) == 0) {
    return refused(packet, "GL2_INV without GL2_WB loses what other queues have in L2");
  }
  const bool gl1 = is_gfx12 || (gcr & kGl1Inv) != 0;
  if ((gcr & kGlvInv) != 0 && gl1) visible_vector_ = complete_;
  if ((gcr & kGlkInv) != 0) visible_scalar_ = complete_;
  if ((gcr & kGl2Wb) != 0) written_back_ = std::max(written_back_, complete_);
  if ((gcr & kGliInv) != 0) {
    // Launches that are held back began with the code of before.
    TRY(run_launches());
    emulator_.invalidate_instructions();
    if ((gcr & kGl2Inv) != 0 && (gcr & kGlkInv) != 0 && (gcr & kGlvInv) != 0 && gl1) {
      needs_system_acquire_ = false;
    }
  }
  return {};
}

Result<void> PacketProcessor::release(const Packet& packet) {
  const bool is_gfx12 = options_.emulator.generation == Generation::gfx12;
  const auto& body = packet.body;
  const uint32_t interrupt = word_field(body[1], 26, 24), data = word_field(body[1], 31, 29);
  const std::span<const uint32_t> known = is_gfx12 ? std::span<const uint32_t>(kReleaseGfx12)
                                                   : std::span<const uint32_t>(kReleaseGfx11);
  if (std::ranges::find(known, body[0]) == known.end()) {
    return refused(packet, "dword 1 is no release that is known for this generation");
  }
  if ((body[1] & ~0xe7030000U) != 0) return refused(packet, "dword 2 has reserved bits");
  if (word_field(body[1], 17, 16) > 1) return refused(packet, "DST_SEL is not known");
  if (interrupt > 3 || data > 4) return refused(packet, "INT_SEL or DATA_SEL is not known");
  Release entry;
  entry.cache = body[0];
  entry.select = body[1];
  entry.va = address_of(body[2], body[3]);
  entry.value = address_of(body[4], body[5]);
  entry.context = body[6];
  entry.launches = launches_;
  if (data != 0) {
    const uint32_t size = data == 1 ? 4 : 8;
    if (entry.va % size != 0)
      return refused(packet, fmt::format("address is not {}-aligned", size));
    if (memory_.at(entry.va, size, kWrite) == nullptr) {
      return refused(packet,
                     fmt::format("fence 0x{:x} is {}", entry.va, memory_.describe(entry.va)));
    }
    if (data == 1 && body[5] != 0) return refused(packet, "a 32-bit value has a high half");
    if ((interrupt == 0) && data <= 2) {
      return refused(packet, "the fence is written without a confirmation (INT_SEL 2 or 3)");
    }
  } else if (interrupt == 0) {
    return refused(packet, "it neither writes nor interrupts");
  }
  if ((interrupt == 1 || interrupt == 2) != (entry.context != 0)) {
    return refused(packet, "an interrupt and its context go together");
  }
  releases_.push_back(entry);
  return {};
}

Result<void> PacketProcessor::apply(const Release& entry) {
  const uint32_t data = word_field(entry.select, 31, 29);
  const uint32_t interrupt = word_field(entry.select, 26, 24);
  if ((entry.cache & kReleaseGl2Wb) != 0) written_back_ = std::max(written_back_, entry.launches);
  if ((data == 1 || data == 2) && written_back_ < entry.launches) {
    return Error(ErrorKind::device_lost,
                 fmt::format("Fence 0x{:x} says that launch {} is done, but its results are still "
                             "in L2: RELEASE_MEM without GL2_WB.",
                             entry.va, entry.launches));
  }
  if (data != 0) {
    ++clock_;
    const uint64_t value = data >= 3 ? clock_ : entry.value;
    std::memcpy(memory_.at(entry.va, data == 1 ? 4 : 8, kWrite), &value, data == 1 ? 4 : 8);
  }
  if ((interrupt == 1 || interrupt == 2) && on_interrupt) on_interrupt(entry.context);
  complete_ = std::max(complete_, entry.launches);
  return {};
}

Result<PacketProcessor::Outcome> PacketProcessor::wait(const Packet& packet) {
  const bool is_wide = opcode_of(packet.header) == kOpWaitRegMem64;
  const auto& body = packet.body;
  const uint32_t space = word_field(body[0], 5, 4), operation = word_field(body[0], 7, 6);
  const uint32_t function = word_field(body[0], 2, 0);
  if ((body[0] & ~0x060000f7U) != 0 || function == 7 || space > 1) {
    return refused(packet, "dword 1 has reserved bits");
  }
  if (space == 0) {
    const bool is_hdp = operation == 1 && body[1] == kHdpRequest && body[2] == kHdpDone;
    return is_hdp ? Result<Outcome>(Outcome::done)
                  : Result<Outcome>(refused(packet, "this register is not one to wait for"));
  }
  if (operation != 0) return refused(packet, "only a plain wait is known");
  const uint64_t va = address_of(body[1], body[2]);
  const uint64_t size = is_wide ? 8 : 4;
  if (va % size != 0) return refused(packet, fmt::format("address is not {}-aligned", size));
  const uint64_t reference = is_wide ? address_of(body[3], body[4]) : body[3];
  const uint64_t mask = is_wide ? address_of(body[5], body[6]) : body[4];
  const uint32_t interval = body[is_wide ? 7 : 5];
  if ((interval & 0x7fff0000) != 0) return refused(packet, "the poll interval has 16 bits");
  if (mask == 0) return refused(packet, "the mask is 0");
  for (int round = 0; round < 2; ++round) {
    TRY_ASSIGN(uint8_t * host, memory_at(packet, va, size, kRead));
    uint64_t value = 0;
    std::memcpy(&value, host, size);
    if (compares(function, value & mask, reference)) return Outcome::done;
    if (round == 0) TRY(run_releases());
  }
  --packets_;  // it will be looked at again
  return Outcome::waits;
}

Result<void> PacketProcessor::write_data(const Packet& packet) {
  const auto& body = packet.body;
  const uint32_t into = word_field(body[0], 11, 8);
  if ((body[0] & ~0xc6110f00U) != 0) return refused(packet, "dword 1 has reserved bits");
  if (into != kIntoL2 && into != kIntoMemory) return refused(packet, "DST_SEL is not known");
  if ((body[0] & 1 << 16) != 0) return refused(packet, "a fixed address is not known");
  const uint64_t va = address_of(body[1], body[2]);
  if (va % 4 != 0) return refused(packet, "the address is not a multiple of 4");
  const size_t size = (body.size() - 3) * 4;
  TRY_ASSIGN(uint8_t * host, memory_at(packet, va, size, kWrite));
  std::memcpy(host, body.data() + 3, size);
  return {};
}

Result<void> PacketProcessor::copy_data(const Packet& packet) {
  const auto& body = packet.body;
  const uint32_t from = word_field(body[0], 3, 0), into = word_field(body[0], 11, 8);
  const uint32_t size = word_field(body[0], 16, 16) != 0 ? 8 : 4;
  if ((body[0] & ~0x06110f0fU) != 0) return refused(packet, "dword 1 has reserved bits");
  if (into != kIntoL2 && into != kIntoMemory) return refused(packet, "DST_SEL is not known");
  const uint64_t source = address_of(body[1], body[2]), target = address_of(body[3], body[4]);
  uint64_t value = source;
  if (from == kSourceClock) {
    value = clock_;
  } else if (from == kSourceMemory || from == kSourceL2) {
    if (source % size != 0) return refused(packet, "the source is not aligned");
    TRY_ASSIGN(uint8_t * host, memory_at(packet, source, size, kRead));
    std::memcpy(&value, host, size);
  } else if (from != kSourceImmediate) {
    return refused(packet, "SRC_SEL is not known");
  }
  if (target % size != 0) return refused(packet, "the destination is not aligned");
  TRY_ASSIGN(uint8_t * host, memory_at(packet, target, size, kWrite));
  std::memcpy(host, &value, size);
  return {};
}

/// DMA_DATA: SRC_SEL [30:29] 0 memory, 2 data, 3 L2; DST_SEL [21:20] 0 memory, 3 L2.
Result<void> PacketProcessor::fill_or_copy(const Packet& packet) {
  const auto& body = packet.body;
  const uint32_t from = word_field(body[0], 30, 29), into = word_field(body[0], 21, 20);
  if ((body[0] & ~0x66306000U) != 0) return refused(packet, "dword 1 has reserved bits");
  if (from == 1 || (into != 0 && into != 3)) return refused(packet, "a selector is not known");
  const uint32_t size = word_field(body[5], 25, 0);
  if ((body[5] & ~0x43ffffffU) != 0) return refused(packet, "the command has reserved bits");
  const uint64_t target = address_of(body[3], body[4]);
  if (size == 0) return {};
  TRY_ASSIGN(uint8_t * host, memory_at(packet, target, size, kWrite));
  if (from == 2) {
    for (uint32_t k = 0; k + 4 <= size; k += 4) std::memcpy(host + k, &body[1], 4);
    return size % 4 == 0 ? Result<void>() : Result<void>(refused(packet, "a fill has whole words"));
  }
  TRY_ASSIGN(uint8_t * source, memory_at(packet, address_of(body[1], body[2]), size, kRead));
  std::memmove(host, source, size);
  return {};
}

/// ATOMIC_MEM: 0x07 stores 32 bits, 0x27 64 bits.
Result<void> PacketProcessor::atomic(const Packet& packet) {
  const auto& body = packet.body;
  if (body[0] != 0x07 && body[0] != 0x27) return refused(packet, "the operation is not known");
  const uint32_t size = body[0] == 0x27 ? 8 : 4;
  const uint64_t va = address_of(body[1], body[2]);
  if (va % size != 0) return refused(packet, "the address is not aligned");
  if (body[5] != 0 || body[6] != 0 || body[7] != 0) return refused(packet, "unused words are set");
  TRY_ASSIGN(uint8_t * host, memory_at(packet, va, size, kWrite));
  const uint64_t value = address_of(body[3], body[4]);
  std::memcpy(host, &value, size);
  return {};
}

Result<PacketProcessor::Outcome> PacketProcessor::execute_memory(const Packet& packet) {
  switch (opcode_of(packet.header)) {
    case kOpWaitRegMem:
    case kOpWaitRegMem64: return wait(packet);
    case kOpWriteData: TRY(write_data(packet)); break;
    case kOpCopyData: TRY(copy_data(packet)); break;
    case kOpDmaData: TRY(fill_or_copy(packet)); break;
    case kOpAtomicMem: TRY(atomic(packet)); break;
    case kOpCondExec: {
      if (packet.body[2] != 0 || (packet.body[3] & ~0x3fffU) != 0) {
        return refused(packet, "reserved bits are set");
      }
      TRY_ASSIGN(uint8_t * host,
                 memory_at(packet, address_of(packet.body[0], packet.body[1]), 4, kRead));
      uint32_t flag;
      std::memcpy(&flag, host, 4);
      if (flag == 0) skip_dw_ = packet.body[3];
      break;
    }
    default: return refused(packet, "the packet is not executed");
  }
  return Outcome::done;
}

}  // namespace leat::amd_card
