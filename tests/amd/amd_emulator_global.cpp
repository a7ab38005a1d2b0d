// Memory outside the workgroup: SMEM, FLAT, GLOBAL, SCRATCH. RDNA3 and RDNA4 ISA, "Scalar Memory
// Operations", "Flat Memory Instructions". Every access lies in one mapped range with the right it
// needs. Loads read when they are issued; their registers count as poison until a wait covers them.
#include <algorithm>

#include "tests/amd/amd_emulator_atomic.h"
#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

enum class Space { flat, global, scratch };

// The apertures of local and private memory within flat addresses: Linux amdkfd/kfd_flat_memory.c.
constexpr uint64_t kLocalAperture = 1;
constexpr uint64_t kPrivateAperture = 2;

/// Notes a touch of [at, at + size) and refuses one that another launch has not made visible.
bool touch(Wave& w, const Instruction& i, MemoryRange& range, uint64_t at, uint32_t size,
           bool writes, uint32_t visible) {
  const uint32_t launch = w.visibility->launch;
  WordShadow& shadow = *range.shadow;
  for (uint64_t word = at / 4; word <= (at + size - 1) / 4; ++word) {
    const uint32_t writer = shadow.writer[word];
    const uint32_t reader = shadow.reader[word];
    if (writer != launch && writer > visible) {
      w.fail(i, fmt::format(
                    "0x{:x} in \"{}\" was written by launch {}, and launch {} {} it without "
                    "a wait and a cache invalidation between them",
                    range.va + 4 * word, range.name, writer, launch, writes ? "writes" : "reads"));
      return false;
    }
    if (writes && reader != launch && reader > visible) {
      w.fail(i, fmt::format("0x{:x} in \"{}\" was read by launch {}, and launch {} overwrites it "
                            "without a wait and a cache invalidation between them",
                            range.va + 4 * word, range.name, reader, launch));
      return false;
    }
    (writes ? shadow.writer : shadow.reader)[word] = launch;
  }
  return true;
}

/// Where [va, va + size) lies on the host; null after an error.
uint8_t* resolve(Wave& w, const Instruction& i, uint64_t va, uint32_t size, uint8_t access,
                 bool is_scalar = false) {
  MemoryRange* range = w.last_range;
  if (range == nullptr || va - range->va >= range->size || range->size - (va - range->va) < size) {
    range = w.memory->find(va, size);
    if (range == nullptr) {
      w.fail(i, fmt::format("address 0x{:x} for {} bytes: {}", va, size, w.memory->describe(va)));
      return nullptr;
    }
    w.last_range = range;
  }
  if ((range->access & access) != access) {
    w.fail(i, fmt::format("address 0x{:x} must not be {}: {}", va,
                          access == kRead ? "read" : "written", w.memory->describe(va)));
    return nullptr;
  }
  if (range->shadow != nullptr && w.visibility != nullptr) {
    const uint32_t visible = is_scalar ? w.visibility->scalar : w.visibility->vector;
    if (!touch(w, i, *range, va - range->va, size, (access & kWrite) != 0, visible)) return nullptr;
  }
  return range->host + (va - range->va);
}

/// Copies between private memory of one lane and `bytes`.
void access_scratch(Wave& w, const Instruction& i, uint64_t address, uint32_t size, uint32_t lane,
                    bool writes, uint8_t* bytes) {
  if (address + size > w.scratch_bytes || (size >= 4 && address % 4 != 0) ||
      (size < 4 && address / 4 != (address + size - 1) / 4)) {
    return w.fail(i, fmt::format("private memory is accessed at {} for {} bytes, outside the {} "
                                 "allocated or unaligned",
                                 int64_t(address), size, w.scratch_bytes));
  }
  for (uint32_t done = 0; done < size;) {
    const size_t slot = size_t((address + done) / 4) * kLanes + lane;
    const uint32_t in_word = uint32_t(address + done) % 4;
    const uint32_t count = std::min(4 - in_word, size - done);
    auto* word = reinterpret_cast<uint8_t*>(&w.scratch[slot]) + in_word;
    if (writes) {
      std::memcpy(word, bytes + done, count);
      w.scratch_defined[slot] = 1;
    } else {
      if (w.scratch_defined[slot] == 0) {
        return w.fail(
            i, fmt::format("private memory at {} is read but was never written", address + done));
      }
      std::memcpy(bytes + done, word, count);
    }
    done += count;
  }
}

/// The address of each enabled lane. src[0] is the address register (kNull: none).
struct Addresses {
  uint64_t at[kLanes];
};

