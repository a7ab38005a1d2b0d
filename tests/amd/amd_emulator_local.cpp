// Local memory: DS instructions. RDNA3 and RDNA4 ISA, "Data Share Operations". Stores are held back
// until a wait covers them, the wave's own next access or its end, so that another wave that reads
// too early, behind a barrier without its wait, reads poison.
#include <algorithm>
#include <bit>

#include "tests/amd/amd_emulator_atomic.h"
#include "tests/amd/amd_emulator_execute.h"
#include "tests/amd/amd_emulator_lanes.h"

namespace leat::amd_card {

namespace {

bool in_bounds(Wave& w, const Instruction& i, uint64_t address, uint32_t size) {
  if (address + size <= w.group->local.size()) return true;
  w.fail(i, fmt::format("local memory is accessed at {} for {} bytes, outside the {} allocated",
                        address, size, w.group->local.size()));
  return false;
}

/// Registers of an operand for all enabled lanes, checked.
bool readable(Wave& w, const Instruction& i, uint16_t code, uint32_t count) {
  return w.check_read(i, uint32_t(code - kVgpr0), count, w.exec());
}

/// In 32 bits: from gfx7 on a base below 0 with an offset that makes up for it is one that LLVM
/// uses (AMDGPUISelDAGToDAG.cpp, isDSOffsetLegal).
uint32_t address_of(Wave& w, const Instruction& i, uint32_t lane, uint32_t offset = 0) {
  return w.v[i.src[0] - kVgpr0][lane] + offset;
}

/// The size is known when this is compiled, so both copies are single moves.
template <uint32_t kSize>
void read_local(Wave& w, const Instruction& i, uint64_t address, uint8_t* bytes) {
  constexpr uint8_t kDefined[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  constexpr uint32_t size = kSize;
  if (!in_bounds(w, i, address, size)) return;
  const uint8_t* defined = w.group->local_defined.data() + address;
  if (std::memcmp(defined, kDefined, size) != 0) {
    return w.fail(i, fmt::format("local memory at {} is read but was never written", address));
  }
  std::memcpy(bytes, w.group->local.data() + address, size);
}

void begin(Wave& w, const Instruction& i, uint32_t registers) {
  Pending pending;
  if (registers > 0) {
    pending.first = uint16_t(i.dst - kVgpr0);
    pending.count = uint16_t(registers);
    pending.lanes = w.exec();
  } else {
    pending.first = kNoRegister;
  }
  w.begin_load(i, Counter::ds, pending);
}

/// Loads `kSize` bytes a lane, extended to words by `extend` where they are fewer than 4.
template <uint32_t kSize, class F>
void load_local(Wave& w, const Instruction& i, F extend) {
  constexpr uint32_t kWords = (kSize + 3) / 4;
  const uint32_t first = i.dst - kVgpr0;
  if (!readable(w, i, i.src[0], 1) || !w.check_write(i, first, kWords)) return;
  w.release_held();
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    uint32_t words[kWords] = {};
    read_local<kSize>(w, i, address_of(w, i, l, uint32_t(i.offset)),
                      reinterpret_cast<uint8_t*>(words));
    for (uint32_t k = 0; k < kWords; ++k) w.v[first + k][l] = extend(words[k], w.v[first + k][l]);
  }
  begin(w, i, kWords);
}
constexpr auto kWhole = [](uint32_t word, uint32_t) { return word; };

/// Two loads at OFFSET0 and OFFSET1, counted in units of the element (times 64 with `kStride`).
template <uint32_t kSize, uint32_t kStride>
void load_local2(Wave& w, const Instruction& i) {
  constexpr uint32_t kWords = kSize / 4;
  const uint32_t first = i.dst - kVgpr0;
  if (!readable(w, i, i.src[0], 1) || !w.check_write(i, first, 2 * kWords)) return;
  w.release_held();
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    uint32_t words[2 * kWords] = {};
    for (uint32_t k = 0; k < 2; ++k) {
      const uint32_t offset = (uint32_t(i.offset) >> (8 * k) & 255) * kSize * kStride;
      read_local<kSize>(w, i, address_of(w, i, l, offset),
                        reinterpret_cast<uint8_t*>(words + k * kWords));
    }
    for (uint32_t k = 0; k < 2 * kWords; ++k) w.v[first + k][l] = words[k];
  }
  begin(w, i, 2 * kWords);
}

void hold(Wave& w, const Instruction& i, uint64_t address, uint32_t size, const void* bytes) {
  if (!in_bounds(w, i, address, size)) return;
  HeldStore store;
  store.address = uint32_t(address);
  store.size = size;
  std::memcpy(store.bytes, bytes, size);
  w.held.push_back(store);
}

template <uint32_t kSize>
void store_local(Wave& w, const Instruction& i, uint32_t shift) {
  constexpr uint32_t kWords = (kSize + 3) / 4;
  if (!readable(w, i, i.src[0], 1) || !readable(w, i, i.src[1], kWords)) return;
  const uint32_t data = i.src[1] - kVgpr0;
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    uint32_t words[kWords];
    for (uint32_t k = 0; k < kWords; ++k) words[k] = w.v[data + k][l] >> shift;
    hold(w, i, address_of(w, i, l, uint32_t(i.offset)), kSize, words);
  }
  begin(w, i, 0);
}

