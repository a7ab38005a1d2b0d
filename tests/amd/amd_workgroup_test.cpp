// Kernels whose waves and lanes work together: local memory and barriers, atomics, lane exchange,
// matrix instructions. In every order of waves, on both generations, against the host.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <numeric>
#include <random>

#include "tests/amd/amd_kernel_run.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

constexpr WaveOrder kOrders[] = {WaveOrder::forward, WaveOrder::backward, WaveOrder::mixed};

constexpr char kHeader[] = R"(target triple = "amdgcn-amd-amdhsa"
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workitem.id.x()
declare void @llvm.amdgcn.s.barrier()
)";

class WorkgroupTest : public testing::TestWithParam<std::string> {
 protected:
  bool is_gfx12() const { return GetParam().starts_with("gfx12"); }

  std::vector<uint8_t> compile(const std::string& body, uint32_t threads) {
    const auto object = compile_object(GetParam(), kHeader + body + kernel_attributes(threads));
    EXPECT_TRUE(object.has_value()) << object.error().message();
    return object ? *object : std::vector<uint8_t>{};
  }

  std::vector<float> floats(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<float> values(count);
    for (float& value : values) value = float(int(random() % 257) - 128) / 16.0F;
    return values;
  }
};

/// A workgroup of 128 sums 128 values as a tree in local memory.
constexpr char kReduction[] = R"(
@tile = internal addrspace(3) global [128 x float] poison
define amdgpu_kernel void @k(ptr addrspace(1) %out, ptr addrspace(1) %a) #0 {
entry:
  %wg = call i32 @llvm.amdgcn.workgroup.id.x()
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %b = shl i32 %wg, 7
  %i = or i32 %b, %t
  %pa = getelementptr float, ptr addrspace(1) %a, i32 %i
  %v = load float, ptr addrspace(1) %pa
  %pt = getelementptr [128 x float], ptr addrspace(3) @tile, i32 0, i32 %t
  store float %v, ptr addrspace(3) %pt
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  br label %loop
loop:
  %n = phi i32 [ 64, %entry ], [ %half, %next ]
  %works = icmp ult i32 %t, %n
  br i1 %works, label %add, label %next
add:
  %other = add i32 %t, %n
  %po = getelementptr [128 x float], ptr addrspace(3) @tile, i32 0, i32 %other
  %x = load float, ptr addrspace(3) %po
  %y = load float, ptr addrspace(3) %pt
  %s = fadd float %x, %y
  store float %s, ptr addrspace(3) %pt
  br label %next
next:
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  %half = lshr i32 %n, 1
  %more = icmp ugt i32 %half, 0
  br i1 %more, label %loop, label %end
end:
  %first = icmp eq i32 %t, 0
  br i1 %first, label %write, label %done
write:
  %sum = load float, ptr addrspace(3) %pt
  %pr = getelementptr float, ptr addrspace(1) %out, i32 %wg
  store float %sum, ptr addrspace(1) %pr
  br label %done
done:
  ret void
}
)";

TEST_P(WorkgroupTest, ReducesInLocalMemory) {
  const auto object = compile(kReduction, 128);
  const auto a = floats(512, 5);
  for (const WaveOrder order : kOrders) {
    KernelRun run(GetParam(), order);
    run.load(object);
    const uint64_t pa = run.buffer_of(a), po = run.buffer_of(std::vector<float>(4, NAN));
    const auto done = run.launch({po, pa}, 4, 128);
    ASSERT_TRUE(done.has_value()) << done.error().message();
    const auto out = run.values_at<float>(po, 4);
    for (size_t g = 0; g < 4; ++g) {
      const float* first = a.data() + g * 128;
      EXPECT_EQ(out[g], std::accumulate(first, first + 128, 0.0F));
    }
  }
}

/// 16 x 16 tiles of a matrix product of n x n, one element a work-item, tiles in local memory.
constexpr char kProduct[] = R"(
@as = internal addrspace(3) global [256 x float] poison
@bs = internal addrspace(3) global [256 x float] poison
declare float @llvm.fma.f32(float, float, float)
define amdgpu_kernel void @k(ptr addrspace(1) noalias %out, ptr addrspace(1) noalias %a,
                             ptr addrspace(1) noalias %b, i32 %n) #0 {
