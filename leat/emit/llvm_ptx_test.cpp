// PTX: the text of small kernels in full, what must and must not stand in it, and, where an
// assembler is installed, that every sample program assembles for every architecture, without
// spills.
#include <gtest/gtest.h>
#include <llvm/Config/llvm-config.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "leat/emit/emit.h"
#include "leat/emit/ptx_assembler.h"
#include "leat/emit/spirv_programs_test.h"
#include "leat/ir/builder.h"
#include "leat/ir/parse.h"
#include "leat/route/cubin.h"
#include "leat/route/nvidia_target.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

constexpr char kOlder[] = "LLVM " LLVM_VERSION_STRING " writes other text than LLVM 19.";
constexpr uint32_t kArchitectures[] = {75, 80, 89, 90};

Target ptx_target(uint32_t architecture) {
  return nvidia_target({.capability_major = architecture / 10,
                        .capability_minor = architecture % 10,
                        .multiprocessors = 100,
                        .shared_bytes_max = 65536});
}

std::string ptx_of(const ir::Program& program, uint32_t architecture = 80) {
  const Result<std::string> text = assembly_llvm(program, ptx_target(architecture));
  EXPECT_TRUE(text) << text.error().message();
  return text ? *text : "";
}

size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// From the target line on: what stands above names LLVM's version.
std::string body_of(const std::string& ptx) {
  return ptx.substr(std::min(ptx.find(".version"), ptx.size()));
}

/// Sums of 32 lanes through local memory, which a second wave turns around. Made one by one, as in
/// which order the arguments of a call are made is the compiler's choice.
ir::Program exchange_program() {
  Builder b("exchange", 32, 2);
  const uint32_t x = b.parameter("x", DType::f32, false, 64);
  const uint32_t y = b.parameter("y", DType::f32, true, 64);
  const uint32_t tile = b.local("tile", DType::f32, 1, 64);
  const ValueId lane = b.lane_id();
  const ValueId place = b.add(b.mul(b.wave_id(), b.i32(32)), lane);
  b.store_local(tile, place, b.load(x, place));
  b.barrier();
  const ValueId other = b.load_local(tile, b.sub(b.i32(63), place));
  b.store(y, place, b.add(other, b.reduce(Opcode::reduce_add, other)));
  return b.finish();
}

ir::Program wide_program() {
  Builder b("wide", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 256);
  const uint32_t h = b.parameter("h", DType::f16, false, 256);
  const uint32_t y = b.parameter("y", DType::f32, true, 256);
  const uint32_t tile = b.local("tile", DType::f32, 4, 32);
  const ValueId four = b.load(x, b.lane_id(), 4);
  const ValueId half = b.load(h, b.lane_id(), 2);
  b.store_local(tile, b.lane_id(), four);
  b.barrier();
  const ValueId back = b.load_local(tile, b.sub(b.i32(31), b.lane_id()), 4);
  const ValueId halves = b.vector(std::vector<ValueId>{b.extract(half, 0), b.extract(half, 1),
                                                       b.extract(half, 0), b.extract(half, 1)});
  b.store(y, b.lane_id(), b.add(b.mul(back, four), halves));
  return b.finish();
}

