// The host engine: ring entries, push buffers, semaphores; and copies.
#include "tests/wire/mock_engine.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <regex>
#include <sstream>

#include "leat/backend/nvidia/nvidia_decode.h"
#include "tests/wire/mock_bytes.h"

namespace leat::mock {

namespace {

// USERD.
constexpr size_t kGpPut = 0x8C, kGpGet = 0x88;
constexpr uint32_t kMmuFault = 31, kPushBufferError = 32;

uint64_t clock_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

uint64_t load(std::byte* at, bool is_long) {
  if (is_long) {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(at)).load(std::memory_order_acquire);
  }
  return std::atomic_ref(*reinterpret_cast<uint32_t*>(at)).load(std::memory_order_acquire);
}

void store(std::byte* at, uint64_t value, bool is_long) {
  if (is_long) {
    std::atomic_ref(*reinterpret_cast<uint64_t*>(at)).store(value, std::memory_order_release);
  } else {
    std::atomic_ref(*reinterpret_cast<uint32_t*>(at))
        .store(static_cast<uint32_t>(value), std::memory_order_release);
  }
}

bool is_satisfied(uint32_t operation, uint64_t seen, uint64_t wanted, bool is_long) {
  switch (operation) {
    case 0: return seen == wanted;
    case 2: return seen >= wanted;
    case 3:
      return is_long ? static_cast<int64_t>(seen - wanted) >= 0
                     : static_cast<int32_t>(static_cast<uint32_t>(seen - wanted)) >= 0;
    default: return false;
  }
}

}  // namespace

void Engines::ring(uint32_t token) {
  for (const auto& channel : server_.channels()) {
    if (channel->token != token || !channel->is_scheduled) continue;
    State& state = states_[channel->handle];
    // What was rung before has run, and the host may have seen its end.
    if (state.get == state.put && state.methods.empty()) idle(state);
    state.put = static_cast<uint32_t>(load(channel->userd + kGpPut, false));
    if (state.put >= channel->entries) {
      fault(*channel, state, kPushBufferError, "GPPut is beyond the ring");
    }
  }
}

void Engines::run() {
  bool went_on = true;
  while (went_on) {
    went_on = false;
    for (const auto& channel : server_.channels()) {
      State& state = states_[channel->handle];
      while (!state.is_dead && !state.is_stuck && step(*channel, state)) went_on = true;
    }
  }
}

/// One method, or one entry of the ring. False when the channel cannot go on.
bool Engines::step(ChannelObject& channel, State& state) {
  if (state.methods.empty()) return fetch(channel, state);
  const Method method = state.methods.front();
  if (!execute(channel, state, method)) return false;
  if (!state.methods.empty()) state.methods.pop_front();
  return true;
}

bool Engines::fetch(ChannelObject& channel, State& state) {
  if (state.get == state.put) return false;
  const std::byte* ring = memory_.at(channel.ring_address, uint64_t{8} * channel.entries);
  const auto entry = get<uint64_t>(ring, size_t{8} * state.get);
  const uint64_t address = entry & 0xfffffffffcull;
  const auto count = static_cast<uint32_t>(entry >> 42 & 0x1fffff);
  state.get = (state.get + 1) % channel.entries;
  store(channel.userd + kGpGet, state.get, false);
  if (count == 0 || (entry & 3) != 0) {
    fault(channel, state, kPushBufferError, "a ring entry is malformed");
    return false;
  }
  const std::byte* words = memory_.at(address, uint64_t{4} * count);
  if (words == nullptr) {
    fault(channel, state, kMmuFault, fmt::format("push buffer 0x{:x} is not mapped", address));
    return false;
  }
  if (decode(words, count, state)) return true;
  fault(channel, state, kPushBufferError, "a method header is malformed");
  return false;
}

bool Engines::decode(const std::byte* words, uint32_t count, State& state) {
  for (uint32_t i = 0; i < count;) {
    const auto header = get<uint32_t>(words, size_t{4} * i++);
    const uint32_t form = header >> 29, length = header >> 16 & 0x1fff;
    Method method = {header >> 13 & 7, (header & 0xfff) * 4, length};
    if (form == 4) {
      state.methods.push_back(method);
      continue;
    }
    if (form == 7) return true;
    if ((form != 1 && form != 3 && form != 5) || length > count - i) return false;
    for (uint32_t k = 0; k < length; ++k) {
      method.data = get<uint32_t>(words, size_t{4} * i++);
      state.methods.push_back(method);
      if (form == 1 || (form == 5 && k == 0)) method.method += 4;
    }
  }
  return true;
}