entry:
  %wg = call i32 @llvm.amdgcn.workgroup.id.x()
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %tiles = lshr i32 %n, 4
  %by = udiv i32 %wg, %tiles
  %bx = urem i32 %wg, %tiles
  %x = and i32 %t, 15
  %y = lshr i32 %t, 4
  %r0 = shl i32 %by, 4
  %row = add i32 %r0, %y
  %c0 = shl i32 %bx, 4
  %column = add i32 %c0, %x
  %rn = mul i32 %row, %n
  %ps = getelementptr [256 x float], ptr addrspace(3) @as, i32 0, i32 %t
  %qs = getelementptr [256 x float], ptr addrspace(3) @bs, i32 0, i32 %t
  br label %outer
outer:
  %k0 = phi i32 [ 0, %entry ], [ %k1, %tail ]
  %sum0 = phi float [ 0.0, %entry ], [ %sum2, %tail ]
  %ka = add i32 %k0, %x
  %ia = add i32 %rn, %ka
  %pa = getelementptr float, ptr addrspace(1) %a, i32 %ia
  %va = load float, ptr addrspace(1) %pa
  store float %va, ptr addrspace(3) %ps
  %kb = add i32 %k0, %y
  %kn = mul i32 %kb, %n
  %ib = add i32 %kn, %column
  %pb = getelementptr float, ptr addrspace(1) %b, i32 %ib
  %vb = load float, ptr addrspace(1) %pb
  store float %vb, ptr addrspace(3) %qs
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  br label %inner
inner:
  %j = phi i32 [ 0, %outer ], [ %j1, %inner ]
  %sum1 = phi float [ %sum0, %outer ], [ %sum2, %inner ]
  %ya = shl i32 %y, 4
  %sa = add i32 %ya, %j
  %pj = getelementptr [256 x float], ptr addrspace(3) @as, i32 0, i32 %sa
  %u = load float, ptr addrspace(3) %pj
  %jb = shl i32 %j, 4
  %sb = add i32 %jb, %x
  %qj = getelementptr [256 x float], ptr addrspace(3) @bs, i32 0, i32 %sb
  %v = load float, ptr addrspace(3) %qj
  %sum2 = call float @llvm.fma.f32(float %u, float %v, float %sum1)
  %j1 = add i32 %j, 1
  %m1 = icmp ult i32 %j1, 16
  br i1 %m1, label %inner, label %tail
tail:
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  %k1 = add i32 %k0, 16
  %m2 = icmp ult i32 %k1, %n
  br i1 %m2, label %outer, label %done
done:
  %io = add i32 %rn, %column
  %po = getelementptr float, ptr addrspace(1) %out, i32 %io
  store float %sum2, ptr addrspace(1) %po
  ret void
}
)";

TEST_P(WorkgroupTest, MultipliesMatrices) {
  constexpr size_t n = 48;
  const auto object = compile(kProduct, 256);
  const auto a = floats(n * n, 1), b = floats(n * n, 2);
  std::vector<float> want(n * n, 0.0F);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k < n; ++k) want[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  for (const WaveOrder order : kOrders) {
    KernelRun run(GetParam(), order);
    run.load(object);
    const uint64_t pa = run.buffer_of(a), pb = run.buffer_of(b);
    const uint64_t po = run.buffer_of(std::vector<float>(n * n, NAN));
    const auto done = run.launch({po, pa, pb, n}, (n / 16) * (n / 16), 256);
    ASSERT_TRUE(done.has_value()) << done.error().message();
    EXPECT_EQ(run.values_at<float>(po, n * n), want);  // multiples of 1/256 below 2^24: all exact
  }
}

/// Counts into global memory, a maximum in local memory, and a compare-and-swap loop for a float
/// sum.
constexpr char kAtomics[] = R"(
@top = internal addrspace(3) global i32 poison
define amdgpu_kernel void @k(ptr addrspace(1) %out, ptr addrspace(1) %a) #0 {
entry:
  %wg = call i32 @llvm.amdgcn.workgroup.id.x()
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %first = icmp eq i32 %t, 0
  br i1 %first, label %clear, label %ready