template <uint32_t kSize, uint32_t kStride>
void store_local2(Wave& w, const Instruction& i) {
  constexpr uint32_t kWords = kSize / 4;
  if (!readable(w, i, i.src[0], 1)) return;
  for (uint32_t k = 0; k < 2; ++k) {
    if (!readable(w, i, i.src[1 + k], kWords)) return;
    const uint32_t data = i.src[1 + k] - kVgpr0;
    const uint32_t offset = (uint32_t(i.offset) >> (8 * k) & 255) * kSize * kStride;
    for (uint32_t l = 0; l < kLanes; ++l) {
      if ((w.exec() >> l & 1) == 0) continue;
      uint32_t words[kWords];
      for (uint32_t word = 0; word < kWords; ++word) words[word] = w.v[data + word][l];
      hold(w, i, address_of(w, i, l, offset), kSize, words);
    }
  }
  begin(w, i, 0);
}

/// Atomics of one lane after another; `kReturns` gives the old value.
template <class T, bool kReturns, class F>
void atomic_local(Wave& w, const Instruction& i, uint32_t sources, F function) {
  constexpr uint32_t kWords = sizeof(T) / 4;
  if (!readable(w, i, i.src[0], 1)) return;
  for (uint32_t k = 0; k < sources; ++k) {
    if (!readable(w, i, i.src[1 + k], kWords)) return;
  }
  const uint32_t first = kReturns ? i.dst - kVgpr0 : 0;
  if (kReturns && !w.check_write(i, first, kWords)) return;
  w.release_held();
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    const uint64_t address = address_of(w, i, l, uint32_t(i.offset));
    T old{};
    read_local<sizeof(T)>(w, i, address, reinterpret_cast<uint8_t*>(&old));
    if (w.state == WaveState::failed) return;
    T data[2] = {};
    for (uint32_t k = 0; k < sources; ++k) {
      data[k] = lane_value<T>(w, uint32_t(i.src[1 + k] - kVgpr0), l);
    }
    const T next = function(old, data[0], data[1]);
    std::memcpy(w.group->local.data() + address, &next, sizeof(T));
    if (kReturns) set_lane_value(w, first, l, old);
  }
  begin(w, i, kReturns ? kWords : 0);
}

}  // namespace

#define DS_LOAD(name, size, extend) \
  void exec_ds_##name(Wave& w, const Instruction& i) { load_local<size>(w, i, extend); }