TEST(Ptx, SaxpyInFull) {
  if (LLVM_VERSION_MAJOR < 19) GTEST_SKIP() << kOlder;
  EXPECT_EQ(body_of(ptx_of(spirv::saxpy_program(1000))), R"(.version 8.0
.target sm_80
.address_size 64

	// .globl	leat_saxpy

.visible .entry leat_saxpy(
	.param .u64 leat_saxpy_param_0,
	.param .u64 leat_saxpy_param_1,
	.param .u64 leat_saxpy_param_2
)
.reqntid 128, 1, 1
{
	.reg .pred 	%p<4>;
	.reg .b32 	%r<8>;
	.reg .f32 	%f<5>;
	.reg .b64 	%rd<12>;

	ld.param.u64 	%rd4, [leat_saxpy_param_0];
	mov.u32 	%r1, %tid.x;
	and.b32  	%r2, %r1, 31;
	shr.u32 	%r3, %r1, 5;
	mov.u32 	%r4, %ctaid.x;
	mad.lo.s32 	%r5, %r4, 4, %r3;
	shl.b32 	%r6, %r5, 5;
	or.b32  	%r7, %r2, %r6;
	setp.gt.s32 	%p3, %r7, 999;
	ld.global.nc.f32 	%f4, [%rd4];
	@%p3 bra 	$L__BB0_2;
	ld.param.u64 	%rd5, [leat_saxpy_param_1];
	ld.param.u64 	%rd6, [leat_saxpy_param_2];
	setp.lt.s32 	%p1, %r7, 1000;
	mul.wide.u32 	%rd7, %r2, 4;
	mul.wide.u32 	%rd8, %r3, 128;
	or.b64  	%rd9, %rd7, %rd8;
	mul.wide.s32 	%rd10, %r4, 512;
	add.s64 	%rd11, %rd9, %rd10;
	add.s64 	%rd1, %rd6, %rd11;
	// begin inline asm
	mov.b32 %f2, 0;
	@%p1 ld.global.b32 %f2, [%rd1];
	// end inline asm
	add.s64 	%rd3, %rd5, %rd11;
	// begin inline asm
	mov.b32 %f3, 0;
	@%p1 ld.global.nc.b32 %f3, [%rd3];
	// end inline asm
	fma.rn.f32 	%f1, %f4, %f3, %f2;
	st.global.f32 	[%rd1], %f1;
$L__BB0_2:
	ret;

}
)");
}

TEST(Ptx, ExchangeInFull) {
  if (LLVM_VERSION_MAJOR < 19) GTEST_SKIP() << kOlder;
  EXPECT_EQ(body_of(ptx_of(exchange_program())), R"(.version 8.0
.target sm_80
.address_size 64

	// .globl	leat_exchange
.extern .shared .align 16 .b8 leat_local[];

.visible .entry leat_exchange(
	.param .u64 leat_exchange_param_0,
	.param .u64 leat_exchange_param_1
)
.reqntid 64, 1, 1
{
	.reg .b32 	%r<14>;
	.reg .f32 	%f<14>;
	.reg .b64 	%rd<12>;

	ld.param.u64 	%rd1, [leat_exchange_param_0];
	ld.param.u64 	%rd2, [leat_exchange_param_1];
	mov.u32 	%r1, %tid.x;
	and.b32  	%r2, %r1, 31;
	shr.u32 	%r3, %r1, 5;
	mul.wide.u32 	%rd3, %r3, 128;
	mul.wide.u32 	%rd4, %r2, 4;
	or.b64  	%rd5, %rd4, %rd3;
	add.s64 	%rd6, %rd1, %rd5;
	ld.global.nc.f32 	%f1, [%rd6];
	mov.u64 	%rd7, leat_local;
	add.s64 	%rd8, %rd7, %rd5;
	st.shared.f32 	[%rd8], %f1;
	bar.sync 	0;
	add.s64 	%rd9, %rd3, %rd4;
	sub.s64 	%rd10, %rd7, %rd9;
	ld.shared.f32 	%f2, [%rd10+252];
	mov.b32 	%r4, %f2;
	shfl.sync.bfly.b32	%r5, %r4, 16, 31, -1;
	mov.b32 	%f3, %r5;
	add.rn.f32 	%f4, %f2, %f3;
	mov.b32 	%r6, %f4;
	shfl.sync.bfly.b32	%r7, %r6, 8, 31, -1;
	mov.b32 	%f5, %r7;
	add.rn.f32 	%f6, %f4, %f5;
	mov.b32 	%r8, %f6;
	shfl.sync.bfly.b32	%r9, %r8, 4, 31, -1;
	mov.b32 	%f7, %r9;
	add.rn.f32 	%f8, %f6, %f7;
	mov.b32 	%r10, %f8;
	shfl.sync.bfly.b32	%r11, %r10, 2, 31, -1;
	mov.b32 	%f9, %r11;
	add.rn.f32 	%f10, %f8, %f9;
	mov.b32 	%r12, %f10;
	shfl.sync.bfly.b32	%r13, %r12, 1, 31, -1;
	mov.b32 	%f11, %r13;
	add.rn.f32 	%f12, %f10, %f11;
	add.rn.f32 	%f13, %f2, %f12;
	add.s64 	%rd11, %rd2, %rd5;
	st.global.f32 	[%rd11], %f13;
	ret;

}
)");
}