clear:
  store i32 0, ptr addrspace(3) @top
  br label %ready
ready:
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  %b = mul i32 %wg, 64
  %i = add i32 %b, %t
  %pa = getelementptr i32, ptr addrspace(1) %a, i32 %i
  %v = load i32, ptr addrspace(1) %pa
  %m = atomicrmw umax ptr addrspace(3) @top, i32 %v syncscope("workgroup") monotonic
  %bin = and i32 %v, 7
  %po = getelementptr i32, ptr addrspace(1) %out, i32 %bin
  %c = atomicrmw add ptr addrspace(1) %po, i32 %v syncscope("agent") monotonic
  %pf = getelementptr i32, ptr addrspace(1) %out, i32 16
  br label %try
try:
  %old = load atomic i32, ptr addrspace(1) %pf syncscope("agent") monotonic, align 4
  %of = bitcast i32 %old to float
  %vf = uitofp i32 %bin to float
  %nf = fadd float %of, %vf
  %new = bitcast float %nf to i32
  %pair = cmpxchg ptr addrspace(1) %pf, i32 %old, i32 %new syncscope("agent") monotonic monotonic
  %ok = extractvalue { i32, i1 } %pair, 1
  br i1 %ok, label %swapped, label %try
swapped:
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  br i1 %first, label %write, label %done
write:
  %best = load i32, ptr addrspace(3) @top
  %slot = add i32 %wg, 8
  %pw = getelementptr i32, ptr addrspace(1) %out, i32 %slot
  store i32 %best, ptr addrspace(1) %pw
  br label %done
done:
  ret void
}
)";

TEST_P(WorkgroupTest, Atomics) {
  const auto object = compile(kAtomics, 64);
  std::mt19937 random(3);
  std::vector<uint32_t> a(256), want(17, 0);
  for (uint32_t& value : a) value = uint32_t(random()) % 1000;
  float sum = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    want[a[k] & 7] += a[k];
    want[8 + k / 64] = std::max(want[8 + k / 64], a[k]);
    sum += float(a[k] & 7);
  }
  want[16] = std::bit_cast<uint32_t>(sum);
  for (const WaveOrder order : kOrders) {
    KernelRun run(GetParam(), order);
    run.load(object);
    const uint64_t pa = run.buffer_of(a), po = run.buffer_of(std::vector<uint32_t>(17, 0));
    const auto done = run.launch({po, pa}, 4, 64);
    ASSERT_TRUE(done.has_value()) << done.error().message();
    EXPECT_EQ(run.values_at<uint32_t>(po, 17), want);
  }
}

/// Lane exchange of each kind on 32 lanes: DPP row shift, DS_BPERMUTE, V_PERMLANEX16, V_READLANE.
constexpr char kExchange[] = R"(
declare i32 @llvm.amdgcn.update.dpp.i32(i32, i32, i32 immarg, i32 immarg, i32 immarg, i1 immarg)
declare i32 @llvm.amdgcn.ds.bpermute(i32, i32)
declare i32 @llvm.amdgcn.permlanex16.i32(i32, i32, i32, i32, i1 immarg, i1 immarg)
declare i32 @llvm.amdgcn.readlane.i32(i32, i32)
declare i32 @llvm.amdgcn.ds.swizzle(i32, i32 immarg)
declare i32 @llvm.amdgcn.mov.dpp8.i32(i32, i32 immarg)
define amdgpu_kernel void @k(ptr addrspace(1) %out, ptr addrspace(1) %a) #0 {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %pa = getelementptr i32, ptr addrspace(1) %a, i32 %t
  %v = load i32, ptr addrspace(1) %pa
  %shifted = call i32 @llvm.amdgcn.update.dpp.i32(i32 -1, i32 %v, i32 273, i32 15, i32 15, i1 false)
  %q = mul i32 %t, 12
  %pulled = call i32 @llvm.amdgcn.ds.bpermute(i32 %q, i32 %v)
  %other = call i32 @llvm.amdgcn.permlanex16.i32(i32 %v, i32 %v, i32 1985229328, i32 -19088744,
                                                 i1 false, i1 false)
  %lane = call i32 @llvm.amdgcn.readlane.i32(i32 %v, i32 5)
  %swapped = call i32 @llvm.amdgcn.ds.swizzle(i32 %v, i32 1055)
  %eight = call i32 @llvm.amdgcn.mov.dpp8.i32(i32 %v, i32 342391)
  %p0 = getelementptr i32, ptr addrspace(1) %out, i32 %t
  store i32 %shifted, ptr addrspace(1) %p0
  %p1 = getelementptr i32, ptr addrspace(1) %p0, i32 32
  store i32 %pulled, ptr addrspace(1) %p1
  %p2 = getelementptr i32, ptr addrspace(1) %p0, i32 64
  store i32 %other, ptr addrspace(1) %p2
  %p3 = getelementptr i32, ptr addrspace(1) %p0, i32 96
  store i32 %lane, ptr addrspace(1) %p3
  %p4 = getelementptr i32, ptr addrspace(1) %p0, i32 128
  store i32 %swapped, ptr addrspace(1) %p4
  %p5 = getelementptr i32, ptr addrspace(1) %p0, i32 160
  store i32 %eight, ptr addrspace(1) %p5
  ret void
}
)";

