// Kernels compiled by LLVM for both generations, run in every order of waves, compared with the
// host. The elementwise cases are exact: the same bits, or a NaN on both sides.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <random>

#include "tests/amd/amd_kernel_run.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

constexpr uint32_t kThreads = 64;
constexpr size_t kCount = 256;
constexpr WaveOrder kOrders[] = {WaveOrder::forward, WaveOrder::backward, WaveOrder::mixed};

std::string header() {
  return R"(target triple = "amdgcn-amd-amdhsa"
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workitem.id.x()
declare void @llvm.amdgcn.s.barrier()
)";
}

/// out[i] = body of %x = a[i], %y = b[i], given as %r.
std::string elementwise(const std::string& in, const std::string& out, const std::string& body,
                        const std::string& declarations, const std::string& attributes) {
  return header() + declarations +
         fmt::format(R"(
define amdgpu_kernel void @k(ptr addrspace(1) %out, ptr addrspace(1) %a, ptr addrspace(1) %b) #0 {{
  %wg = call i32 @llvm.amdgcn.workgroup.id.x()
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %base = mul i32 %wg, {2}
  %i32 = add i32 %base, %t
  %i = zext i32 %i32 to i64
  %pa = getelementptr {0}, ptr addrspace(1) %a, i64 %i
  %pb = getelementptr {0}, ptr addrspace(1) %b, i64 %i
  %po = getelementptr {1}, ptr addrspace(1) %out, i64 %i
  %x = load {0}, ptr addrspace(1) %pa
  %y = load {0}, ptr addrspace(1) %pb
  {3}
  store {1} %r, ptr addrspace(1) %po
  ret void
}}
)",
                     in, out, kThreads, body) +
         kernel_attributes(kThreads, attributes);
}

struct ElementCase {
  std::string name;
  std::string in, out;  // IR types
  std::string body;
  std::string declarations;
  std::function<uint64_t(uint64_t, uint64_t)> host;  // on bits
  int ulps = 0;                                      // 0: exact
  std::string attributes = "";
};

uint32_t size_of(const std::string& type) {
  if (type == "i8") return 1;
  if (type == "i16" || type == "half") return 2;
  return type == "i64" || type == "double" ? 8 : 4;
}

float f32(uint64_t bits) { return std::bit_cast<float>(uint32_t(bits)); }
double f64(uint64_t bits) { return std::bit_cast<double>(bits); }
uint64_t bits(float value) { return std::bit_cast<uint32_t>(value); }
uint64_t bits(double value) { return std::bit_cast<uint64_t>(value); }

/// Values at the edges of a type, then drawn ones.
std::vector<uint64_t> inputs_for(const std::string& type, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> values;
  const std::vector<float> edges = {0.0F,     -0.0F,         1.0F,    -1.0F,  0.5F,
                                    3.0F,     1e-40F,        -1e-42F, 1e38F,  -3e38F,
                                    INFINITY, -INFINITY,     NAN,     1e-20F, 65504.0F,
                                    6e-8F,    2147483648.0F, -2.5F,   1.5F,   16777217.0F};
  for (size_t k = 0; k < kCount; ++k) {
    uint64_t value = random();
    const float edge = edges[(k * (seed % 5 + 1) + seed) % edges.size()];
    if (type == "float" && k < 120) value = bits(edge);
    if (type == "float" && k >= 120) {
      value = bits(float(int64_t(random() % 200001) - 100000) / 1024.0F);
    }
    if (type == "double" && k < 120) value = bits(double(edge) * (k % 7 == 0 ? 1e200 : 1.0));
    if (type == "double" && k >= 120) value = bits(double(int64_t(random() % 200001)) / 1000.0);
    if (type == "i32" && k % 4 == 0) value = random() % 100 + 1;
    if (type == "i64" && k % 4 == 0) value = random() % 1000 + 1;
    const uint32_t size = size_of(type);
    values.push_back(size == 8 ? value : value & ((uint64_t{1} << (8 * size)) - 1));
  }
  return values;
}

std::vector<uint8_t> packed(const std::vector<uint64_t>& values, uint32_t size) {
  std::vector<uint8_t> bytes(values.size() * size);
  for (size_t k = 0; k < values.size(); ++k) std::memcpy(&bytes[k * size], &values[k], size);
  return bytes;
}