TEST(Ptx, WideInFull) {
  if (LLVM_VERSION_MAJOR < 19) GTEST_SKIP() << kOlder;
  EXPECT_EQ(body_of(ptx_of(wide_program())), R"(.version 8.0
.target sm_80
.address_size 64

	// .globl	leat_wide
.extern .shared .align 16 .b8 leat_local[];

.visible .entry leat_wide(
	.param .u64 leat_wide_param_0,
	.param .u64 leat_wide_param_1,
	.param .u64 leat_wide_param_2
)
.reqntid 32, 1, 1
{
	.reg .b16 	%rs<3>;
	.reg .b32 	%r<3>;
	.reg .f32 	%f<19>;
	.reg .b64 	%rd<13>;

	ld.param.u64 	%rd1, [leat_wide_param_0];
	ld.param.u64 	%rd2, [leat_wide_param_1];
	mov.u32 	%r1, %tid.x;
	ld.param.u64 	%rd3, [leat_wide_param_2];
	mul.wide.u32 	%rd4, %r1, 16;
	add.s64 	%rd5, %rd1, %rd4;
	ld.global.nc.v4.f32 	{%f1, %f2, %f3, %f4}, [%rd5];
	mul.wide.u32 	%rd6, %r1, 4;
	add.s64 	%rd7, %rd2, %rd6;
	ld.global.nc.u32 	%r2, [%rd7];
	mov.b32 	{%rs1, %rs2}, %r2;
	cvt.f32.f16 	%f5, %rs2;
	cvt.f32.f16 	%f6, %rs1;
	mov.u64 	%rd8, leat_local;
	mul.wide.s32 	%rd9, %r1, 16;
	add.s64 	%rd10, %rd8, %rd9;
	st.shared.v4.f32 	[%rd10], {%f1, %f2, %f3, %f4};
	bar.sync 	0;
	sub.s64 	%rd11, %rd8, %rd9;
	ld.shared.v4.f32 	{%f7, %f8, %f9, %f10}, [%rd11+496];
	mul.rn.f32 	%f11, %f1, %f7;
	mul.rn.f32 	%f12, %f2, %f8;
	mul.rn.f32 	%f13, %f3, %f9;
	mul.rn.f32 	%f14, %f4, %f10;
	add.rn.f32 	%f15, %f6, %f11;
	add.rn.f32 	%f16, %f5, %f12;
	add.rn.f32 	%f17, %f6, %f13;
	add.rn.f32 	%f18, %f5, %f14;
	add.s64 	%rd12, %rd3, %rd4;
	st.global.v4.f32 	[%rd12], {%f15, %f16, %f17, %f18};
	ret;

}
)");
}

/// One of tests/text.
ir::Program text_program(const std::string& name) {
  std::ifstream file(LEAT_SOURCE_DIR "/tests/text/ir_" + name + ".ir");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const Result<ir::Program> program = ir::parse_program(text, name);
  EXPECT_TRUE(program) << program.error().message();
  return program ? *program : ir::Program();
}