TEST_P(WorkgroupTest, ExchangesLanes) {
  const auto object = compile(kExchange, 32);
  std::vector<uint32_t> a(32);
  for (uint32_t k = 0; k < 32; ++k) a[k] = 100 + k * k;
  KernelRun run(GetParam(), WaveOrder::forward);
  run.load(object);
  const uint64_t pa = run.buffer_of(a), po = run.buffer_of(std::vector<uint32_t>(192, 0));
  const auto done = run.launch({po, pa}, 1, 32);
  ASSERT_TRUE(done.has_value()) << done.error().message();
  const auto out = run.values_at<uint32_t>(po, 192);
  for (uint32_t l = 0; l < 32; ++l) {
    EXPECT_EQ(out[l], l % 16 == 0 ? 0xffffffff : a[l - 1]) << l;  // row_shr:1
    EXPECT_EQ(out[32 + l], a[3 * l % 32]) << l;
    EXPECT_EQ(out[64 + l], a[((l & 16) ^ 16) | (l & 15)]) << l;  // selects count 0..15
    EXPECT_EQ(out[96 + l], a[5]) << l;
    EXPECT_EQ(out[128 + l], a[l ^ 1]) << l;  // xor mask 1, and mask 31
    EXPECT_EQ(out[160 + l], a[(l & ~7U) | (342391U >> (3 * (l & 7)) & 7)]) << l;
  }
}

/// One 16x16x16 product by the intrinsic of each generation. Fragments are laid out as the ISA
/// guides give it, here written once more, in the test's own terms.
struct MatrixCase {
  std::string target;
  std::string kind;  // "f16", "bf16", "iu8"
  bool is_gfx12() const { return target.starts_with("gfx12"); }
  bool is_int() const { return kind == "iu8"; }
  uint32_t per_lane() const { return is_gfx12() ? 8 : 16; }

  std::string fragment_type() const {
    if (is_int()) return fmt::format("<{} x i32>", per_lane() / 4);
    return fmt::format("<{} x {}>", per_lane(), kind == "bf16" ? "i16" : "half");
  }
  std::string sum_type() const { return is_int() ? "<8 x i32>" : "<8 x float>"; }

