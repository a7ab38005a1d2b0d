// The operating system of a recorder: one card in KFD's topology, memory, one compute queue. GPU
// addresses are those of the host, in one range, each mapping with an unmapped page behind it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "leat/backend/amd/amd_card.h"
#include "leat/backend/amd/amd_kfd_abi.h"
#include "leat/backend/amd/amd_os.h"
#include "leat/device/recorder.h"

namespace leat {

class AmdRecordingOs {
 public:
  explicit AmdRecordingOs(const AmdChip& chip);
  ~AmdRecordingOs();
  AmdRecordingOs(const AmdRecordingOs&) = delete;
  AmdRecordingOs& operator=(const AmdRecordingOs&) = delete;

  const AmdOs& table() const { return table_; }
  /// Errors: invalid_argument, when nothing is in flight or a packet is not of this route.
  Result<RecordedSubmit> in_flight() const;

 private:
  struct Memory {
    uint64_t address = 0;
    uint64_t size_bytes = 0;
    std::byte* host = nullptr;
    uint32_t flags = 0;
    bool is_mapped = false;
  };

  static AmdRecordingOs& self(void* context) { return *static_cast<AmdRecordingOs*>(context); }
  int call(uint32_t request, void* argument);
  int allocate(kfd::AllocMemory& memory);
  int map(const kfd::MapMemory& memory, bool is_mapped);
  int create_queue(kfd::CreateQueue& queue);
  void* reserve(size_t size_bytes);
  bool read_file(const std::string& path, std::string& text) const;

  /// Does of what is in flight what the host waits for.
  void go_on();
  void do_packets(const uint32_t* words, uint64_t dwords);
  bool has_work() const { return has_queue_ && *doorbell_ > done_dwords_; }
  const uint32_t* ring_words(uint64_t count) const;
  std::string kind_of(const Memory& memory) const;

  std::byte* host_at(uint64_t address) const;

  const AmdChip& chip_;
  AmdOs table_;
  mutable std::mutex mutex_;
  std::map<uint64_t, Memory> memory_;      // by handle
  std::map<uint64_t, size_t> reserved_;    // by address
  std::unique_ptr<uint64_t[]> doorbells_;  // a process's slice
  volatile uint64_t* doorbell_ = nullptr;
  kfd::CreateQueue queue_ = {};
  bool has_queue_ = false;
  uint64_t done_dwords_ = 0;
  uint64_t next_address_;
  uint64_t next_handle_ = 1;
  uint32_t next_event_ = 1;
};

}  // namespace leat