template <Space kSpace>
bool addresses_of(Wave& w, const Instruction& i, Addresses& out) {
  const uint32_t r = i.src[0] - kVgpr0;
  if constexpr (kSpace == Space::scratch) {
    const uint32_t base = i.saddr == kNull ? 0 : w.scalar(i, i.saddr);
    if (i.scalar_offset && !w.check_read(i, r, 1, w.exec())) return false;
    for (uint32_t l = 0; l < kLanes; ++l) {
      const uint32_t index = i.scalar_offset ? w.v[r][l] : 0;
      out.at[l] = uint32_t(base + index + uint32_t(i.offset));
    }
  } else if (i.saddr != kNull) {
    const uint64_t base = w.scalar64(i, i.saddr) + uint64_t(int64_t(i.offset));
    if (!w.check_read(i, r, 1, w.exec())) return false;
    for (uint32_t l = 0; l < kLanes; ++l) out.at[l] = base + w.v[r][l];
  } else {
    if (!w.check_read(i, r, 2, w.exec())) return false;
    for (uint32_t l = 0; l < kLanes; ++l) {
      out.at[l] =
          (uint64_t(w.v[r][l]) | uint64_t(w.v[r + 1][l]) << 32) + uint64_t(int64_t(i.offset));
    }
  }
  return w.state != WaveState::failed;
}

/// Moves `size` bytes of one lane between memory and `bytes`.
template <Space kSpace>
void move(Wave& w, const Instruction& i, uint64_t address, uint32_t size, uint32_t lane,
          bool writes, uint8_t* bytes) {
  const uint64_t aperture = address >> 48;
  if (kSpace == Space::scratch || (kSpace == Space::flat && aperture == kPrivateAperture)) {
    return access_scratch(w, i, kSpace == Space::scratch ? address : uint32_t(address), size, lane,
                          writes, bytes);
  }
  if (kSpace == Space::flat && aperture == kLocalAperture) {
    const uint32_t at = uint32_t(address);
    w.release_held();
    if (uint64_t(at) + size > w.group->local.size()) {
      return w.fail(i, fmt::format("local memory is accessed at {} through a flat address", at));
    }
    uint8_t* local = w.group->local.data() + at;
    std::memcpy(writes ? local : bytes, writes ? bytes : local, size);
    if (writes) std::memset(w.group->local_defined.data() + at, 1, size);
    return;
  }
  uint8_t* host = resolve(w, i, address, size, writes ? kWrite : kRead);
  if (host != nullptr) std::memcpy(writes ? host : bytes, writes ? bytes : host, size);
}

template <Space kSpace>
void begin(Wave& w, const Instruction& i, Counter counter, uint32_t registers) {
  Pending pending;
  pending.first = registers > 0 ? uint16_t(i.dst - kVgpr0) : kNoRegister;
  pending.count = uint16_t(registers);
  pending.lanes = w.exec();
  w.begin_load(i, counter, pending);
  if (kSpace == Space::flat) w.begin_load(i, Counter::ds, pending);
}

template <Space kSpace, uint32_t kSize, class F>
void load_memory(Wave& w, const Instruction& i, F extend) {
  constexpr uint32_t kWords = (kSize + 3) / 4;
  const uint32_t first = i.dst - kVgpr0;
  Addresses addresses;
  if (!addresses_of<kSpace>(w, i, addresses) || !w.check_write(i, first, kWords)) return;
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    uint32_t words[kWords] = {};
    move<kSpace>(w, i, addresses.at[l], kSize, l, false, reinterpret_cast<uint8_t*>(words));
    if (w.state == WaveState::failed) return;
    for (uint32_t k = 0; k < kWords; ++k) w.v[first + k][l] = extend(words[k], w.v[first + k][l]);
  }
  begin<kSpace>(w, i, Counter::load, kWords);
}

template <Space kSpace, uint32_t kSize>
void store_memory(Wave& w, const Instruction& i, uint32_t shift) {
  constexpr uint32_t kWords = (kSize + 3) / 4;
  const uint32_t data = i.src[1] - kVgpr0;
  Addresses addresses;
  if (!addresses_of<kSpace>(w, i, addresses) || !w.check_read(i, data, kWords, w.exec())) return;
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    uint32_t words[kWords];
    for (uint32_t k = 0; k < kWords; ++k) words[k] = w.v[data + k][l] >> shift;
    move<kSpace>(w, i, addresses.at[l], kSize, l, true, reinterpret_cast<uint8_t*>(words));
    if (w.state == WaveState::failed) return;
  }
  begin<kSpace>(w, i, Counter::store, 0);
}