  std::string intrinsic() const {
    if (is_int()) {
      return fmt::format("@llvm.amdgcn.wmma.i32.16x16x16.iu8.v8i32.v{}i32", per_lane() / 4);
    }
    return fmt::format("@llvm.amdgcn.wmma.f32.16x16x16.{}.v8f32.v{}{}", kind, per_lane(),
                       kind == "bf16" ? "i16" : "f16");
  }
  std::string declaration() const {
    const char* shape = is_int()
                            ? "declare {0} {1}(i1 immarg, {2}, i1 immarg, {2}, {0}, i1 immarg)\n"
                            : "declare {0} {1}({2}, {2}, {0})\n";
    return fmt::format(fmt::runtime(shape), sum_type(), intrinsic(), fragment_type());
  }
  std::string call() const {
    const char* shape = is_int()
                            ? "call {0} {1}(i1 true, {2} %va, i1 false, {2} %vb, {0} %vc, i1 false)"
                            : "call {0} {1}({2} %va, {2} %vb, {0} %vc)";
    return fmt::format(fmt::runtime(shape), sum_type(), intrinsic(), fragment_type());
  }
  std::string program() const {
    return std::string(kHeader) + declaration() +
           fmt::format(R"(
define amdgpu_kernel void @k(ptr addrspace(1) %out, ptr addrspace(1) %a, ptr addrspace(1) %b,
                             ptr addrspace(1) %c) #0 {{
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %pa = getelementptr {0}, ptr addrspace(1) %a, i32 %t
  %va = load {0}, ptr addrspace(1) %pa
  %pb = getelementptr {0}, ptr addrspace(1) %b, i32 %t
  %vb = load {0}, ptr addrspace(1) %pb
  %pc = getelementptr {1}, ptr addrspace(1) %c, i32 %t
  %vc = load {1}, ptr addrspace(1) %pc
  %vd = {2}
  %po = getelementptr {1}, ptr addrspace(1) %out, i32 %t
  store {1} %vd, ptr addrspace(1) %po
  ret void
}}
)",
                       fragment_type(), sum_type(), call()) +
           kernel_attributes(32);
  }

  /// Bytes of one element: whole numbers that all three formats hold exactly.
  void put(std::vector<uint8_t>& to, int value) const {
    if (is_int()) return to.push_back(uint8_t(value));
    const uint16_t half = kind == "bf16" ? uint16_t(std::bit_cast<uint32_t>(float(value)) >> 16)
                                         : std::bit_cast<uint16_t>(_Float16(value));
    to.push_back(uint8_t(half));
    to.push_back(uint8_t(half >> 8));
  }
  uint32_t word(int value) const {
    return is_int() ? uint32_t(value) : std::bit_cast<uint32_t>(float(value));
  }
  uint32_t row_of(uint32_t lane, uint32_t r) const {
    return is_gfx12() ? r + 8 * (lane / 16) : 2 * r + lane / 16;
  }
};

void run_matrix(const MatrixCase& c) {
  const auto object = compile_object(c.target, c.program());
  ASSERT_TRUE(object.has_value()) << object.error().message();
  std::mt19937 random(9);
  int a[16][16], b[16][16];
  for (auto& row : a) {
    for (int& value : row) value = int(random() % 15) - 7;
  }
  for (auto& row : b) {
    for (int& value : row) value = int(random() % 8);
  }
  std::vector<uint8_t> fa, fb;
  std::vector<uint32_t> fc, want;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t e = 0; e < c.per_lane(); ++e) {
      const uint32_t k = c.is_gfx12() ? 8 * (lane / 16) + e : e;
      c.put(fa, a[lane % 16][k]);
      c.put(fb, b[k][lane % 16]);
    }
    for (uint32_t r = 0; r < 8; ++r) {
      const uint32_t m = c.row_of(lane, r), n = lane % 16;
      int sum = int(m) - int(n);
      fc.push_back(c.word(sum));
      for (uint32_t k = 0; k < 16; ++k) sum += a[m][k] * b[k][n];
      want.push_back(c.word(sum));
    }
  }
  KernelRun run(c.target, WaveOrder::forward);
  run.load(*object);
  const uint64_t pa = run.buffer(fa), pb = run.buffer(fb), pc = run.buffer_of(fc);
  const uint64_t po = run.buffer_of(std::vector<uint32_t>(256, 0));
  const auto done = run.launch({po, pa, pb, pc}, 1, 32);
  ASSERT_TRUE(done.has_value()) << done.error().message();
  EXPECT_EQ(run.values_at<uint32_t>(po, 256), want) << c.kind;
}

TEST_P(WorkgroupTest, MatrixInstructions) {
  for (const char* kind : {"f16", "bf16", "iu8"}) run_matrix({GetParam(), kind});
}

