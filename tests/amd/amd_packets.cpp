#include "tests/amd/amd_packets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tests/amd/amd_packets_words.h"

namespace leat::amd_card {

PacketProcessor::PacketProcessor(GpuMemory& memory, const ProcessorOptions& options)
    : memory_(memory), options_(options), emulator_(memory, options.emulator) {}

void PacketProcessor::begin_submission() { needs_system_acquire_ = true; }

Error PacketProcessor::refused(const Packet& packet, const std::string& text) const {
  std::string words = fmt::format("{:08x}", packet.header);
  for (size_t k = 0; k < std::min<size_t>(packet.body.size(), 8); ++k) {
    words += fmt::format(" {:08x}", packet.body[k]);
  }
  return Error(ErrorKind::device_lost,
               fmt::format("Packet at 0x{:x} ({}): {}.", packet.va, words, text));
}

/// Reads the packet at `va`, of which at most `left_dw` words belong to its buffer.
Result<PacketProcessor::Packet> PacketProcessor::read_packet(uint64_t va, uint64_t left_dw) {
  Packet packet;
  packet.va = va;
  packet.in_buffer = in_buffer_;
  const uint8_t* first = memory_.at(va, 4, kRead);
  if (first == nullptr) return refused(packet, "the word lies in memory that cannot be read");
  std::memcpy(&packet.header, first, 4);
  if (packet.header == kNopOneWord) return packet;
  if (packet.header >> 30 != 3) return refused(packet, "this is no type-3 header");
  const uint64_t size = (packet.header >> 16 & 0x3fff) + 1;
  if (size + 1 > left_dw) return refused(packet, "the packet is longer than what was submitted");
  if ((packet.header & 0xfd) != 0) return refused(packet, "header bits 7:2 and 0 must be 0");
  const uint8_t* body = memory_.at(va + 4, size * 4, kRead);
  if (body == nullptr) return refused(packet, "the packet reaches into memory that cannot be read");
  packet.body.resize(size);
  std::memcpy(packet.body.data(), body, size * 4);
  return packet;
}

Result<void> PacketProcessor::run_ring(uint64_t ring_va, uint64_t size_dw, uint64_t& read_dw,
                                       uint64_t write_dw) {
  is_waiting_ = false;
  if (write_dw < read_dw || write_dw - read_dw > size_dw) {
    return Error(ErrorKind::device_lost,
                 fmt::format("Write pointer ({}) is behind the read pointer ({}) or more than the "
                             "ring ({} words) before it.",
                             write_dw, read_dw, size_dw));
  }
  while (read_dw < write_dw) {
    const uint64_t at = read_dw % size_dw;
    const uint64_t left = std::min(size_dw - at, write_dw - read_dw);
    TRY_ASSIGN(Packet packet, read_packet(ring_va + 4 * at, left));
    TRY_ASSIGN(Outcome outcome, execute(packet));
    if (outcome == Outcome::waits) {
      is_waiting_ = true;
      return {};
    }
    read_dw += 1 + packet.body.size() + skip_dw_;
    skip_dw_ = 0;
  }
  return finish();
}

Result<void> PacketProcessor::run_buffer(uint64_t va, uint64_t size_dw, bool is_last) {
  TRY_ASSIGN(Outcome outcome, run_words(va, size_dw));
  if (outcome == Outcome::waits) {
    return Error(ErrorKind::device_lost, "The buffer waits for memory that nobody will write.");
  }
  return is_last ? finish() : Result<void>();
}

Result<PacketProcessor::Outcome> PacketProcessor::run_words(uint64_t va, uint64_t size_dw) {
  // A chain replaces the rest of the buffer; a cycle of them would never end.
  constexpr int kChainsMax = 4096;
  in_buffer_ = true;
  for (int chains = 0; chains < kChainsMax; ++chains) {
    bool is_chained = false;
    for (uint64_t at = 0; at < size_dw && !is_chained;) {
      TRY_ASSIGN(Packet packet, read_packet(va + 4 * at, size_dw - at));
      if (opcode_of(packet.header) == kOpIndirectBuffer) {
        if (packet.body.size() != 3) return refused(packet, "its size is wrong");
        TRY(check_indirect(packet.body).has_value()
                ? Result<void>()
                : Result<void>(refused(packet, check_indirect(packet.body).error().message())));
        if ((packet.body[2] & kIbChain) == 0) {
          return refused(packet, "inside of an indirect buffer only a chain is allowed");
        }
        va = address_of(packet.body[0], packet.body[1]);
        size_dw = packet.body[2] & kIbSizeMask;
        if (memory_.at(va, size_dw * 4, kRead | kRun) == nullptr) {
          return refused(packet, "the buffer lies in memory that cannot be executed");
        }
        ++packets_;
        is_chained = true;
        continue;
      }
      TRY_ASSIGN(Outcome outcome, execute(packet));
      if (outcome == Outcome::waits) return outcome;
      at += 1 + packet.body.size() + skip_dw_;
      skip_dw_ = 0;
    }
    if (!is_chained) {
      in_buffer_ = false;
      return Outcome::done;
    }
  }
  return Error(ErrorKind::device_lost, "Indirect buffers chain without end.");
}

Result<PacketProcessor::Outcome> PacketProcessor::indirect_buffer(const Packet& packet) {
  const Result<void> fields = check_indirect(packet.body);
  if (!fields) return refused(packet, fields.error().message());
  if ((packet.body[2] & kIbChain) != 0) return refused(packet, "a ring cannot chain");
  const uint64_t va = address_of(packet.body[0], packet.body[1]);
  const uint64_t size_dw = packet.body[2] & kIbSizeMask;
  if (size_dw == 0) return refused(packet, "the buffer is empty");
  if (memory_.at(va, size_dw * 4, kRead | kRun) == nullptr) {
    return refused(packet, "the buffer lies in memory that cannot be executed");
  }
  return run_words(va, size_dw);
}

Result<PacketProcessor::Outcome> PacketProcessor::execute(const Packet& packet) {
  ++packets_;
  clock_ += 100;
  if (packet.header == kNopOneWord) return Outcome::done;
  const PacketShape* shape = shape_of(opcode_of(packet.header));
  if (shape == nullptr) return refused(packet, "the opcode is not known");
  if (packet.body.size() < shape->body_min || packet.body.size() > shape->body_max) {
    return refused(packet, fmt::format("the size of {} is wrong", shape->name));
  }
  const bool is_compute = (packet.header & kComputeBit) != 0;
  if (shape->needs_compute_bit && !is_compute) return refused(packet, "header bit 1 is not set");
  switch (opcode_of(packet.header)) {
    case kOpNop: return Outcome::done;
    case kOpSetShReg: TRY(set_registers(packet)); return Outcome::done;
    case kOpDispatchDirect:
      TRY(dispatch(packet, {packet.body[0], packet.body[1], packet.body[2]}, packet.body[3]));
      return Outcome::done;
    case kOpDispatchIndirect: TRY(dispatch_indirect(packet)); return Outcome::done;
    case kOpAcquireMem: TRY(acquire(packet)); return Outcome::done;
    case kOpReleaseMem: TRY(release(packet)); return Outcome::done;
    case kOpEventWrite:
      if (packet.body[0] != kCsPartialFlush) {
        return refused(packet, "the only event known is CS_PARTIAL_FLUSH with index 4");
      }
      TRY(run_launches());
      complete_ = launches_;
      return Outcome::done;
    case kOpIndirectBuffer: return indirect_buffer(packet);
    default: return execute_memory(packet);
  }
}

Result<void> PacketProcessor::run_launches() {
  std::vector<Pending> launches;
  launches.swap(pending_);
  // Nothing orders them, so the last one may be first.
  for (auto entry = launches.rbegin(); entry != launches.rend(); ++entry) {
    if (before_launch) TRY(before_launch(entry->record));
    const Result<void> done = emulator_.run(entry->record.launch, &entry->visibility);
    if (!done) {
      return Error(done.error().kind(),
                   fmt::format("Launch {}: {}", entry->record.number, done.error().message()));
    }
    if (after_launch) TRY(after_launch(entry->record));
  }
  return {};
}

Result<void> PacketProcessor::run_releases() {
  TRY(run_launches());
  std::vector<Release> releases;
  releases.swap(releases_);
  for (const Release& entry : releases) TRY(apply(entry));
  return {};
}

Result<void> PacketProcessor::finish() {
  TRY(run_releases());
  if (written_back_ < launches_) {
    return Error(ErrorKind::device_lost,
                 fmt::format("Results of launches after {} are never written back from L2: no "
                             "RELEASE_MEM with GL2_WB follows.",
                             written_back_));
  }
  return {};
}

}  // namespace leat::amd_card