template <Space kSpace, class T, class F>
void atomic_memory(Wave& w, const Instruction& i, uint32_t sources, F function) {
  constexpr uint32_t kWords = sizeof(T) / 4;
  const uint32_t data = i.src[1] - kVgpr0;
  const uint32_t first = i.dst - kVgpr0;
  Addresses addresses;
  if (!addresses_of<kSpace>(w, i, addresses)) return;
  if (!w.check_read(i, data, sources * kWords, w.exec())) return;
  if (i.returns && !w.check_write(i, first, kWords)) return;
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    T old{};
    move<kSpace>(w, i, addresses.at[l], sizeof(T), l, false, reinterpret_cast<uint8_t*>(&old));
    const T source = lane_value<T>(w, data, l);
    const T expected = sources > 1 ? lane_value<T>(w, data + kWords, l) : T{};
    T next = function(old, source, expected);
    if (w.state == WaveState::failed) return;
    move<kSpace>(w, i, addresses.at[l], sizeof(T), l, true, reinterpret_cast<uint8_t*>(&next));
    if (w.state == WaveState::failed) return;
    if (i.returns) set_lane_value(w, first, l, old);
  }
  begin<kSpace>(w, i, i.returns ? Counter::load : Counter::store, i.returns ? kWords : 0);
}

uint32_t whole(uint32_t word, uint32_t) { return word; }
uint32_t sign8(uint32_t word, uint32_t) { return uint32_t(int8_t(uint8_t(word))); }
uint32_t sign16(uint32_t word, uint32_t) { return uint32_t(int16_t(uint16_t(word))); }
uint32_t into_low(uint32_t word, uint32_t old) { return (old & 0xffff0000) | (word & 0xffff); }
uint32_t into_high(uint32_t word, uint32_t old) { return (old & 0xffff) | word << 16; }
uint32_t sign8_low(uint32_t word, uint32_t old) { return into_low(sign8(word, 0), old); }
uint32_t sign8_high(uint32_t word, uint32_t old) { return into_high(sign8(word, 0), old); }

/// Two f16 sums, each rounded once.
uint32_t add_halves(uint32_t old, uint32_t data) {
  uint32_t sum = 0;
  for (uint32_t shift = 0; shift < 32; shift += 16) {
    const float value =
        half_to_float(uint16_t(old >> shift)) + half_to_float(uint16_t(data >> shift));
    sum |= uint32_t(float_to_half(value)) << shift;
  }
  return sum;
}

}  // namespace

#define MEMORY(space, name, call)                             \
  void exec_##space##_##name(Wave& w, const Instruction& i) { \
    constexpr Space kSpace = Space::space;                    \
    call;                                                     \
  }
#define LOADS_AND_STORES(space)                                             \
  MEMORY(space, load_u8, (load_memory<kSpace, 1>(w, i, whole)))             \
  MEMORY(space, load_i8, (load_memory<kSpace, 1>(w, i, sign8)))             \
  MEMORY(space, load_u16, (load_memory<kSpace, 2>(w, i, whole)))            \
  MEMORY(space, load_i16, (load_memory<kSpace, 2>(w, i, sign16)))           \
  MEMORY(space, load_b32, (load_memory<kSpace, 4>(w, i, whole)))            \
  MEMORY(space, load_b64, (load_memory<kSpace, 8>(w, i, whole)))            \
  MEMORY(space, load_b96, (load_memory<kSpace, 12>(w, i, whole)))           \
  MEMORY(space, load_b128, (load_memory<kSpace, 16>(w, i, whole)))          \
  MEMORY(space, load_d16_u8, (load_memory<kSpace, 1>(w, i, into_low)))      \
  MEMORY(space, load_d16_i8, (load_memory<kSpace, 1>(w, i, sign8_low)))     \
  MEMORY(space, load_d16_b16, (load_memory<kSpace, 2>(w, i, into_low)))     \
  MEMORY(space, load_d16_hi_u8, (load_memory<kSpace, 1>(w, i, into_high)))  \
  MEMORY(space, load_d16_hi_i8, (load_memory<kSpace, 1>(w, i, sign8_high))) \
  MEMORY(space, load_d16_hi_b16, (load_memory<kSpace, 2>(w, i, into_high))) \
  MEMORY(space, store_b8, (store_memory<kSpace, 1>(w, i, 0)))               \
  MEMORY(space, store_b16, (store_memory<kSpace, 2>(w, i, 0)))              \
  MEMORY(space, store_b32, (store_memory<kSpace, 4>(w, i, 0)))              \
  MEMORY(space, store_b64, (store_memory<kSpace, 8>(w, i, 0)))              \
  MEMORY(space, store_b96, (store_memory<kSpace, 12>(w, i, 0)))             \
  MEMORY(space, store_b128, (store_memory<kSpace, 16>(w, i, 0)))            \
  MEMORY(space, store_d16_hi_b8, (store_memory<kSpace, 1>(w, i, 16)))       \
  MEMORY(space, store_d16_hi_b16, (store_memory<kSpace, 2>(w, i, 16)))
LOADS_AND_STORES(flat)
LOADS_AND_STORES(global)
LOADS_AND_STORES(scratch)

