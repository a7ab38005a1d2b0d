// The compute engine: set-up methods, launches, the scheduler's checks, constant cache, order of
// launches. A kernel is the text of a wave program, which lies where machine code would.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "leat/backend/nvidia/nvidia_decode.h"
#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "tests/wire/mock_bytes.h"
#include "tests/wire/mock_engine.h"

namespace leat::mock {

namespace {

constexpr uint32_t kShaderException = 13, kMmuFault = 31, kPushBufferError = 32, kClassError = 69;

// Methods of CBC0 that set up, without an effect of their own here.
bool is_set_up(uint32_t method) {
  constexpr uint32_t kKnown[] = {0x100, 0x244, 0x298, 0x2A0, 0x2A4, 0x2B4, 0x2E4,
                                 0x2E8, 0x2EC, 0x790, 0x794, 0x7B0, 0x7B4, 0x1424};
  return std::ranges::count(kKnown, method) > 0;
}

QmdVersion version_of(uint32_t compute_class) {
  switch (compute_class) {
    case 0xCBC0: return QmdVersion::v4_0;
    case 0xCDC0:
    case 0xCEC0: return QmdVersion::v5_0;
    default: return QmdVersion::v3_0;
  }
}

/// Where the bank's facts lie: workgroup size, grid, first parameter.
struct BankPlaces {
  size_t workgroup, grid, parameters;
};
BankPlaces places_of(QmdVersion version) {
  switch (version) {
    case QmdVersion::v3_0: return {0x0, 0xC, 0x160};
    case QmdVersion::v4_0: return {0x0, 0xC, 0x210};
    case QmdVersion::v5_0: return {0x360, 0x370, 0x380};
  }
  return {};
}

}  // namespace

void Engines::compute_method(ChannelObject& channel, State& state, const Method& method) {
  switch (method.method) {
    case 0x110: idle(state); return;
    case 0x1698:
      if ((method.data & 0x1000) != 0) constants_.clear();
      if ((method.data & 0x1) != 0) code_.clear();
      return;
    case 0x2C0:
      if (method.data == 3 || method.data == 9 || method.data == 0xA) {
        launch_chain(channel, state, uint64_t{state.values[0x2B4]} << 8);
      }
      return;
    case 0x168:  // a release by this method fires before the grid ends; an acquire is refused
      if ((method.data & 3) == 1) {
        fault(channel, state, kClassError, "an acquire by the compute class");
      } else {
        break_rule("A report semaphore is no completion.");
      }
      return;
    default: break;
  }
  if (is_set_up(method.method)) return;
  fault(channel, state, kPushBufferError, fmt::format("compute method 0x{:x}", method.method));
}

void Engines::launch_chain(ChannelObject& channel, State& state, uint64_t address) {
  const uint64_t chain = ++state.chains;
  bool chained = false;
  while (address != 0) {
    Qmd qmd(version_of(channel.object_class));
    const std::byte* at = memory_.at(address, qmd.dwords().size_bytes());
    if (at == nullptr || address % 256 != 0) {
      fault(channel, state, kMmuFault, fmt::format("QMD 0x{:x} is not mapped", address));
      return;
    }
    std::memcpy(qmd.dwords().data(), at, qmd.dwords().size_bytes());
    ++launches_;
    if (logs_) log((chained ? "dependent QMD\n" : "QMD\n") + decode_qmd(qmd));
    if (launches_ == fault_.at_launch) {
      state.is_stuck = channel.is_hung = fault_.code == 0;
      if (fault_.code != 0) fault(channel, state, fault_.code, "as scripted");
      return;
    }
    if (!launch(channel, state, qmd, chain, chained)) return;
    const bool goes_on = qmd.get(QmdField::dependent0_enable) == 1;
    if (goes_on && qmd.get(QmdField::dependent0_action) != 1) break_rule("A dependent's action.");
    address = goes_on ? qmd.get(QmdField::dependent0_pointer) : 0;
    chained = true;
  }
}

bool Engines::launch(ChannelObject& channel, State& state, const Qmd& qmd, uint64_t chain,
                     bool chained) {
  const std::string refusal = check_schedule(state, qmd);
  if (!refusal.empty()) {
    fault(channel, state, kShaderException, refusal);
    return false;
  }
  std::vector<std::byte> bank;
  if (!read_bank(qmd, bank)) {
    fault(channel, state, kMmuFault, fmt::format("bank 0x{:x} is not mapped", qmd.bank0()));
    return false;
  }
  const std::string bad = check_bank(qmd, bank);
  if (!bad.empty()) break_rule(bad);
  if (chained && qmd.get(QmdField::invalidate_shader_data_cache) == 0 &&
      bank.size() > places_of(qmd.version()).parameters) {
    break_rule("A chained launch reads old data without INVALIDATE_SHADER_DATA_CACHE.");
  }
  return run_program(channel, state, qmd, chain, bank) && release(state, qmd, chain);
}

/// What the scheduler (SKED) refuses; empty when it takes the descriptor.
std::string Engines::check_schedule(const State& state, const Qmd& qmd) const {
  using enum QmdField;
  const auto value = [&](uint32_t method) {
    const auto entry = state.values.find(method);
    return entry == state.values.end() ? 0u : entry->second;
  };
  const uint64_t shared_window = uint64_t{value(0x2A0)} << 32 | value(0x2A4);
  constexpr uint64_t kWindowBytes = uint64_t{4} << 30;
  if (shared_window == 0 || shared_window % kWindowBytes != 0) return "no shared window";
  if (memory_.overlaps(shared_window, kWindowBytes)) return "memory in the shared window";
  if (value(0x7B0) == 0) return "no local window";
  const uint64_t major = qmd.get(version_major);
  const uint64_t wanted = qmd.version() == QmdVersion::v3_0   ? 3
                          : qmd.version() == QmdVersion::v4_0 ? 4
                                                              : 5;
  if (major != wanted) return "version";
  if (qmd.version() != QmdVersion::v3_0 && qmd.get(type) != 2) return "type";
  if (qmd.get(grid_width) * qmd.get(grid_height) * qmd.get(grid_depth) == 0) return "empty grid";
  const uint64_t threads = qmd.get(cta_width) * qmd.get(cta_height) * qmd.get(cta_depth);
  if (threads == 0 || threads > 1024) return "total threads";
  if (qmd.get(register_count) == 0 || qmd.get(register_count) > 255) return "register count";
  if ((threads + 31) / 32 * 32 * qmd.get(register_count) > 65536) return "registers of a workgroup";
  const uint64_t config_bytes = (qmd.get(min_sm_config) - 1) * 4096;
  if (qmd.get(shared_memory_size) > config_bytes) return "shared memory beyond its configuration";
  if (qmd.get(min_sm_config) > qmd.get(max_sm_config)) return "shared memory configurations";
  if (qmd.get(bank0_size) > 65536) return "constant bank size";
  const uint64_t local = qmd.get(local_memory_high);
  if (local == 0) return "";
  const uint64_t per_tpc = uint64_t{value(0x2E4)} << 32 | value(0x2E8);
  const uint64_t base = uint64_t{value(0x790)} << 32 | value(0x794);
  if (per_tpc < local * 32 * 64 * 2) return "local memory beyond what was set up";
  if (memory_.bytes_behind(base) < per_tpc * 72) return "local memory is not mapped";
  return "";
}

/// Through the constant cache: what was read once stays until it is invalidated.
bool Engines::read_bank(const Qmd& qmd, std::vector<std::byte>& bank) {
  const uint64_t address = qmd.bank0(), size_bytes = qmd.get(QmdField::bank0_size);
  if (qmd.get(QmdField::bank0_valid) == 0) return true;
  const std::byte* at = memory_.at(address, size_bytes);
  if (at == nullptr) return false;
  if (qmd.get(QmdField::bank0_invalidate) != 0) constants_.erase(address);
  std::vector<std::byte>& cached = constants_[address];
  if (cached.empty()) cached.assign(at, at + size_bytes);
  bank = cached;
  if (bank.size() != size_bytes || std::memcmp(bank.data(), at, size_bytes) != 0) {
    break_rule(fmt::format("The constant bank at 0x{:x} is read from a stale cache.", address));
  }
  return true;
}

std::string Engines::check_bank(const Qmd& qmd, const std::vector<std::byte>& bank) const {
  const BankPlaces places = places_of(qmd.version());
  if (bank.size() < places.grid + 12) return "The constant bank is too small for a launch.";
  const uint64_t in_qmd[] = {qmd.get(QmdField::cta_width),   qmd.get(QmdField::cta_height),
                             qmd.get(QmdField::cta_depth),   qmd.get(QmdField::grid_width),
                             qmd.get(QmdField::grid_height), qmd.get(QmdField::grid_depth)};
  for (size_t i = 0; i < 6; ++i) {
    const size_t offset = i < 3 ? places.workgroup + 4 * i : places.grid + 4 * (i - 3);
    if (get<uint32_t>(bank.data(), offset) != in_qmd[i]) {
      return "Constant bank and QMD differ about the launch's size.";
    }
  }
  return "";
}

bool Engines::run_program(ChannelObject& channel, State& state, const Qmd& qmd, uint64_t chain,
                          const std::vector<std::byte>& bank) {
  const uint64_t address = qmd.program(), room = memory_.bytes_behind(address);
  const auto* text = reinterpret_cast<const char*>(memory_.at(address, 1));
  constexpr uint64_t kPrefetched = 4096;
  const size_t length = text == nullptr ? 0 : strnlen(text, room);
  if (length == room || room - length < kPrefetched) {
    fault(channel, state, kMmuFault, fmt::format("program 0x{:x} is not mapped", address));
    return false;
  }
  auto& [known, program] = code_[address];
  if (known.empty()) {
    Result<ir::Program> parsed = ir::parse_program({text, length}, "kernel");
    if (!parsed) {
      fault(channel, state, kShaderException, parsed.error().message());
      return false;
    }
    known.assign(text, length);
    program = std::move(*parsed);
  }
  if (known != std::string_view(text, length)) break_rule("Code is read from a stale cache.");
  const auto width = static_cast<uint32_t>(qmd.get(QmdField::grid_width));
  const bool is_row = program.grid[1] == 1 && program.grid[2] == 1;
  if (qmd.get(QmdField::cta_width) != program.wave_lanes * program.waves_per_workgroup ||
      width > program.grid[0] || (width < program.grid[0] && !is_row) ||
      qmd.get(QmdField::grid_height) != program.grid[1] ||
      qmd.get(QmdField::grid_depth) != program.grid[2]) {
    break_rule(fmt::format("Launch of \"{}\" has another size than the program.", program.name));
  }
  if (program.local_bytes() + 1024 > qmd.get(QmdField::shared_memory_size)) {
    break_rule(fmt::format("Launch of \"{}\" has too little shared memory.", program.name));
  }
  std::vector<Access> accesses;
  std::vector<std::span<std::byte>> buffers;
  const size_t first = places_of(qmd.version()).parameters;
  for (size_t i = 0; i < program.parameters.size(); ++i) {
    const ir::Parameter& parameter = program.parameters[i];
    if (first + 8 * i + 8 > bank.size()) {
      break_rule(fmt::format("\"{}\" has parameters beyond the bank.", program.name));
      return false;
    }
    const auto size_bytes = static_cast<uint64_t>(parameter.element_count) *
                            static_cast<uint64_t>(size_bytes_of(parameter.storage));
    const Access access = {get<uint64_t>(bank.data(), first + 8 * i), size_bytes, parameter.written,
                           chain};
    std::byte* at = memory_.at(access.address, size_bytes);
    if (at == nullptr) {
      fault(channel, state, kMmuFault,
            fmt::format("parameter {} of \"{}\" at 0x{:x} is not mapped", i, program.name,
                        access.address));
      return false;
    }
    accesses.push_back(access);
    buffers.emplace_back(at, size_bytes);
  }
  if (qmd.get(QmdField::cwd_membar_type) == 0 &&
      std::ranges::any_of(program.parameters, &ir::Parameter::written)) {
    break_rule(fmt::format("What \"{}\" writes is not visible at its end.", program.name));
  }
  order(state, std::move(accesses), program.name);
  const uint32_t most = std::exchange(program.grid[0], std::min(width, program.grid[0]));
  const Result<void> done = ir::interpret(program, buffers);
  program.grid[0] = most;
  if (done) return true;
  fault(channel, state, kShaderException, done.error().message());
  return false;
}

// Launches of different chains run at the same time until the engine is idle, so they must not
// touch what another writes.
void Engines::order(State& state, std::vector<Access> accesses, const std::string& name) {
  for (const Access& access : accesses) {
    for (const Access& other : state.accesses) {
      const bool overlap = access.address < other.address + other.size_bytes &&
                           other.address < access.address + access.size_bytes;
      if (other.chain == access.chain || !overlap || !(access.written || other.written)) continue;
      break_rule(fmt::format("Launch of \"{}\" runs beside one whose data it needs.", name));
      break;
    }
  }
  state.accesses.insert(state.accesses.end(), accesses.begin(), accesses.end());
}

bool Engines::release(const State& state, const Qmd& qmd, uint64_t chain) {
  using enum QmdField;
  if (qmd.get(release0_enable) == 0) return true;
  const bool is_long = qmd.get(release0_payload64) != 0;
  std::byte* at = memory_.at(qmd.release_address(), 8);
  if (at == nullptr) {
    break_rule("A release of a QMD goes nowhere.");
    return true;
  }
  const bool alone = std::ranges::all_of(
      state.accesses, [&](const Access& access) { return access.chain == chain; });
  if (!alone) break_rule("A QMD's release says nothing of the chains beside it.");
  if (is_long) {
    std::atomic_ref(*reinterpret_cast<uint64_t*>(at))
        .store(qmd.release_payload(), std::memory_order_release);
  } else {
    std::atomic_ref(*reinterpret_cast<uint32_t*>(at))
        .store(static_cast<uint32_t>(qmd.release_payload()), std::memory_order_release);
  }
  return true;
}

}  // namespace leat::mock
