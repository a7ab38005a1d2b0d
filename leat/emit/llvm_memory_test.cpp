// Loads and stores of every storage type, width, kind of address and mask, on every target that
// runs here, against the interpreter. Every buffer ends at a page that traps, so a masked-off lane
// that touches memory shows.
#include <gtest/gtest.h>

#include "leat/emit/llvm_machine_test.h"

namespace leat::llvm_test {
namespace {

using ir::Builder;
using ir::kNone;
using ir::Opcode;
using ir::Program;
using ir::Scalar;
using ir::ValueId;
using Values = std::vector<ValueId>;

constexpr int64_t kElements = 4096;
constexpr uint8_t kWidths[] = {1, 2, 4};

enum class Place { uniform, lanes, stride_2, stride_3, backwards, crossed, pairs };
constexpr Place kPlaces[] = {Place::uniform,   Place::lanes,   Place::stride_2, Place::stride_3,
                             Place::backwards, Place::crossed, Place::pairs};

// An index; all stay below 4 * lanes.
ValueId index_at(Builder& b, Place place) {
  const int64_t lanes = b.program().wave_lanes;
  const ValueId lane = b.lane_id();
  switch (place) {
    case Place::uniform: return b.i32(3);
    case Place::lanes: return lane;
    case Place::stride_2: return b.add(b.mul(lane, b.i32(2)), b.i32(1));
    case Place::stride_3: return b.mul(lane, b.i32(3));
    case Place::backwards: return b.sub(b.i32(lanes), lane);
    case Place::crossed: return b.binary(Opcode::xor_i, lane, b.i32(lanes > 1 ? 1 : 0));
    case Place::pairs: return b.binary(Opcode::div_i, lane, b.i32(2));
  }
  return kNone;
}

enum class MaskKind { none, uniform, varying, alternating };
constexpr MaskKind kMasks[] = {MaskKind::none, MaskKind::uniform, MaskKind::varying,
                               MaskKind::alternating};

// Workgroup 0 is masked off as a whole by the uniform mask, workgroup 1 is not; the varying ones
// let through none and some.
ValueId mask_of(Builder& b, MaskKind kind) {
  const ValueId group = b.group_id(0);
  switch (kind) {
    case MaskKind::none: return kNone;
    case MaskKind::uniform: return b.binary(Opcode::lt_i, b.i32(0), group);
    case MaskKind::varying: return b.binary(Opcode::lt_i, b.lane_id(), b.mul(group, b.i32(3)));
    case MaskKind::alternating:
      return b.binary(Opcode::eq_i, b.binary(Opcode::and_i, b.lane_id(), b.i32(1)), group);
  }
  return kNone;
}

// Loads at every place and keeps what comes, row by row, one half of the results a workgroup.
Program load_program(uint32_t lanes, DType storage, uint8_t width, MaskKind mask_kind) {
  Builder b("loads", lanes, 1);
  b.program().grid = {2, 1, 1};
  const uint32_t x = b.parameter("x", storage, false, int64_t{4} * lanes * width);
  const DType kept = storage == DType::i32 ? DType::i32 : DType::f32;
  const uint32_t y = b.parameter("y", kept, true, kElements);
  ValueId row = b.add(b.mul(b.group_id(0), b.i32(kElements / 2 / width)), b.lane_id());
  for (const Place place : kPlaces) {
    const ValueId value = b.load(x, index_at(b, place), width, mask_of(b, mask_kind));
    b.store(y, row, value);
    row = b.add(row, b.i32(lanes));
  }
  return b.finish();
}

// Each place gets a part of y. A masked-off place beyond the buffer's end must not be touched.
Program store_program(uint32_t lanes, DType storage, uint8_t width, MaskKind mask_kind,
                      Place place) {
  Builder b("stores", lanes, 1);
  b.program().grid = {2, 1, 1};
  const DType kept = storage == DType::i32 ? DType::i32 : DType::f32;
  const int64_t part = int64_t{4} * lanes;
  const uint32_t x = b.parameter("x", kept, false, kElements);
  const uint32_t y = b.parameter("y", storage, true, 2 * part * width);
  const bool is_shared = place == Place::uniform;
  // Lanes that share a place write one value: which lane wins is no one's promise.
  const ValueId from = is_shared ? b.i32(5) : b.lane_id();
  const ValueId value = b.load(x, from, width);
  const ValueId first = b.mul(b.group_id(0), b.i32(part));
  b.store(y, b.add(first, index_at(b, place)), value, mask_of(b, mask_kind));
  return b.finish();
}

// The last wave reaches beyond both buffers, whose ends trap.
Program tail_program(uint32_t lanes, DType storage, int64_t count) {
  Builder b("tail", lanes, 1);
  const int64_t waves = (count + lanes - 1) / lanes;
  b.program().grid = {static_cast<uint32_t>(waves + 1), 1, 1};
  const uint32_t x = b.parameter("x", storage, false, count);
  const uint32_t y = b.parameter("y", storage, true, count);
  const ValueId index = b.add(b.mul(b.group_id(0), b.i32(lanes)), b.lane_id());
  const ValueId mask = b.binary(Opcode::lt_i, index, b.i32(count));
  b.store(y, index, b.add(b.load(x, index, 1, mask), b.load(y, index, 1, mask)), mask);
  return b.finish();
}

// A padded row of a convolution: the mask is fixed in the inner loop, which runs over `channels`
// elements from an address that is outside the buffer where the mask is off. `step` large enough
// makes the row longer than the zeros that stand in for it may be.
Program padded_program(uint32_t lanes, int64_t step, uint8_t width, bool lane_wise) {
  Builder b("padded", lanes, 1);
  constexpr int64_t kRows = 4, kTaps = 3;
  const int64_t channels = 6;
  const int64_t row = step * channels;
  b.program().grid = {kRows, 1, 1};
  const uint32_t x = b.parameter("x", DType::f32, false, (kRows * row + 4 * lanes) * width);
  const uint32_t y = b.parameter("y", DType::f32, true, kRows * lanes * width);
  const ValueId zero = b.f32(0.0f);
  const Values zeros(width, zero);
  const Values init = {width == 1 ? zero : b.vector(zeros)};
  const Values sum = b.loop(
      b.i32(0), b.i32(kTaps), 1, init, true, [&](ValueId tap, std::span<const ValueId> outer) {
        const ValueId place = b.sub(b.add(b.group_id(0), tap), b.i32(1));
        return b.loop(
            b.i32(0), b.i32(channels), 1, outer, true,
            [&](ValueId channel, std::span<const ValueId> inner) {
              const ValueId mask = b.binary(Opcode::lt_u, place, b.i32(kRows));
              ValueId index = b.add(b.mul(place, b.i32(row)), b.mul(channel, b.i32(step)));
              if (lane_wise) index = b.add(index, b.mul(b.lane_id(), b.i32(2)));
              const ValueId value = b.load(x, b.add(index, b.i32(1)), width, mask);
              return Values{b.add(b.mul(inner[0], b.f32(0.75f)), value)};
            },
            4);
      });
  b.store(y, b.add(b.mul(b.group_id(0), b.i32(lanes)), b.lane_id()), sum[0]);
  return b.finish();
}

Program local_program(uint32_t lanes, Scalar scalar, uint8_t width) {
  Builder b("local", lanes, 1);
  const DType storage = scalar == Scalar::f32 ? DType::f32 : DType::i32;
  const uint32_t x = b.parameter("x", storage, false, kElements);
  const uint32_t y = b.parameter("y", storage, true, kElements);
  const uint32_t tile = b.local("tile", storage, width, 4 * lanes);
  const ValueId lane = b.lane_id();
  const ValueId crossed = index_at(b, Place::crossed);
  b.store_local(tile, lane, b.load(x, lane, width));
  b.barrier();
  b.store(y, lane, b.load_local(tile, crossed, width));
  b.store(y, b.add(lane, b.i32(lanes)), b.load_local(tile, b.i32(0), width));
  b.barrier();
  // One element at a time in the wide local.
  b.store_local(tile, b.mul(lane, b.i32(3)), b.load(x, b.add(lane, b.i32(lanes))));
  b.barrier();
  b.store(y, b.add(lane, b.i32(8 * lanes)), b.load_local(tile, b.mul(crossed, b.i32(3))));
  return b.finish();
}

class LlvmMemory : public testing::TestWithParam<Target> {
 protected:
  uint32_t lanes() const { return GetParam().wave_lanes; }
  void expect(const Program& program) { expect_as_interpreted(program, GetParam()); }
};

TEST_P(LlvmMemory, Loads) {
  for (const DType storage : {DType::f32, DType::f16, DType::i32}) {
    for (const MaskKind mask : kMasks) {
      for (const uint8_t width : kWidths) {
        if (storage == DType::i32 && width > 1) continue;  // as f32
        if (storage == DType::f16 && width > 2) continue;
        SCOPED_TRACE(testing::Message() << name_of(storage) << " width " << int{width} << " mask "
                                        << static_cast<int>(mask));
        expect(load_program(lanes(), storage, width, mask));
      }
    }
  }
}

TEST_P(LlvmMemory, Stores) {
  for (const DType storage : {DType::f32, DType::f16, DType::i32}) {
    for (const MaskKind mask : kMasks) {
      for (const Place place : kPlaces) {
        if (place == Place::pairs) continue;  // two lanes, two values, one place
        const uint8_t width = kWidths[static_cast<size_t>(place) % 3];
        SCOPED_TRACE(testing::Message() << name_of(storage) << " place " << static_cast<int>(place)
                                        << " mask " << static_cast<int>(mask));
        expect(store_program(lanes(), storage, width, mask, place));
      }
    }
  }
}

TEST_P(LlvmMemory, Tails) {
  for (const DType storage : {DType::f32, DType::f16, DType::i32}) {
    for (const int64_t count : {1, 7, 8, 33}) expect(tail_program(lanes(), storage, count));
  }
}

TEST_P(LlvmMemory, PaddedRows) {
  for (const int64_t step : {1, 5, 4000}) {
    for (const bool lane_wise : {false, true}) {
      expect(padded_program(lanes(), step, 1, lane_wise));
      expect(padded_program(lanes(), step, 2, lane_wise));
    }
  }
}

TEST_P(LlvmMemory, Local) {
  for (const uint8_t width : kWidths) {
    expect(local_program(lanes(), Scalar::f32, width));
    expect(local_program(lanes(), Scalar::i32, width));
  }
}

// All half-precision numbers to f32 and back, and numbers between and beyond them to f16.
TEST_P(LlvmMemory, Halves) {
  Builder b("halves", lanes(), 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 2048);
  const uint32_t y = b.parameter("y", DType::f16, true, 2048);
  const uint32_t z = b.parameter("z", DType::f16, true, 65536);
  b.program().grid = {65536 / lanes(), 1, 1};
  const ValueId index = b.add(b.mul(b.group_id(0), b.i32(lanes())), b.lane_id());
  const ValueId low = b.binary(Opcode::shl_i, index, b.i32(16));
  // Each pattern once; -1 to 1 units of f32 around a half-way point of some.
  const ValueId pattern = b.binary(Opcode::or_i, low, b.binary(Opcode::shr_u, low, b.i32(16)));
  b.store(z, index, b.convert(Opcode::float_from_bits, pattern));
  const ValueId mask = b.binary(Opcode::lt_i, index, b.i32(2048));
  b.store(y, index, b.mul(b.load(x, index, 1, mask), b.f32(1e-5f)), mask);
  expect(b.finish());
}

INSTANTIATE_TEST_SUITE_P(Targets, LlvmMemory, testing::ValuesIn(runnable_targets()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace leat::llvm_test