#define ATOMIC(space, name, T, sources, expression)                               \
  MEMORY(space, atomic_##name,                                                    \
         (atomic_memory<kSpace, T>(w, i, sources, [](T old, T data, T expected) { \
           return (void)old, (void)expected, T(expression);                       \
         })))
#define ATOMICS(space)                                                         \
  ATOMIC(space, swap_b32, uint32_t, 1, data)                                   \
  ATOMIC(space, cmpswap_b32, uint32_t, 2, old == expected ? data : old)        \
  ATOMIC(space, add_u32, uint32_t, 1, old + data)                              \
  ATOMIC(space, sub_u32, uint32_t, 1, old - data)                              \
  ATOMIC(space, min_i32, int32_t, 1, std::min(old, data))                      \
  ATOMIC(space, min_u32, uint32_t, 1, std::min(old, data))                     \
  ATOMIC(space, max_i32, int32_t, 1, std::max(old, data))                      \
  ATOMIC(space, max_u32, uint32_t, 1, std::max(old, data))                     \
  ATOMIC(space, and_b32, uint32_t, 1, old& data)                               \
  ATOMIC(space, or_b32, uint32_t, 1, old | data)                               \
  ATOMIC(space, xor_b32, uint32_t, 1, old ^ data)                              \
  ATOMIC(space, inc_u32, uint32_t, 1, old >= data ? 0 : old + 1)               \
  ATOMIC(space, dec_u32, uint32_t, 1, old == 0 || old > data ? data : old - 1) \
  ATOMIC(space, swap_b64, uint64_t, 1, data)                                   \
  ATOMIC(space, cmpswap_b64, uint64_t, 2, old == expected ? data : old)        \
  ATOMIC(space, add_u64, uint64_t, 1, old + data)                              \
  ATOMIC(space, sub_u64, uint64_t, 1, old - data)                              \
  ATOMIC(space, min_i64, int64_t, 1, std::min(old, data))                      \
  ATOMIC(space, min_u64, uint64_t, 1, std::min(old, data))                     \
  ATOMIC(space, max_i64, int64_t, 1, std::max(old, data))                      \
  ATOMIC(space, max_u64, uint64_t, 1, std::max(old, data))                     \
  ATOMIC(space, and_b64, uint64_t, 1, old& data)                               \
  ATOMIC(space, or_b64, uint64_t, 1, old | data)                               \
  ATOMIC(space, xor_b64, uint64_t, 1, old ^ data)                              \
  ATOMIC(space, min_f32, float, 1, minimum_number(old, data))                  \
  ATOMIC(space, max_f32, float, 1, maximum_number(old, data))                  \
  ATOMIC(space, add_f32, float, 1, old + data)                                 \
  ATOMIC(space, pk_add_f16, uint32_t, 1, add_halves(old, data))
ATOMICS(flat)
ATOMICS(global)

/// Write-backs and invalidations of the first caches: within a launch memory is one here.
void exec_cache_control(Wave&, const Instruction&) {}

// --- SMEM ----------------------------------------------------------------------------------------

namespace {

template <class F>
void load_scalar(Wave& w, const Instruction& i, uint32_t bytes, F extend) {
  const uint64_t base = w.scalar64(i, i.src[0]);
  const uint64_t more = i.saddr == kNull ? 0 : w.scalar(i, i.saddr);
  uint64_t address = base + more + uint64_t(int64_t(i.offset));
  if (bytes >= 4) address &= ~uint64_t{3};
  const uint32_t words = (bytes + 3) / 4;
  if (w.state == WaveState::failed) return;
  const uint8_t* host = resolve(w, i, address, bytes, kRead, true);
  if (host == nullptr) return;
  if (uint32_t(i.dst) + words > kTtmp0) return w.fail(i, "scalar registers beyond VCC");
  uint32_t loaded[16] = {};
  std::memcpy(loaded, host, bytes);
  for (uint32_t k = 0; k < words; ++k) {
    w.set_scalar(i, uint16_t(i.dst + k), extend(loaded[k], 0U));
  }
  if (w.state == WaveState::failed) return;
  Pending pending;
  pending.first = uint16_t(i.dst | kScalarRegister);
  pending.count = uint16_t(words);
  pending.unordered = true;
  w.begin_load(i, w.generation == Generation::gfx12 ? Counter::scalar : Counter::ds, pending);
}

}  // namespace

#define SMEM(name, bytes, extend) \
  void exec_s_load_##name(Wave& w, const Instruction& i) { load_scalar(w, i, bytes, extend); }
SMEM(b32, 4, whole)
SMEM(b64, 8, whole)
SMEM(b96, 12, whole)
SMEM(b128, 16, whole)
SMEM(b256, 32, whole)
SMEM(b512, 64, whole)
SMEM(u8, 1, whole)
SMEM(u16, 2, whole)
SMEM(i8, 1, sign8)
SMEM(i16, 2, sign16)

}  // namespace leat::amd_card