bool is_nan(const std::string& type, uint64_t value) {
  if (type == "float") return std::isnan(f32(value));
  if (type == "double") return std::isnan(f64(value));
  if (type == "half") return (value & 0x7c00) == 0x7c00 && (value & 0x3ff) != 0;
  return false;
}

uint64_t distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

const std::vector<ElementCase>& element_cases() {
  static const std::vector<ElementCase> cases = {
      {"add_f32", "float", "float", "%r = fadd float %x, %y", "",
       [](uint64_t x, uint64_t y) { return bits(f32(x) + f32(y)); }},
      {"mul_f32", "float", "float", "%r = fmul float %x, %y", "",
       [](uint64_t x, uint64_t y) { return bits(f32(x) * f32(y)); }},
      {"fma_f32", "float", "float", "%r = call float @llvm.fma.f32(float %x, float %y, float %x)",
       "declare float @llvm.fma.f32(float, float, float)\n",
       [](uint64_t x, uint64_t y) { return bits(std::fma(f32(x), f32(y), f32(x))); }},
      {"div_f32", "float", "float", "%r = fdiv float %x, %y", "",
       [](uint64_t x, uint64_t y) { return bits(f32(x) / f32(y)); }},
      {"div_f64", "double", "double", "%r = fdiv double %x, %y", "",
       [](uint64_t x, uint64_t y) { return bits(f64(x) / f64(y)); }},
      {"fma_f64", "double", "double",
       "%r = call double @llvm.fma.f64(double %x, double %y, double %y)",
       "declare double @llvm.fma.f64(double, double, double)\n",
       [](uint64_t x, uint64_t y) { return bits(std::fma(f64(x), f64(y), f64(y))); }},
      {"sqrt_f32", "float", "float", "%r = call float @llvm.sqrt.f32(float %x)",
       "declare float @llvm.sqrt.f32(float)\n",
       [](uint64_t x, uint64_t) { return bits(std::sqrt(f32(x))); }},
      {"exp2_f32", "float", "float", "%r = call float @llvm.exp2.f32(float %x)",
       "declare float @llvm.exp2.f32(float)\n",
       [](uint64_t x, uint64_t) { return bits(float(std::exp2(double(f32(x))))); }, 1},
      {"log2_f32", "float", "float", "%r = call float @llvm.log2.f32(float %x)",
       "declare float @llvm.log2.f32(float)\n",
       [](uint64_t x, uint64_t) { return bits(float(std::log2(double(f32(x))))); }, 1},
      {"floor_f32", "float", "float", "%r = call float @llvm.floor.f32(float %x)",
       "declare float @llvm.floor.f32(float)\n",
       [](uint64_t x, uint64_t) { return bits(std::floor(f32(x))); }},
      {"rint_f32", "float", "float", "%r = call float @llvm.rint.f32(float %x)",
       "declare float @llvm.rint.f32(float)\n",
       [](uint64_t x, uint64_t) { return bits(std::nearbyint(f32(x))); }},
      {"minnum_f32", "float", "float", "%r = call float @llvm.minnum.f32(float %x, float %y)",
       "declare float @llvm.minnum.f32(float, float)\n",
       [](uint64_t x, uint64_t y) {
         if (f32(x) == f32(y)) return std::signbit(f32(x)) ? x : y;
         return bits(std::fmin(f32(x), f32(y)));
       }},
      {"select_f32", "float", "float",
       "%c = fcmp olt float %x, %y\n%n = fneg float %x\n%r = select i1 %c, float %n, float %y", "",
       [](uint64_t x, uint64_t y) { return f32(x) < f32(y) ? bits(-f32(x)) : y; }},
      {"to_i32", "float", "i32", "%r = call i32 @llvm.fptosi.sat.i32.f32(float %x)",
       "declare i32 @llvm.fptosi.sat.i32.f32(float)\n",
       [](uint64_t x, uint64_t) -> uint64_t {
         const double v = std::trunc(double(f32(x)));
         if (std::isnan(v)) return 0;
         return uint32_t(int32_t(std::min(2147483647.0, std::max(-2147483648.0, v))));
       }},
      {"f16_of_f32", "float", "half", "%r = fptrunc float %x to half", "",
       [](uint64_t x, uint64_t) -> uint64_t { return std::bit_cast<uint16_t>(_Float16(f32(x))); }},
      {"flushed_f32", "float", "float", "%r = fmul float %x, %y", "",
       [](uint64_t x, uint64_t y) {
         const auto flush = [](float v) {
           return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0F, v) : v;
         };
         return bits(flush(flush(f32(x)) * flush(f32(y))));
       },
       0, "\"denormal-fp-math-f32\"=\"preserve-sign,preserve-sign\""},
      {"add_f16", "half", "half", "%r = fadd half %x, %y", "",
       [](uint64_t x, uint64_t y) -> uint64_t {
         const auto v = [](uint64_t b) { return std::bit_cast<_Float16>(uint16_t(b)); };
         return std::bit_cast<uint16_t>(_Float16(float(v(x)) + float(v(y))));
       }},
      {"fma_f16", "half", "half", "%r = call half @llvm.fma.f16(half %x, half %y, half %x)",
       "declare half @llvm.fma.f16(half, half, half)\n",
       [](uint64_t x, uint64_t y) -> uint64_t {
         const auto v = [](uint64_t b) { return double(std::bit_cast<_Float16>(uint16_t(b))); };
         return std::bit_cast<uint16_t>(_Float16(v(x) * v(y) + v(x)));
       }},
      {"mul_i32", "i32", "i32", "%r = mul i32 %x, %y", "",
       [](uint64_t x, uint64_t y) -> uint64_t { return uint32_t(x * y); }},
      {"udiv_i32", "i32", "i32", "%d = or i32 %y, 1\n%r = udiv i32 %x, %d", "",
       [](uint64_t x, uint64_t y) -> uint64_t { return uint32_t(x) / (uint32_t(y) | 1); }},
      {"srem_i32", "i32", "i32", "%d = or i32 %y, 1\n%r = srem i32 %x, %d", "",
       [](uint64_t x, uint64_t y) -> uint64_t {
         return uint32_t(int64_t(int32_t(x)) % int64_t(int32_t(y) | 1));
       }},
      {"mul_i64", "i64", "i64", "%p = mul i64 %x, %y\n%r = sub i64 %p, %y", "",
       [](uint64_t x, uint64_t y) { return x * y - y; }},
      {"sdiv_i64", "i64", "i64", "%d = or i64 %y, 1\n%r = sdiv i64 %x, %d", "",
       [](uint64_t x, uint64_t y) { return uint64_t(int64_t(x) / int64_t(y | 1)); }},
      {"shifts_i64", "i64", "i64",
       "%s = and i64 %y, 63\n%p = ashr i64 %x, %s\n%q = shl i64 %x, %s\n%r = xor i64 %p, %q", "",
       [](uint64_t x, uint64_t y) { return uint64_t(int64_t(x) >> (y & 63)) ^ x << (y & 63); }},
      {"bits_i32", "i32", "i32",
       "%p = call i32 @llvm.ctpop.i32(i32 %x)\n%q = call i32 @llvm.ctlz.i32(i32 %y, i1 false)\n"
       "%v = call i32 @llvm.bitreverse.i32(i32 %y)\n%f = call i32 @llvm.fshr.i32(i32 %x, i32 %y, "
       "i32 7)\n%u = add i32 %p, %q\n%w = xor i32 %u, %v\n%r = add i32 %w, %f",
       "declare i32 @llvm.ctpop.i32(i32)\ndeclare i32 @llvm.ctlz.i32(i32, i1)\n"
       "declare i32 @llvm.bitreverse.i32(i32)\ndeclare i32 @llvm.fshr.i32(i32, i32, i32)\n",
       [](uint64_t x, uint64_t y) -> uint64_t {
         const uint32_t a = uint32_t(x), b = uint32_t(y);
         uint32_t reversed = 0;
         for (int k = 0; k < 32; ++k) reversed |= (b >> k & 1) << (31 - k);
         return uint32_t(((uint32_t(std::popcount(a)) + uint32_t(std::countl_zero(b))) ^ reversed) +
                         (a << 25 | b >> 7));
       }},
      {"i16_ops", "i16", "i16", "%p = mul i16 %x, %y\n%q = lshr i16 %p, 3\n%r = sub i16 %q, %y", "",
       [](uint64_t x, uint64_t y) -> uint64_t {
         return uint16_t((uint16_t(x * y) >> 3) - uint16_t(y));
       }},
      {"i8_ops", "i8", "i32", "%p = sext i8 %x to i32\n%q = zext i8 %y to i32\n%r = mul i32 %p, %q",
       "",
       [](uint64_t x, uint64_t y) -> uint64_t {
         return uint32_t(int32_t(int8_t(uint8_t(x))) * int32_t(uint8_t(y)));
       }},
      {"constant_table", "i32", "i32",
       "%k = and i32 %x, 7\n%p = getelementptr [8 x i32], ptr addrspace(4) @table, i32 0, i32 %k\n"
       "%v = load i32, ptr addrspace(4) %p\n%r = add i32 %v, %y",
       "@table = internal addrspace(4) constant [8 x i32] [i32 3, i32 1, i32 4, i32 1, i32 5, i32 "
       "9,"
       " i32 2, i32 6]\n",
       [](uint64_t x, uint64_t y) -> uint64_t {
         constexpr uint32_t table[] = {3, 1, 4, 1, 5, 9, 2, 6};
         return uint32_t(table[x & 7] + y);
       }},
      {"branches", "i32", "i32",
       "%c = icmp slt i32 %x, %y\nbr i1 %c, label %less, label %more\nless:\n%l = mul i32 %x, 3\n"
       "br label %done\nmore:\n%d = udiv i32 %x, 7\nbr label %done\ndone:\n"
       "%r = phi i32 [ %l, %less ], [ %d, %more ]",
       "",
       [](uint64_t x, uint64_t y) -> uint64_t {
         return int32_t(x) < int32_t(y) ? uint32_t(x * 3) : uint32_t(x) / 7;
       }},
      {"scratch_array", "i32", "i32",
       "%array = alloca [16 x i32], addrspace(5)\n"
       "br label %fill\nfill:\n%n = phi i32 [ 0, %0 ], [ %next, %fill ]\n"
       "%pf = getelementptr [16 x i32], ptr addrspace(5) %array, i32 0, i32 %n\n"
       "%vf = mul i32 %n, %x\nstore volatile i32 %vf, ptr addrspace(5) %pf\n"
       "%next = add i32 %n, 1\n%more = icmp ult i32 %next, 16\n"
       "br i1 %more, label %fill, label %take\ntake:\n%k = and i32 %y, 15\n"
       "%pt = getelementptr [16 x i32], ptr addrspace(5) %array, i32 0, i32 %k\n"
       "%r = load volatile i32, ptr addrspace(5) %pt",
       "", [](uint64_t x, uint64_t y) -> uint64_t { return uint32_t((y & 15) * x); }},
  };
  return cases;
}