/// False when the method must be tried again.
bool Engines::execute(ChannelObject& channel, State& state, const Method& method) {
  const bool is_copy_channel = channel.object_class == server_.options().copy;
  const PushEngine engine = is_copy_channel ? PushEngine::copy : PushEngine::compute;
  state.values[method.method] = method.data;
  if (logs_ && !state.is_waiting) {
    log(decode_method(engine, {method.subchannel, method.method, method.data}) + "\n");
  }
  switch (method.method) {
    case 0x00: {
      const uint32_t subchannel = is_copy_channel ? 4 : 1;
      if (method.data == channel.object_class && method.subchannel == subchannel) {
        state.bound.insert(method.subchannel);
        return true;
      }
      fault(channel, state, kPushBufferError, "SET_OBJECT of a class that is not there");
      return false;
    }
    case 0x08:
    case 0x5C:
    case 0x60:
    case 0x64:
    case 0x68: return true;
    case 0x6C: return semaphore(channel, state, method.data);
    case 0x78: idle(state); return true;
    default: break;
  }
  if (method.method < 0x100 || !state.bound.contains(method.subchannel)) {
    fault(channel, state, kPushBufferError,
          fmt::format("method 0x{:x} on subchannel {}", method.method, method.subchannel));
    return false;
  }
  if (is_copy_channel) {
    copy_method(channel, state, method);
  } else {
    compute_method(channel, state, method);
  }
  return !state.is_dead && !state.is_stuck;
}

bool Engines::semaphore(ChannelObject& channel, State& state, uint32_t execute) {
  const uint64_t address = uint64_t{state.values[0x60]} << 32 | state.values[0x5C];
  const bool is_long = (execute >> 24 & 1) != 0, timestamp = (execute >> 25 & 1) != 0;
  const uint64_t payload =
      is_long ? uint64_t{state.values[0x68]} << 32 | state.values[0x64] : state.values[0x64];
  const uint64_t size_bytes = timestamp ? 16 : is_long ? 8 : 4;
  const uint32_t operation = execute & 7;
  if (address % size_bytes != 0 || operation > 3) {
    fault(channel, state, kPushBufferError, fmt::format("semaphore at 0x{:x}", address));
    return false;
  }
  std::byte* at = memory_.at(address, size_bytes);
  if (at == nullptr) {
    fault(channel, state, kMmuFault, fmt::format("semaphore 0x{:x} is not mapped", address));
    return false;
  }
  if (operation != 1) {
    state.is_waiting = !is_satisfied(operation, load(at, is_long), payload, is_long);
    return !state.is_waiting;
  }
  if ((execute >> 20 & 1) != 0) {
    idle(state);
  } else if (!state.accesses.empty()) {
    break_rule("A release without a wait for idle says nothing of the launches before it.");
  }
  if (timestamp) store(at + 8, clock_ns(), true);
  store(at, payload, is_long);
  return true;
}

void Engines::copy_method(ChannelObject& channel, State& state, const Method& method) {
  constexpr uint32_t kPhysical = 3u << 12, kPitch = 3u << 7, kTransfer = 3;
  if (method.method >= 0x400 && method.method <= 0x41C) return;
  const bool is_linear = (method.data & kPhysical) == 0 && (method.data & kPitch) == kPitch &&
                         (method.data & kTransfer) == 2 && (method.data & 4) != 0;
  if (method.method != 0x300 || !is_linear) {
    fault(channel, state, kPushBufferError, fmt::format("copy method 0x{:x}", method.method));
    return;
  }
  const uint64_t source = uint64_t{state.values[0x400]} << 32 | state.values[0x404];
  const uint64_t target = uint64_t{state.values[0x408]} << 32 | state.values[0x40C];
  const uint64_t size_bytes = state.values[0x418];
  const std::byte* from = memory_.at(source, size_bytes);
  std::byte* to = memory_.at(target, size_bytes);
  if (from == nullptr || to == nullptr) {
    fault(channel, state, kMmuFault, fmt::format("copy 0x{:x} to 0x{:x}", source, target));
    return;
  }
  if (moves_copies_) std::memmove(to, from, size_bytes);
  ++copies_;
  copied_bytes_ += size_bytes;
}

std::string Engines::take_log() {
  static const std::regex address(
      "(SEM_ADDR_LO|OFFSET_IN_LOWER|OFFSET_OUT_LOWER|SEND_PCAS_A.*QMD at|[a-z0-9_]*address_lower|"
      "dependent0_pointer) 0x([0-9a-f]+)");
  std::map<std::string, std::string> names;
  std::istringstream lines(std::move(log_));
  log_.clear();
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_search(line, match, address)) {
      std::string& name = names[match[2]];
      if (name.empty()) name = fmt::format("A{}", names.size());
      line = line.substr(0, line.find(" 0x")) + " " + name;
    }
    text += line + "\n";
  }
  return text;
}

// A fault takes the whole group down; the notifier tells who looks.
void Engines::fault(ChannelObject& channel, State& state, uint32_t code, const std::string& text) {
  break_rule(fmt::format("Xid {}: {}", code, text));
  const uint64_t now = clock_ns();
  put(channel.notifier, 0, static_cast<uint32_t>(now >> 32));
  put(channel.notifier, 4, static_cast<uint32_t>(now));
  put(channel.notifier, 8, code);
  put<uint16_t>(channel.notifier, 12, 1);
  std::atomic_ref(*reinterpret_cast<uint16_t*>(channel.notifier + 14))
      .store(0xFFFF, std::memory_order_release);
  state.is_dead = true;
  state.methods.clear();
}

}  // namespace leat::mock