/// Pairs of f16, dot products, and a flat address into local memory.
constexpr char kPairs[] = R"(
@cell = internal addrspace(3) global [32 x i32] poison
declare <2 x half> @llvm.fma.v2f16(<2 x half>, <2 x half>, <2 x half>)
declare float @llvm.amdgcn.fdot2(<2 x half>, <2 x half>, float, i1 immarg)
declare i32 @llvm.amdgcn.sudot4(i1 immarg, i32, i1 immarg, i32, i32, i1 immarg)
define amdgpu_kernel void @k(ptr addrspace(1) %out, ptr addrspace(1) %a, ptr addrspace(1) %b) #0 {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %pa = getelementptr i32, ptr addrspace(1) %a, i32 %t
  %x = load i32, ptr addrspace(1) %pa
  %pb = getelementptr i32, ptr addrspace(1) %b, i32 %t
  %y = load i32, ptr addrspace(1) %pb
  %xh = bitcast i32 %x to <2 x half>
  %yh = bitcast i32 %y to <2 x half>
  %f = call <2 x half> @llvm.fma.v2f16(<2 x half> %xh, <2 x half> %yh, <2 x half> %xh)
  %p0 = getelementptr i32, ptr addrspace(1) %out, i32 %t
  store <2 x half> %f, ptr addrspace(1) %p0
  %d = call float @llvm.amdgcn.fdot2(<2 x half> %xh, <2 x half> %yh, float 1.0, i1 false)
  %p1 = getelementptr i32, ptr addrspace(1) %p0, i32 32
  store float %d, ptr addrspace(1) %p1
  %s = call i32 @llvm.amdgcn.sudot4(i1 true, i32 %x, i1 false, i32 %y, i32 %t, i1 false)
  %p2 = getelementptr i32, ptr addrspace(1) %p0, i32 64
  store i32 %s, ptr addrspace(1) %p2
  %pl = getelementptr [32 x i32], ptr addrspace(3) @cell, i32 0, i32 %t
  %flat = addrspacecast ptr addrspace(3) %pl to ptr
  store volatile i32 %x, ptr %flat
  %z = load volatile i32, ptr %flat
  %p3 = getelementptr i32, ptr addrspace(1) %p0, i32 96
  store i32 %z, ptr addrspace(1) %p3
  ret void
}
)";

TEST_P(WorkgroupTest, PairsAndDotProducts) {
  const auto object = compile(kPairs, 32);
  std::vector<uint32_t> a(32), b(32);
  const auto pair = [](float low, float high) {
    return uint32_t(std::bit_cast<uint16_t>(_Float16(low))) |
           uint32_t(std::bit_cast<uint16_t>(_Float16(high))) << 16;
  };
  for (uint32_t l = 0; l < 32; ++l) {
    a[l] = pair(float(l) / 4 - 3, 5 - float(l));
    b[l] = pair(float(l % 7), float(l % 5) / 2);
  }
  KernelRun run(GetParam(), WaveOrder::forward);
  run.load(object);
  const uint64_t pa = run.buffer_of(a), pb = run.buffer_of(b);
  const uint64_t po = run.buffer_of(std::vector<uint32_t>(128, 0));
  const auto done = run.launch({po, pa, pb}, 1, 32);
  ASSERT_TRUE(done.has_value()) << done.error().message();
  const auto out = run.values_at<uint32_t>(po, 128);
  for (uint32_t l = 0; l < 32; ++l) {
    const float x0 = float(l) / 4 - 3, x1 = 5 - float(l), y0 = float(l % 7), y1 = float(l % 5) / 2;
    EXPECT_EQ(out[l], pair(x0 * y0 + x0, x1 * y1 + x1)) << l;
    EXPECT_EQ(out[32 + l], std::bit_cast<uint32_t>(x0 * y0 + x1 * y1 + 1)) << l;
    uint32_t dot = l;
    for (uint32_t k = 0; k < 4; ++k) {
      dot += uint32_t(int8_t(uint8_t(a[l] >> (8 * k))) * int32_t(b[l] >> (8 * k) & 255));
    }
    EXPECT_EQ(out[64 + l], dot) << l;
    EXPECT_EQ(out[96 + l], a[l]) << l;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, WorkgroupTest, testing::Values("gfx1100", "gfx1201"));

}  // namespace
}  // namespace leat::amd_card