DS_LOAD(load_b32, 4, kWhole)
DS_LOAD(load_b64, 8, kWhole)
DS_LOAD(load_b96, 12, kWhole)
DS_LOAD(load_b128, 16, kWhole)
DS_LOAD(load_u8, 1, kWhole)
DS_LOAD(load_u16, 2, kWhole)
DS_LOAD(load_i8, 1, [](uint32_t x, uint32_t) { return uint32_t(int8_t(uint8_t(x))); })
DS_LOAD(load_i16, 2, [](uint32_t x, uint32_t) { return uint32_t(int16_t(uint16_t(x))); })
DS_LOAD(load_u8_d16, 1, [](uint32_t x, uint32_t o) { return (o & 0xffff0000) | x; })
DS_LOAD(load_u8_d16_hi, 1, [](uint32_t x, uint32_t o) { return (o & 0xffff) | x << 16; })
DS_LOAD(load_i8_d16, 1,
        [](uint32_t x, uint32_t o) { return (o & 0xffff0000) | uint16_t(int8_t(uint8_t(x))); })
DS_LOAD(load_i8_d16_hi, 1, [](uint32_t x, uint32_t o) {
  return (o & 0xffff) | uint32_t(uint16_t(int8_t(uint8_t(x)))) << 16;
})
DS_LOAD(load_u16_d16, 2, [](uint32_t x, uint32_t o) { return (o & 0xffff0000) | x; })
DS_LOAD(load_u16_d16_hi, 2, [](uint32_t x, uint32_t o) { return (o & 0xffff) | x << 16; })
#define DS(name, call) \
  void exec_ds_##name(Wave& w, const Instruction& i) { call; }
DS(load_2addr_b32, (load_local2<4, 1>(w, i)))
DS(load_2addr_b64, (load_local2<8, 1>(w, i)))
DS(load_2addr_stride64_b32, (load_local2<4, 64>(w, i)))
DS(load_2addr_stride64_b64, (load_local2<8, 64>(w, i)))
DS(store_b8, store_local<1>(w, i, 0))
DS(store_b16, store_local<2>(w, i, 0))
DS(store_b8_d16_hi, store_local<1>(w, i, 16))
DS(store_b16_d16_hi, store_local<2>(w, i, 16))
DS(store_b32, store_local<4>(w, i, 0))
DS(store_b64, store_local<8>(w, i, 0))
DS(store_b96, store_local<12>(w, i, 0))
DS(store_b128, store_local<16>(w, i, 0))
DS(store_2addr_b32, (store_local2<4, 1>(w, i)))
DS(store_2addr_b64, (store_local2<8, 1>(w, i)))
DS(store_2addr_stride64_b32, (store_local2<4, 64>(w, i)))
DS(store_2addr_stride64_b64, (store_local2<8, 64>(w, i)))
#define DS_ATOMIC(operation, type, T, expression)                                                  \
  DS(operation##_##type,                                                                           \
     (atomic_local<T, false>(w, i, 1, [](T old, T data, T) { return (void)old, T(expression); }))) \
  DS(operation##_rtn_##type,                                                                       \
     (atomic_local<T, true>(w, i, 1, [](T old, T data, T) { return (void)old, T(expression); })))
DS_ATOMIC(add, u32, uint32_t, old + data)
DS_ATOMIC(sub, u32, uint32_t, old - data)
DS_ATOMIC(rsub, u32, uint32_t, data - old)
DS_ATOMIC(inc, u32, uint32_t, old >= data ? 0 : old + 1)
DS_ATOMIC(dec, u32, uint32_t, old == 0 || old > data ? data : old - 1)
DS_ATOMIC(min, i32, int32_t, std::min(old, data))
DS_ATOMIC(max, i32, int32_t, std::max(old, data))
DS_ATOMIC(min, u32, uint32_t, std::min(old, data))
DS_ATOMIC(max, u32, uint32_t, std::max(old, data))
DS_ATOMIC(and, b32, uint32_t, old& data)
DS_ATOMIC(or, b32, uint32_t, old | data)
DS_ATOMIC(xor, b32, uint32_t, old ^ data)
DS_ATOMIC(min, f32, float, minimum_number(old, data))
DS_ATOMIC(max, f32, float, maximum_number(old, data))
DS_ATOMIC(add, f32, float, old + data)
DS_ATOMIC(add, u64, uint64_t, old + data)
DS_ATOMIC(sub, u64, uint64_t, old - data)
DS_ATOMIC(min, i64, int64_t, std::min(old, data))
DS_ATOMIC(max, i64, int64_t, std::max(old, data))
DS_ATOMIC(min, u64, uint64_t, std::min(old, data))
DS_ATOMIC(max, u64, uint64_t, std::max(old, data))
DS_ATOMIC(and, b64, uint64_t, old& data)
DS_ATOMIC(or, b64, uint64_t, old | data)
DS_ATOMIC(xor, b64, uint64_t, old ^ data)
DS(storexchg_rtn_b32,
   (atomic_local<uint32_t, true>(w, i, 1, [](uint32_t, uint32_t data, uint32_t) { return data; })))
