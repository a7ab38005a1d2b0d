// Dot products and matrix units of x86-64: what is run where this CPU has them, and the code and
// the registers of fragments everywhere.
#include <gtest/gtest.h>

#include "leat/emit/emit.h"
#include "leat/emit/llvm_machine_test.h"
#include "leat/emit/tile_registers.h"

namespace leat::llvm_test {
namespace {

using ir::Builder;
using ir::Fragment;
using ir::Opcode;
using ir::Program;
using ir::Role;
using ir::ValueId;
using Values = std::vector<ValueId>;

Target pairs_target() {
  Target target = avx512_target();
  target.name = "avx512bf16";
  target.llvm_features = "+avx512bf16";
  return target;
}

Target tiles_target() {
  Target target = pairs_target();
  target.name = "amx";
  target.llvm_features += ",+amx-tile,+amx-bf16";
  return target;
}

/// The low four bits of two numbers as bf16: products and sums of them are exact.
ValueId pair_of(Builder& b, ValueId low, ValueId high) {
  const auto bits = [&](ValueId whole) {
    const ValueId small = b.binary(Opcode::and_i, whole, b.i32(15));
    return b.convert(Opcode::bits_from_float, b.convert(Opcode::float_from_int, small));
  };
  return b.binary(Opcode::or_i, b.binary(Opcode::shr_u, bits(low), b.i32(16)), bits(high));
}

Program dot_program(uint32_t lanes) {
  Builder b("pairs", lanes, 1);
  const uint32_t x = b.parameter("x", DType::i32, false, 256);
  const uint32_t y = b.parameter("y", DType::f32, true, 256);
  const auto number = [&](int64_t row) {
    return b.load(x, b.add(b.lane_id(), b.i32(row * lanes)));
  };
  const ValueId p = pair_of(b, number(0), number(1)), q = pair_of(b, number(2), number(3));
  const ValueId same = pair_of(b, b.load(x, b.i32(3)), b.load(x, b.i32(4)));
  const ValueId sum = b.convert(Opcode::float_from_int, b.binary(Opcode::and_i, q, b.i32(7)));
  const ValueId results[] = {b.dot(Opcode::dot_bf16, p, q, sum),
                             b.dot(Opcode::dot_bf16, same, q, b.f32(3)),
                             b.dot(Opcode::dot_bf16, same, same, b.f32(-5))};
  for (int64_t i = 0; i < 3; ++i) b.store(y, b.add(b.lane_id(), b.i32(i * lanes)), results[i]);
  return b.finish();
}

TEST(LlvmTiles, DotProductsOfPairs) {
  const Result<std::string> code = assembly_llvm(dot_program(16), pairs_target());
  ASSERT_TRUE(code) << code.error().message();
  EXPECT_NE(code->find("vdpbf16ps"), std::string::npos);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16") == 0) {
    GTEST_SKIP() << "This CPU has no AVX-512 BF16 to run the code on.";
  }
  for (const uint32_t lanes : {1u, 4u, 16u, 32u}) {
    expect_as_interpreted(dot_program(lanes), pairs_target());
    if (HasFatalFailure()) return;
  }
#endif
}

Fragment fragment(Role role) {
  const DType element = role == Role::sum ? DType::f32 : DType::bf16;
  return {.role = role, .element = element, .m = 16, .n = 16, .k = 32};
}

/// y = x * w, 16 x 64 by 64 x 16, in two rounds; x goes through local memory, masked by `rounds`.
Program product_program() {
  Builder b("product", 16, 1);
  const uint32_t x = b.parameter("x", DType::bf16, false, 1024);
  const uint32_t w = b.parameter("w", DType::bf16, false, 1024);
  const uint32_t n = b.parameter("n", DType::i32, false, 1);
  const uint32_t y = b.parameter("y", DType::f32, true, 256);
  const uint32_t rows = b.local("rows", DType::bf16, 1, 512);
  const ValueId limit = b.load(n, b.i32(0));
  const ValueId lane = b.mul(b.lane_id(), b.i32(2));
  const Values init = {b.fragment_fill(fragment(Role::sum), b.f32(0))};
  const Values sums =
      b.loop(b.i32(0), b.i32(2), 1, init, false, [&](ValueId k, std::span<const ValueId> carried) {
        for (int64_t row = 0; row < 16; ++row) {
          const ValueId from = b.add(b.mul(k, b.i32(32)), b.i32(row * 64));
          b.copy_async(rows, b.add(lane, b.i32(row * 32)), x, b.add(lane, from), 2,
                       b.binary(Opcode::lt_i, b.i32(row), limit));
        }
        b.copy_commit();
        b.copy_wait(0);
        b.barrier();
        const ValueId left = b.fragment_load(
            fragment(Role::a),
            {.slot = rows, .index = b.i32(0), .stride = b.i32(32), .is_local = true});
        const ValueId right = b.fragment_load(
            fragment(Role::b),
            {.slot = w, .index = b.mul(k, b.i32(512)), .stride = b.i32(32), .in_words = true});
        return Values{b.mma(left, right, carried[0])};
      });
  b.fragment_store({.slot = y, .index = b.i32(0), .stride = b.i32(16)}, sums[0]);
  return b.finish();
}

TEST(LlvmTiles, ProductsAreOfTileRegisters) {
  const Result<std::string> code = assembly_llvm(product_program(), tiles_target());
  ASSERT_TRUE(code) << code.error().message();
  size_t at = 0;
  for (const char* text :
       {"ldtilecfg", "tilezero", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease"}) {
    at = code->find(text, at);
    ASSERT_NE(at, std::string::npos) << text << "\n" << *code;
  }
}

// A sum stays in one register; operands take what is free.
TEST(LlvmTiles, RegistersOfFragments) {
  const Program program = product_program();
  const auto tiles = tile_registers(program);
  ASSERT_TRUE(tiles) << tiles.error().message();
  std::vector<uint8_t> sums, others;
  for (ValueId value = 0; value < program.values.size(); ++value) {
    const Role role = program.values[value].fragment.role;
    if (role == Role::sum) sums.push_back((*tiles)[value]);
    if (role == Role::a || role == Role::b) others.push_back((*tiles)[value]);
  }
  EXPECT_EQ(sums, std::vector<uint8_t>(4, 0));
  EXPECT_EQ(others, (std::vector<uint8_t>{1, 2}));
}

TEST(LlvmTiles, WhatRegistersDoNotHoldIsRefused) {
  const auto refuses = [](const std::string& why, const auto& make) {
    Builder b("refused", 16, 1);
    const uint32_t x = b.parameter("x", DType::bf16, false, 8192);
    const uint32_t y = b.parameter("y", DType::f32, true, 256);
    const auto load = [&](Role role, bool in_words) {
      return b.fragment_load(
          fragment(role),
          {.slot = x, .index = b.i32(0), .stride = b.i32(32), .in_words = in_words});
    };
    const ValueId zero = b.fragment_fill(fragment(Role::sum), b.f32(0));
    const ValueId sum = make(b, load, zero);
    b.fragment_store({.slot = y, .index = b.i32(0), .stride = b.i32(16)}, sum);
    const Result<KernelBinary> binary = emit_llvm(b.finish(), tiles_target());
    ASSERT_FALSE(binary) << why;
    EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(binary.error().message().find(why), std::string::npos) << binary.error().message();
  };
  refuses("more fragments at once", [](Builder& b, const auto& load, ValueId zero) {
    Values rows;
    for (int i = 0; i < 8; ++i) rows.push_back(load(Role::a, false));
    for (const ValueId row : rows) zero = b.mma(row, load(Role::b, true), zero);
    return zero;
  });
  refuses("uses a sum more often", [](Builder& b, const auto& load, ValueId zero) {
    const ValueId first = b.mma(load(Role::a, false), load(Role::b, true), zero);
    b.fragment_store({.slot = 1, .index = b.i32(0), .stride = b.i32(16)}, zero);
    return first;
  });
  refuses("in another order", [](Builder& b, const auto& load, ValueId zero) {
    return b.mma(load(Role::a, false), load(Role::b, false), zero);
  });
  refuses("fills a sum", [](Builder& b, const auto& load, ValueId) {
    const ValueId one = b.fragment_fill(fragment(Role::sum), b.f32(1));
    return b.mma(load(Role::a, false), load(Role::b, true), one);
  });
}

}  // namespace
}  // namespace leat::llvm_test
