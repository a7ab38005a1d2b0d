// What the fake driver keeps for each object; shared by the files that implement it.
#pragma once

#include "tests/amd/amd_sdma.h"
#include "tests/amd/fake_kfd.h"

namespace leat::amd_card {

inline constexpr uint64_t kFakePage = 4096;
inline constexpr uint64_t kDoorbellSlice = 0x2000;  // 1024 slots of 8 bytes
inline constexpr uint64_t kEventPageBytes = 32768;
inline constexpr uint32_t kEventsMax = 4096;
inline constexpr uint64_t kNoStore = ~uint64_t{0};  // in a doorbell's slot

struct FakeKfd::Buffer {
  uint64_t handle = 0;
  uint64_t va = 0;
  uint64_t size = 0;
  uint32_t flags = 0;
  int memory_fd = -1;       // what render-node mappings share with us; -1: user memory
  uint8_t* host = nullptr;  // our own mapping
  bool is_mapped = false;   // to the GPU
  uint64_t mmap_offset = 0;
  bool is_vital = false;         // a live queue uses it
  bool is_always_valid = false;  // by the render node: no submit has to name it
  bool is_by_handle = false;     // made by the render node
};

/// What a submit by the render node hands over.
struct FakeKfd::DrmJob {
  uint32_t context = 0;
  uint64_t sequence = 0;
  std::vector<DrmIb> buffers;
  std::vector<uint64_t> listed;
};

struct FakeKfd::Queue {
  uint32_t id = 0;
  KfdCreateQueue made = {};
  uint32_t slot = 0;
  uint64_t read = 0;  // as the queue counts: words of PM4, bytes of SDMA
  uint64_t rung = 0;  // the last doorbell
  bool is_dead = false;
  bool is_stopped = false;
  std::unique_ptr<PacketProcessor> processor;  // one of these two
  std::unique_ptr<SdmaProcessor> sdma;
};

struct FakeKfd::Event {
  uint32_t id = 0;
  uint32_t type = 0;
  bool auto_reset = false;
  bool is_signalled = false;
  KfdEventData data = {};
};

}  // namespace leat::amd_card
