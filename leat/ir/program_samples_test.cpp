// The programs of program_samples_test.h.
#include "leat/ir/program_samples_test.h"

#include <array>
#include <limits>

#include "leat/ir/builder.h"

namespace leat::ir {
namespace {

constexpr int64_t kLanes = 4;
constexpr int64_t kWaves = 2;
constexpr int64_t kRows = 4;   // of a wave
constexpr int64_t kDepth = 4;  // of k in one round

struct MatmulBuffers {
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
  uint32_t tile = 0;
};

// Wave w copies the rows w, w + 2 of the tile of b.
void copy_tile(Builder& builder, const MatmulShape& shape, const MatmulBuffers& buffers,
               ValueId k0) {
  const ValueId lane = builder.lane_id();
  const ValueId column = builder.add(builder.mul(builder.group_id(0), builder.i32(kLanes)), lane);
  const ValueId in_n = builder.binary(Opcode::lt_i, column, builder.i32(shape.n));
  for (int64_t i = 0; i < kDepth; i += kWaves) {
    const ValueId row = builder.add(builder.wave_id(), builder.i32(i));
    const ValueId k = builder.add(k0, row);
    const ValueId in_k = builder.binary(Opcode::lt_i, k, builder.i32(shape.k));
    const ValueId value =
        builder.load(buffers.b, builder.add(builder.mul(k, builder.i32(shape.n)), column), 1,
                     builder.logical_and(in_n, in_k));
    builder.store_local(buffers.tile, builder.add(builder.mul(row, builder.i32(kLanes)), lane),
                        value);
  }
}

}  // namespace

Program tiled_matmul(const MatmulShape& shape) {
  Builder b("matmul", kLanes, kWaves);
  const int64_t columns = (shape.n + kLanes - 1) / kLanes;
  const int64_t rows_of_group = kRows * kWaves;
  b.program().grid = {static_cast<uint32_t>(columns),
                      static_cast<uint32_t>(shape.m / rows_of_group), 1};
  MatmulBuffers buffers;
  buffers.a = b.parameter("a", shape.storage, false, shape.m * shape.k);
  buffers.b = b.parameter("b", shape.storage, false, shape.k * shape.n);
  buffers.c = b.parameter("c", shape.storage, true, shape.m * shape.n);
  buffers.tile = b.local("tile", DType::f32, 1, kDepth * kLanes);
  const ValueId first_row =
      b.add(b.mul(b.group_id(1), b.i32(rows_of_group)), b.mul(b.wave_id(), b.i32(kRows)));
  const std::vector<ValueId> init(kRows, b.f32(0));
  const auto round = [&](ValueId k0, std::span<const ValueId> carried) {
    copy_tile(b, shape, buffers, k0);
    b.barrier();
    std::vector<ValueId> sums(carried.begin(), carried.end());
    for (int64_t kk = 0; kk < kDepth; ++kk) {
      const ValueId k = b.add(k0, b.i32(kk));
      const ValueId right = b.load_local(buffers.tile, b.add(b.lane_id(), b.i32(kk * kLanes)));
      const ValueId in_k = b.binary(Opcode::lt_i, k, b.i32(shape.k));
      for (int64_t row = 0; row < kRows; ++row) {
        const ValueId at = b.add(b.mul(b.add(first_row, b.i32(row)), b.i32(shape.k)), k);
        const ValueId left = b.load(buffers.a, at, 1, in_k);
        ValueId& sum = sums[static_cast<size_t>(row)];
        sum = b.fma(left, right, sum);
      }
    }
    b.barrier();
    return sums;
  };
  const std::vector<ValueId> sums = b.loop(b.i32(0), b.i32(shape.k), kDepth, init, true, round);
  const ValueId column = b.add(b.mul(b.group_id(0), b.i32(kLanes)), b.lane_id());
  const ValueId mask = b.binary(Opcode::lt_i, column, b.i32(shape.n));
  for (int64_t row = 0; row < kRows; ++row) {
    const ValueId at = b.add(b.mul(b.add(first_row, b.i32(row)), b.i32(shape.n)), column);
    b.store(buffers.c, at, sums[static_cast<size_t>(row)], mask);
  }
  return b.finish();
}

Program sampler() {
  Builder b("a \"sampler\"\n", 4, 2);
  b.program().grid = {2, 1, 3};
  const uint32_t x = b.parameter("x", DType::f16, false, 256);
  const uint32_t n = b.parameter("n", DType::i32, false, 256);
  const uint32_t y = b.parameter("y", DType::f32, true, 256);
  const uint32_t q = b.local("q", DType::f32, 4, 8);
  const uint32_t s = b.local("s", DType::i32, 1, 8);
  const ValueId place = b.add(b.mul(b.wave_id(), b.i32(4)), b.lane_id());
  const ValueId wide = b.load(x, place, 4);
  const ValueId low = b.binary(Opcode::lt_f, wide, b.f32(0.1f));
  const ValueId chosen = b.select(low, b.f32(-std::numeric_limits<float>::infinity()), wide);
  b.store_local(q, place, b.fma(chosen, b.f32(1.0e-20f), wide));
  b.store_local(s, place, b.convert(Opcode::int_from_float, b.extract(wide, 2)));
  b.barrier();
  const ValueId back = b.binary(Opcode::sub_i, b.i32(7), place);
  const ValueId other = b.load_local(q, back, 4);
  const ValueId total = b.reduce(Opcode::reduce_max, b.load_local(s, back));
  const ValueId limit = b.load(n, b.group_id(2));
  const std::vector<ValueId> init = {b.f32(0), total};
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId term = b.unary(Opcode::exp, b.convert(Opcode::float_from_int, i));
    return std::vector<ValueId>{b.add(carried[0], b.mul(term, b.extract(other, 1))),
                                b.binary(Opcode::xor_i, carried[1], i)};
  };
  const std::vector<ValueId> sums = b.loop(b.i32(0), limit, 3, init, {true, false}, body, 2);
  const ValueId odd = b.binary(Opcode::eq_i, b.binary(Opcode::and_i, sums[1], b.i32(1)), b.i32(1));
  const ValueId at =
      b.add(b.mul(b.add(b.mul(b.group_id(0), b.i32(3)), b.group_id(2)), b.i32(8)), place);
  const ValueId mask = b.not_b(b.binary(Opcode::le_i, b.lane_id(), b.wave_id()));
  b.branch(
      odd, [&] { b.store(y, at, sums[0], mask); },
      [&] { b.store(y, at, b.convert(Opcode::float_from_bits, sums[1])); });
  b.store(y, b.add(at, b.i32(48)), b.vector(std::array{sums[0], b.f32(0.1f)}), b.b1(false));
  const ValueId pair = b.vector(std::array{b.convert(Opcode::bits_from_float, sums[0]), at});
  const ValueId sum = b.add(b.extract(b.binary(Opcode::add_i, pair, b.i32(3)), 0), b.i32(1));
  b.store(y, b.add(b.mul(at, b.i32(-1)), b.i32(200)), b.convert(Opcode::float_from_int, sum));
  return b.finish();
}

std::string kernel_around(const std::string& body) {
  return "leat-kernel 1\nkernel \"test\" lanes 4 waves 2 grid 2 1 1\n"
         "parameter x : f32[64] read\nparameter y : f32[64] write\n"
         "parameter h : f16[64] write\nparameter n : i32[64] read\n"
         "local s : f32[16]\nlocal q : f32x4[16]\n{\n" +
         body + "\n}\n";
}

}  // namespace leat::ir
