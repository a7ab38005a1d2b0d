// A small device for tests: memory at GPU addresses, kernels compiled by LLVM, launches on the
// emulator. Buffers lie apart, each with an unmapped gap behind it.
#pragma once

#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tests/amd/amd_code_object.h"
#include "tests/amd/amd_emulator.h"

namespace leat::amd_card {

class KernelRun {
 public:
  /// `target` is gfx11xx or gfx12xx.
  KernelRun(const std::string& target, WaveOrder order);

  /// Maps a buffer that holds `bytes`; its GPU address.
  uint64_t buffer(std::span<const uint8_t> bytes, uint8_t access = kRead | kWrite);
  template <class T>
  uint64_t buffer_of(const std::vector<T>& values) {
    return buffer({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)});
  }
  template <class T>
  std::vector<T> values_at(uint64_t va, size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), memory_.find(va, count * sizeof(T))->host, count * sizeof(T));
    return values;
  }

  /// Maps the image of an object and gives its first kernel. Dies on a malformed object.
  void load(std::span<const uint8_t> object);
  /// Maps bare words as a kernel without a descriptor; `rsrc2` as the launch needs it.
  void load_words(const std::vector<uint32_t>& words, uint32_t rsrc1, uint32_t rsrc2);

  /// Runs the loaded kernel with `arguments` as its argument block.
  Result<void> launch(const std::vector<uint64_t>& arguments, uint32_t groups, uint32_t threads);
  Result<void> launch(const Launch& launch) { return emulator_.run(launch); }
  /// The launch that `launch` would run.
  Launch prepared(const std::vector<uint64_t>& arguments, uint32_t groups, uint32_t threads);

  Emulator& emulator() { return emulator_; }
  GpuMemory& memory() { return memory_; }

 private:
  GpuMemory memory_;
  Emulator emulator_;
  std::vector<std::vector<uint8_t>> storage_;
  uint64_t next_va_ = 0x200000000000;
  uint64_t code_va_ = 0;
  KernelDescriptor kernel_;
  bool has_descriptor_ = false;
};

/// The attributes of facts that keep LLVM's implicit inputs away, as group #0, and the module's
/// flags.
std::string kernel_attributes(uint32_t threads, const std::string& more = "");

}  // namespace leat::amd_card
