// The registers that a wave begins with: LLVM, "User Guide for AMDGPU Backend", "Initial Kernel
// Execution State"; the fields of RSRC1 and RSRC2: Linux gc_11_0_0_sh_mask.h, gc_12_0_0_sh_mask.h,
// COMPUTE_PGM_RSRC1 and COMPUTE_PGM_RSRC2.
#include "tests/amd/amd_emulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "tests/amd/amd_emulator_decode.h"

namespace leat::amd_card {

namespace {

constexpr uint32_t kLocalGranule = 512;  // RSRC2.LDS_SIZE counts these
constexpr uint32_t kVgprGranule = 8;     // RSRC1.VGPRS, wave32
constexpr uint32_t kWavesMax = 32;       // 1024 work-items
constexpr uint32_t kQuantumMax = 40;     // instructions between changes of the wave, order `mixed`
constexpr uint32_t kTtmpGroupX = kTtmp0 + 9;
constexpr uint32_t kTtmpGroupYZ = kTtmp0 + 7;

uint32_t field(uint32_t word, uint32_t high, uint32_t low) {
  return uint32_t(word >> low & ((uint64_t{1} << (high - low + 1)) - 1));
}

Error refused(const std::string& text) { return Error(ErrorKind::device_lost, text); }

}  // namespace

/// Decoded instructions of one executable range; index 0 of `at` is "not decoded yet".
struct Emulator::Code {
  uint64_t va = 0;
  uint64_t size = 0;
  const uint8_t* host = nullptr;
  std::vector<uint32_t> at;
  std::deque<Instruction> instructions;  // stable addresses
};

Emulator::Emulator(GpuMemory& memory, const EmulatorOptions& options)
    : memory_(memory), options_(options) {}
Emulator::~Emulator() = default;

void Emulator::invalidate_instructions() {
  codes_.clear();
  last_code_ = nullptr;
}

uint64_t Emulator::draw() {  // xorshift64, good enough to vary orders
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

std::vector<uint32_t> Emulator::shuffled(uint32_t count) {
  std::vector<uint32_t> order(count);
  for (uint32_t k = 0; k < count; ++k) order[k] = k;
  if (options_.order == WaveOrder::backward) std::ranges::reverse(order);
  if (options_.order == WaveOrder::mixed) {
    for (uint32_t k = count; k > 1; --k) std::swap(order[k - 1], order[draw() % k]);
  }
  return order;
}

Result<void> Emulator::check(const Launch& launch) const {
  if (launch.entry % 256 != 0) {
    return refused(fmt::format("Entry 0x{:x} is not a multiple of 256.", launch.entry));
  }
  const uint64_t items = uint64_t{launch.threads[0]} * launch.threads[1] * launch.threads[2];
  if (items == 0 || items > kWavesMax * kLanes) {
    return refused(fmt::format("Workgroup of {} work-items is outside 1 to 1024.", items));
  }
  for (uint32_t axis = 0; axis < 3; ++axis) {
    if (launch.partial[axis] <= launch.threads[axis]) continue;
    return refused(fmt::format("Partial workgroup of {} work-items along axis {} is above {}.",
                               launch.partial[axis], axis, launch.threads[axis]));
  }
  if ((field(launch.rsrc1, 5, 0) + 1) * kVgprGranule > kVgprs) {
    return refused(fmt::format("RSRC1.VGPRS is {}, above {} registers of waves of 32.",
                               field(launch.rsrc1, 5, 0), kVgprs));
  }
  if (field(launch.rsrc1, 9, 6) != 0) return refused("RSRC1.SGPRS is not 0.");
  if (field(launch.rsrc1, 11, 10) != 0) return refused("RSRC1.PRIORITY is not 0.");
  if (field(launch.rsrc1, 25, 24) != 0 || field(launch.rsrc1, 28, 27) != 0) {
    return refused(fmt::format("RSRC1 (0x{:08x}) has reserved bits.", launch.rsrc1));
  }
  if (field(launch.rsrc2, 14, 13) != 0 || field(launch.rsrc2, 31, 24) != 0) {
    return refused(
        fmt::format("RSRC2 (0x{:08x}) enables exceptions or reserved bits.", launch.rsrc2));
  }
  if (field(launch.rsrc2, 10, 10) != 0) return refused("RSRC2.TG_SIZE_EN is not known.");
  if (field(launch.rsrc2, 12, 11) == 3) return refused("RSRC2.TIDIG_COMP_CNT is 3.");
  if (field(launch.rsrc2, 23, 15) * kLocalGranule > 65536) {
    return refused("RSRC2.LDS_SIZE is above 64 KiB.");
  }
  if ((launch.rsrc2 & 1) != 0 && launch.scratch_bytes == 0) {
    return refused("RSRC2.SCRATCH_EN is set, but no private memory is configured.");
  }
  return {};
}

void Emulator::begin_group(const Launch& launch, uint32_t work_items) {
  const uint32_t bytes = field(launch.rsrc2, 23, 15) * kLocalGranule;
  group_.local.resize(bytes);
  for (uint32_t k = 0; k + 4 <= bytes; k += 4) std::memcpy(&group_.local[k], &kPoison, 4);
  group_.local_defined.assign(bytes, 0);
  group_.waves = (work_items + kLanes - 1) / kLanes;
  group_.signalled = 0;
  group_.generation = 0;
  while (waves_.size() < group_.waves) waves_.push_back(std::make_unique<Wave>());
}

void Emulator::begin_wave(Wave& w, const Launch& launch, const std::array<uint32_t, 3>& group,
                          const std::array<uint32_t, 3>& size, uint32_t index) {
  const bool is_gfx12 = options_.generation == Generation::gfx12;
  w.reset((field(launch.rsrc1, 5, 0) + 1) * kVgprGranule,
          (launch.rsrc2 & 1) != 0 ? launch.scratch_bytes : 0);
  w.generation = options_.generation;
  w.group = &group_;
  w.memory = &memory_;
  w.index = index;
  w.pc = launch.entry;
  const uint32_t mode = field(launch.rsrc1, 19, 12);
  w.mode.round_single = mode & 3;
  w.mode.round_double = mode >> 2 & 3;
  w.mode.denormal_single = mode >> 4 & 3;
  w.mode.denormal_double = mode >> 6 & 3;
  w.mode.dx10_clamp = !is_gfx12 && field(launch.rsrc1, 21, 21) != 0;
  w.mode.ieee = !is_gfx12 && field(launch.rsrc1, 23, 23) != 0;

  const auto set = [&](uint32_t r, uint32_t value) {
    w.s[r] = value;
    w.s_defined[r] = true;
  };
  uint32_t next = field(launch.rsrc2, 5, 1);
  for (uint32_t k = 0; k < next && k < 16; ++k) {
    if ((launch.user_data_set >> k & 1) != 0) set(k, launch.user_data[k]);
  }
  if (is_gfx12) {
    set(kTtmpGroupX, group[0]);
    set(kTtmpGroupYZ, group[1] | group[2] << 16);
  } else {
    for (uint32_t axis = 0; axis < 3; ++axis) {
      if (field(launch.rsrc2, 7 + axis, 7 + axis) != 0) set(next++, group[axis]);
    }
  }
  const uint32_t items = size[0] * size[1] * size[2];
  const uint32_t first = index * kLanes;
  const uint32_t count = std::min(items - first, kLanes);
  set(kExec, count == kLanes ? ~0U : (1U << count) - 1);
  set(kExec + 1, 0);
  const uint32_t axes = field(launch.rsrc2, 12, 11);
  for (uint32_t l = 0; l < count; ++l) {
    const uint32_t item = first + l;
    const uint32_t x = item % size[0], y = item / size[0] % size[1], z = item / size[0] / size[1];
    w.v[0][l] = x | (axes >= 1 ? y << 10 : 0) | (axes >= 2 ? z << 20 : 0);
  }
  w.defined[0] = w.s[kExec];
}

const Instruction* Emulator::fetch(Wave& w) {
  Code* code = last_code_;
  if (code == nullptr || w.pc - code->va >= code->size) {
    code = nullptr;
    for (const auto& candidate : codes_) {
      if (w.pc - candidate->va < candidate->size) code = candidate.get();
    }
    if (code == nullptr) {
      MemoryRange* range = memory_.find(w.pc, 4);
      if (range == nullptr || (range->access & kRun) == 0) {
        Instruction nowhere;
        nowhere.address = w.pc;
        w.fail(nowhere, fmt::format("code lies in memory that is {}", memory_.describe(w.pc)));
        return nullptr;
      }
      codes_.push_back(std::make_unique<Code>());
      code = codes_.back().get();
      code->va = range->va;
      code->size = range->size;
      code->host = range->host;
      code->at.resize(range->size / 4);
    }
    last_code_ = code;
  }
  uint32_t& slot = code->at[(w.pc - code->va) / 4];
  if (slot == 0 || w.pc % 4 != 0) {
    uint32_t words[3] = {};
    const size_t count = std::min<uint64_t>(3, (code->size - (w.pc - code->va)) / 4);
    std::memcpy(words, code->host + (w.pc - code->va), count * 4);
    Instruction instruction;
    std::string error;
    const bool is_known = w.pc % 4 == 0 && decode(options_.generation, std::span(words, count),
                                                  w.pc, instruction, error);
    if (!is_known) {
      w.fail(instruction, error.empty() ? "the address is not a multiple of 4" : error);
      return nullptr;
    }
    code->instructions.push_back(instruction);
    slot = uint32_t(code->instructions.size());
  }
  return &code->instructions[slot - 1];
}

void Emulator::step(Wave& w, uint64_t budget) {
  const uint32_t saved = set_host_float_mode(w.mode.round_single, w.mode.denormal_single);
  for (; budget > 0 && w.state == WaveState::running; --budget) {
    const Instruction* instruction = fetch(w);
    if (instruction == nullptr) break;
    w.pc += instruction->size_dwords * 4U;
    ++w.cycles;
    ++instructions_;
    if (--instructions_left_ == 0) {
      w.fail(*instruction, "the launch does not end");
      break;
    }
    instruction->execute(w, *instruction);
  }
  restore_host_float_mode(saved);
}

Result<void> Emulator::run_group(const Launch& launch, const std::array<uint32_t, 3>& group,
                                 const Visibility* visibility) {
  std::array<uint32_t, 3> size = launch.threads;
  for (uint32_t axis = 0; axis < 3; ++axis) {
    const bool is_last = group[axis] + 1 == launch.start[axis] + launch.groups[axis];
    if (is_last && launch.partial[axis] != 0) size[axis] = launch.partial[axis];
  }
  begin_group(launch, size[0] * size[1] * size[2]);
  for (uint32_t k = 0; k < group_.waves; ++k) {
    begin_wave(*waves_[k], launch, group, size, k);
    waves_[k]->visibility = visibility;
  }
  const bool is_mixed = options_.order == WaveOrder::mixed;
  for (uint32_t ended = 0; ended < group_.waves;) {
    bool moved = false;
    for (const uint32_t k : shuffled(group_.waves)) {
      Wave& w = *waves_[k];
      if (w.state == WaveState::at_barrier && group_.generation >= w.waited_generation) {
        w.state = WaveState::running;
      }
      if (w.state != WaveState::running) continue;
      moved = true;
      step(w, is_mixed && group_.waves > 1 ? 1 + draw() % kQuantumMax : ~uint64_t{0});
      if (w.state == WaveState::failed) {
        return refused(fmt::format("Workgroup ({}, {}, {}), wave {}: {}.", group[0], group[1],
                                   group[2], k, w.error));
      }
      ended += w.state == WaveState::ended ? 1 : 0;
    }
    if (!moved && ended < group_.waves) {
      return refused(
          fmt::format("Workgroup ({}, {}, {}): waves wait at a barrier that {} of {} "
                      "have left or never reach.",
                      group[0], group[1], group[2], ended, group_.waves));
    }
  }
  return {};
}

Result<void> Emulator::run(const Launch& launch, const Visibility* visibility) {
  TRY(check(launch));
  random_ = options_.seed * 0x9e3779b97f4a7c15 | 1;
  instructions_left_ = options_.instructions_max;
  // Products of three 32-bit numbers: the first is checked before the second.
  const uint64_t plane = uint64_t{launch.groups[0]} * launch.groups[1];
  const uint64_t count = plane > options_.groups_max ? plane : plane * uint64_t{launch.groups[2]};
  if (count == 0 || count > options_.groups_max) {
    return refused(fmt::format("The launch has {} workgroups.", count));
  }
  for (const uint32_t k : shuffled(uint32_t(count))) {
    const std::array<uint32_t, 3> group = {
        launch.start[0] + k % launch.groups[0],
        launch.start[1] + k / launch.groups[0] % launch.groups[1],
        launch.start[2] + k / launch.groups[0] / launch.groups[1]};
    TRY(run_group(launch, group, visibility));
  }
  return {};
}

}  // namespace leat::amd_card