class ElementTest : public testing::TestWithParam<std::string> {};

TEST_P(ElementTest, EqualsTheHost) {
  for (const ElementCase& c : element_cases()) {
    SCOPED_TRACE(c.name);
    const auto object =
        compile_object(GetParam(), elementwise(c.in, c.out, c.body, c.declarations, c.attributes));
    ASSERT_TRUE(object.has_value()) << object.error().message();
    const auto a = inputs_for(c.in, 1), b = inputs_for(c.in, 3);
    for (const WaveOrder order : kOrders) {
      KernelRun run(GetParam(), order);
      run.load(*object);
      const uint64_t pa = run.buffer(packed(a, size_of(c.in)));
      const uint64_t pb = run.buffer(packed(b, size_of(c.in)));
      const uint64_t po = run.buffer(std::vector<uint8_t>(kCount * size_of(c.out), 0xa5));
      const auto done = run.launch({po, pa, pb}, kCount / kThreads, kThreads);
      ASSERT_TRUE(done.has_value()) << done.error().message();
      const auto out = run.values_at<uint8_t>(po, kCount * size_of(c.out));
      int wrong = 0;
      for (size_t k = 0; k < kCount && wrong < 4; ++k) {
        uint64_t got = 0;
        std::memcpy(&got, &out[k * size_of(c.out)], size_of(c.out));
        const uint64_t want = c.host(a[k], b[k]);
        if (is_nan(c.out, want) && is_nan(c.out, got)) continue;
        if (distance(got, want) <= uint64_t(c.ulps)) continue;
        ++wrong;
        ADD_FAILURE() << fmt::format("[{}] x {:x} y {:x}: got {:x}, want {:x}", k, a[k], b[k], got,
                                     want);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, ElementTest, testing::Values("gfx1100", "gfx1201"));

}  // namespace
}  // namespace leat::amd_card
