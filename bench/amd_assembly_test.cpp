#include "bench/amd_assembly.h"

#include <gtest/gtest.h>

namespace leat::cli {
namespace {

constexpr char kKernel[] = R"(
	v_fmac_f32_e32 v9, v1, v2
.LBB0_1:
	s_load_b32 s2, s[0:1], 0x0
.LBB0_2:                                ; %loop
	ds_load_b128 v[1:4], v0
	ds_load_2addr_b64 v[5:8], v0 offset0:1 offset1:2
	s_waitcnt lgkmcnt(0)
	v_dual_fmac_f32 v9, v1, v5 :: v_dual_fmac_f32 v10, v2, v6
	v_dual_fmac_f32 v11, v3, v7 :: v_dual_mov_b32 v12, v4
	v_fmac_f32_e32 v13, v4, v8
	global_load_b32 v14, v[15:16], off
	s_add_i32 s3, s3, 1
	s_cbranch_scc1 .LBB0_2
	v_add_f32_e32 v9, v9, v10
	s_cbranch_scc0 .LBB0_1
	s_endpgm
    .private_segment_fixed_size: 16
    .sgpr_count:     18
    .sgpr_spill_count: 0
    .vgpr_count:     90
    .vgpr_spill_count: 4
)";

TEST(AmdAssembly, FindsTheInnerLoopAndItsMix) {
  const AmdAssembly read = read_amd_assembly(kKernel);
  EXPECT_EQ(read.vgprs, 90u);
  EXPECT_EQ(read.sgprs, 18u);
  EXPECT_EQ(read.scratch_bytes, 16u);
  EXPECT_EQ(read.vgpr_spills, 4u);
  EXPECT_EQ(read.loop.multiply_adds, 4u);
  EXPECT_EQ(read.loop.dual_multiply_adds, 3u);
  EXPECT_EQ(read.loop.vector, 3u);
  EXPECT_EQ(read.loop.local, 2u);
  EXPECT_EQ(read.loop.local_bytes_per_lane, 32u);
  EXPECT_EQ(read.loop.global, 1u);
  EXPECT_EQ(read.loop.scalar, 2u);
  EXPECT_EQ(read.loop.waits, 1u);
  EXPECT_FALSE(read.loop.is_whole_kernel);
}

TEST(AmdAssembly, WithoutALoopTheKernelIsLookedAt) {
  const AmdAssembly read = read_amd_assembly("\tv_fma_f32 v0, v1, v2, v3\n\ts_endpgm\n");
  EXPECT_TRUE(read.loop.is_whole_kernel);
  EXPECT_EQ(read.loop.multiply_adds, 1u);
}

}  // namespace
}  // namespace leat::cli