// Source of the texts: PTX ISA 8.0, the sections that are named as the instructions. An intrinsic
// that LLVM does not know would become a call.
TEST(Ptx, HasAnInstructionForEach) {
  struct Expected {
    const char* program;
    std::vector<std::string> parts;
  };
  const Expected all[] = {
      {"mma_f16", {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"}},
      {"mma_bf16", {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"}},
      {"mma_tf32", {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "cvt.rna.tf32.f32"}},
      {"mma_i8", {"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"}},
      {"mma_local",
       {"ldmatrix.sync.aligned.m8n8.x4.shared.b16", "ldmatrix.sync.aligned.m8n8.x2.shared.b16",
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
        "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16", "cp.async.cg.shared.global",
        "cp.async.ca.shared.global", "cp.async.commit_group", "cp.async.wait_group"}},
      {"shuffle",
       {"shfl.sync.idx.b32", "shfl.sync.bfly.b32", "shfl.sync.up.b32", "shfl.sync.down.b32"}},
      {"dot", {"dp4a.s32.s32", "dp4a.u32.s32", "dp4a.u32.u32"}},
      {"wide", {"shl.b64", "cvt.rn.f64.s64"}},
  };
  for (const Expected& expected : all) {
    const std::string ptx = ptx_of(text_program(expected.program));
    for (const std::string& part : expected.parts) {
      EXPECT_NE(ptx.find(part), std::string::npos) << expected.program << ": " << part << "\n"
                                                   << ptx;
    }
    EXPECT_EQ(ptx.find(".extern .func"), std::string::npos) << expected.program;
  }
}

TEST(Ptx, CountsWorkgroupsBehindAFence) {
  Builder b("counter", 32, 2);
  const uint32_t counter = b.parameter("counter", DType::i32, true, 1);
  const uint32_t y = b.parameter("y", DType::f32, true, 64);
  const ValueId is_last = b.last_group(counter, b.i32(0), b.i32(7));
  b.branch(is_last, [&] { b.store(y, b.lane_id(), b.f32(1)); });
  b.atomic_add(y, b.i32(40), b.f32(1), b.binary(Opcode::lt_i, b.lane_id(), b.i32(3)));
  const std::string ptx = ptx_of(b.finish());
  const size_t fence = ptx.find("membar.gl"), barrier = ptx.find("bar.sync");
  const size_t counts = ptx.find("atom.global.inc.u32"), answer = ptx.find("bar.red.or.pred");
  EXPECT_LT(fence, barrier) << ptx;
  EXPECT_LT(barrier, counts) << ptx;
  EXPECT_LT(counts, answer) << ptx;
  EXPECT_NE(ptx.find("membar.gl", answer), std::string::npos) << ptx;
  EXPECT_NE(ptx.find("atom.global.add.f32"), std::string::npos) << ptx;
}

TEST(Ptx, RefusesInstructionsThatTheChipLacks) {
  for (const auto& [name, part] :
       {std::pair("mma_f16", "(fragment_load)"), {"copy_async", "(copy_async)"}}) {
    const Result<std::string> text = assembly_llvm(text_program(name), ptx_target(75));
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(text.error().message().find(part), std::string::npos) << text.error().message();
  }
}

TEST(Ptx, NamesWhatTheLaunchNeeds) {
  const std::string text = ptx_of(spirv::saxpy_program(1000), 90);
  EXPECT_NE(text.find(".version 8.0"), std::string::npos);
  EXPECT_NE(text.find(".target sm_90a\n"), std::string::npos);
  EXPECT_NE(text.find(".visible .entry leat_saxpy("), std::string::npos);
  EXPECT_NE(text.find(".reqntid 128, 1, 1"), std::string::npos);
  EXPECT_EQ(count_of(text, ".param .u64"), 3u);
}

// Chips that LLVM 19 does not know get the PTX of the newest that it does.
TEST(Ptx, IsForTheNewestKnownArchitectureAtMost) {
  EXPECT_NE(ptx_of(spirv::saxpy_program(1000), 120).find(".target sm_90"), std::string::npos);
}

TEST(Ptx, RoundsLikeTheInterpreter) {
  Builder b("rounding", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 128);
  const uint32_t y = b.parameter("y", DType::f32, true, 64);
  const ValueId a = b.load(x, b.lane_id());
  const ValueId c = b.load(x, b.add(b.lane_id(), b.i32(32)));
  const ValueId sum = b.add(b.mul(a, c), a);
  const ValueId root = b.unary(Opcode::sqrt, b.binary(Opcode::div_f, sum, c));
  b.store(y, b.lane_id(), root);
  const std::string text = ptx_of(b.finish());
  for (const char* exact : {"mul.rn.f32", "add.rn.f32", "div.rn.f32", "sqrt.rn.f32"}) {
    EXPECT_EQ(count_of(text, exact), 1u) << exact << "\n" << text;
  }
  for (const char* loose : {"fma", ".approx", ".ftz", ".full"}) {
    EXPECT_EQ(count_of(text, loose), 0u) << loose << "\n" << text;
  }
}

TEST(Ptx, RefusesWhatTheChipCannotRun) {
  const auto expect = [](const ir::Program& program, const Target& target, const char* reason) {
    const Result<std::string> text = assembly_llvm(program, target);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(text.error().message().find(reason), std::string::npos) << text.error().message();
  };
  const Target target = ptx_target(80);
  expect(Builder("lanes", 16, 1).finish(), target, "(16) lanes");
  expect(Builder("waves", 32, 33).finish(), target, "(1056) threads");
  Builder big("big", 32, 1);
  big.local("tile", DType::f32, 4, 4097);
  expect(big.finish(), target, "(65552) bytes of local memory");
  ir::Program grid = Builder("grid", 32, 1).finish();
  grid.grid[1] = 65536;
  expect(grid, target, "(65536) workgroups");
}

TEST(Ptx, LocalMemoryIsAlignedForItsWidestAccess) {
  Builder b("locals", 32, 1);
  b.local("odd", DType::f32, 1, 5);
  b.local("wide", DType::f32, 4, 2);
  const std::string text = ptx_of(b.finish());
  EXPECT_NE(text.find(".extern .shared .align 16 .b8 leat_local[];"), std::string::npos) << text;
}

struct Assembly {
  PtxAssembler assembler;
  uint32_t architecture;
};

class PtxAssembly : public testing::TestWithParam<Assembly> {};

/// Programs whose registers do not fit by design.
bool spills_by_design(const std::string& name) { return name == "wide_loop"; }

TEST_P(PtxAssembly, TakesEverySample) {
  const auto [assembler, architecture] = GetParam();
  const Target target = ptx_target(architecture);
  for (const spirv::NamedProgram& sample : spirv::all_programs()) {
    const ir::Program program = sample.make();
    if (program.wave_lanes != target.wave_lanes) continue;
    const std::string ptx = ptx_of(program, architecture);
    const Result<AssembledPtx> assembled = assemble_ptx_with(assembler, ptx, target.llvm_cpu);
    if (!assembled && assembled.error().kind() == ErrorKind::unsupported) {
      GTEST_SKIP() << assembled.error().message();
    }
    ASSERT_TRUE(assembled) << sample.name << ": " << assembled.error().message();
    EXPECT_FALSE(assembled->assembler.empty());
    KernelBinary binary = describe_kernel(program, CodeFormat::cubin, "leat_" + program.name);
    binary.code = assembled->cubin;
    const Result<void> checked = check_cubin(binary, target);
    EXPECT_TRUE(checked) << checked.error().message();
    if (assembler != PtxAssembler::ptxas || spills_by_design(sample.name)) continue;
    EXPECT_NE(assembled->log.find("0 bytes spill stores, 0 bytes spill loads"), std::string::npos)
        << sample.name << ": " << assembled->log;
  }
}

std::vector<Assembly> assemblies() {
  std::vector<Assembly> all;
  for (const PtxAssembler assembler : ptx_assemblers()) {
    for (const uint32_t architecture : kArchitectures) all.push_back({assembler, architecture});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Assemblers, PtxAssembly, testing::ValuesIn(assemblies()),
                         [](const auto& test) {
                           std::string name(name_of(test.param.assembler));
                           std::erase(name, ' ');
                           return name + "_sm_" + std::to_string(test.param.architecture);
                         });

TEST(PtxAssembler, SaysWhatIsWrongWithTheText) {
  const std::string text = ".version 8.0\n.target sm_80\nnonsense\n";
  const Result<AssembledPtx> assembled = assemble_ptx(text, "sm_80");
  ASSERT_FALSE(assembled);
  if (assembled.error().kind() == ErrorKind::unsupported) {
    GTEST_SKIP() << assembled.error().message();
  }
  EXPECT_EQ(assembled.error().kind(), ErrorKind::internal);
  EXPECT_NE(assembled.error().message().find("sm_80"), std::string::npos);
}

TEST(PtxAssembler, MakesABinaryThatSaysWhatMadeIt) {
  const ir::Program program = exchange_program();
  const Result<KernelBinary> binary = emit(program, ptx_target(90));
  if (!binary && binary.error().kind() == ErrorKind::unsupported) {
    GTEST_SKIP() << binary.error().message();
  }
  ASSERT_TRUE(binary) << binary.error().message();
  EXPECT_EQ(binary->format, CodeFormat::cubin);
  EXPECT_EQ(binary->entry, "leat_exchange");
  EXPECT_EQ(binary->local_memory_bytes, 256u);
  EXPECT_FALSE(binary->assembler.empty());
  EXPECT_TRUE(check_cubin(*binary, ptx_target(90)));
  EXPECT_FALSE(check_cubin(*binary, ptx_target(80)));
}

}  // namespace
}  // namespace leat