DS(storexchg_rtn_b64,
   (atomic_local<uint64_t, true>(w, i, 1, [](uint64_t, uint64_t data, uint64_t) { return data; })))
/// gfx11: the first data register is the new value, the second the one compared with.
#define DS_COMPARE(name, T, returns)  \
  DS(name, (atomic_local<T, returns>( \
               w, i, 2, [](T old, T next, T expected) { return old == expected ? next : old; })))
DS_COMPARE(cmpstore_b32, uint32_t, false)
DS_COMPARE(cmpstore_rtn_b32, uint32_t, true)
DS_COMPARE(cmpstore_b64, uint64_t, false)
DS_COMPARE(cmpstore_rtn_b64, uint64_t, true)

namespace {

/// DS_BPERMUTE: lane l takes the value of lane address / 4. DS_PERMUTE: lane l gives it there.
/// Local memory is not touched. A lane that is off gives 0.
template <bool kPull>
void permute(Wave& w, const Instruction& i) {
  const uint32_t first = i.dst - kVgpr0;
  const uint32_t data = i.src[1] - kVgpr0;
  if (!readable(w, i, i.src[0], 1) || !readable(w, i, i.src[1], 1)) return;
  if (!w.check_write(i, first, 1)) return;
  alignas(64) uint32_t words[kLanes] = {};
  for (uint32_t l = 0; l < kLanes; ++l) {
    if ((w.exec() >> l & 1) == 0) continue;
    const uint32_t other = (address_of(w, i, l) + uint32_t(i.offset)) / 4 & 31;
    if (!kPull) {
      words[other] = w.v[data][l];
    } else if ((w.exec() >> other & 1) != 0) {
      words[l] = w.v[data][other];
    }
  }
  write_words(w, first, words, w.exec());
  begin(w, i, 1);
}

/// DS_SWIZZLE: OFFSET[15] picks four lanes, else the masks of OFFSET act on lane numbers.
void swizzle(Wave& w, const Instruction& i) {
  const uint32_t first = i.dst - kVgpr0;
  const uint32_t data = i.src[0] - kVgpr0;
  const uint32_t offset = uint32_t(i.offset);
  if (!readable(w, i, i.src[0], 1) || !w.check_write(i, first, 1)) return;
  if (offset >= 0xc000) return w.fail(i, "this mode of ds_swizzle is not known");
  alignas(64) uint32_t words[kLanes] = {};
  for (uint32_t l = 0; l < kLanes; ++l) {
    const uint32_t other = (offset & 0x8000) != 0
                               ? (l & ~3U) | (offset >> (2 * (l & 3)) & 3)
                               : ((l & (offset & 31)) | (offset >> 5 & 31)) ^ (offset >> 10 & 31);
    words[l] = (w.exec() >> other & 1) != 0 ? w.v[data][other] : 0;
  }
  write_words(w, first, words, w.exec());
  begin(w, i, 1);
}

}  // namespace

DS(bpermute_b32, permute<true>(w, i))
DS(permute_b32, permute<false>(w, i))
DS(swizzle_b32, swizzle(w, i))

#undef DS
#undef DS_LOAD
#undef DS_ATOMIC
#undef DS_COMPARE

}  // namespace leat::amd_card
