// What the emulator must refuse: each case is a few instructions with one mistake, and its mended
// twin that runs.
#include <gtest/gtest.h>

#include "tests/amd/amd_kernel_run.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

constexpr uint32_t kRsrc1 = 0x40af0001;  // 16 vector registers, default modes, CU mode
constexpr uint32_t kRsrc1Gfx12 = 0x400f0001;
constexpr uint32_t kRsrc2 = 2 << 1 | 1 << 7 | 1 << 15;  // 2 user SGPRs, workgroup X, 512 B of LDS

/// Assembles for gfx1100 and runs one workgroup of `threads` with one buffer of 64 words.
Result<void> run(const std::string& text, uint32_t threads = 32,
                 WaveOrder order = WaveOrder::forward) {
  const auto words = assemble("gfx1100", text + "\ns_endpgm\n");
  if (!words) return words.error();
  KernelRun device("gfx1100", order);
  device.load_words(*words, kRsrc1, kRsrc2);
  const uint64_t data = device.buffer_of(std::vector<uint32_t>(64, 17));
  return device.launch({data}, 1, threads);
}

void expect_refused(const std::string& text, const std::string& reason, uint32_t threads = 32,
                    WaveOrder order = WaveOrder::forward) {
  const auto done = run(text, threads, order);
  ASSERT_FALSE(done.has_value()) << text;
  EXPECT_NE(done.error().message().find(reason), std::string::npos) << done.error().message();
}
void expect_runs(const std::string& text, uint32_t threads = 32,
                 WaveOrder order = WaveOrder::forward) {
  const auto done = run(text, threads, order);
  EXPECT_TRUE(done.has_value()) << done.error().message() << "\n" << text;
}

constexpr char kPointer[] =
    "s_load_b64 s[4:5], s[0:1], null\ns_waitcnt lgkmcnt(0)\n"
    "v_lshlrev_b32 v1, 2, v0\n";

TEST(EmulatorScalar, FloatsWithAConstant) {
  const auto words = assemble("gfx1201",
                              "s_mov_b32 s4, 2.0\ns_mov_b32 s5, 0.5\n"
                              "s_fmamk_f32 s6, s4, 0x40600000, s5\n"  // 2 * 3.5 + 0.5
                              "s_fmaak_f32 s7, s4, s5, 0x42000000\n"  // 2 * 0.5 + 32
                              "s_load_b64 s[2:3], s[0:1], null\ns_wait_kmcnt 0\n"
                              "v_dual_mov_b32 v2, s6 :: v_dual_mov_b32 v3, s7\nv_mov_b32 v1, 0\n"
                              "global_store_b64 v1, v[2:3], s[2:3]\ns_endpgm\n");
  ASSERT_TRUE(words.has_value()) << words.error().message();
  KernelRun device("gfx1201", WaveOrder::forward);
  device.load_words(*words, kRsrc1Gfx12, kRsrc2);
  const uint64_t data = device.buffer_of(std::vector<uint32_t>(64, 17));
  const auto done = device.launch({data}, 1, 32);
  ASSERT_TRUE(done.has_value()) << done.error().message();
  EXPECT_EQ(device.values_at<float>(data, 2), (std::vector<float>{7.5F, 33.0F}));
}

TEST(EmulatorStrict, UndefinedRegisters) {
  expect_refused("v_add_f32 v1, v0, v2", "v2 is read but was never written");
  expect_refused("s_add_u32 s4, s5, 1", "s5 is read but was never written");
  expect_refused("v_mov_b32 v16, v0", "v16 is outside the 16 registers allocated");
  // Lanes that were off when it was written.
  expect_refused(
      "s_mov_b32 exec_lo, 0xff\nv_mov_b32 v1, 1.0\ns_mov_b32 exec_lo, -1\n"
      "v_add_f32 v2, v1, v1",
      "v1 is read but was never written (lanes 0xffffff00)");
  expect_runs("v_mov_b32 v1, 1.0\nv_add_f32 v2, v1, v1");
}

TEST(EmulatorStrict, LoadsAreHeldBackUntilAWaitCoversThem) {
  const std::string load = std::string(kPointer) + "global_load_b32 v2, v1, s[4:5]\n" +
                           "global_load_b32 v3, v1, s[4:5] offset:64\n";
  expect_refused("s_load_b64 s[4:5], s[0:1], null\nv_mov_b32 v1, s4", "s4 is read before a wait");
  expect_refused(load + "v_add_f32 v4, v2, v2", "v2 is read before a wait");
  expect_refused(load + "s_waitcnt vmcnt(1)\nv_add_f32 v4, v2, v3", "v3 is read before a wait");
  expect_refused(load + "v_mov_b32 v2, 0", "v2 is written before a wait");
  expect_runs(load + "s_waitcnt vmcnt(1)\nv_add_f32 v4, v2, v2");
  expect_runs(load + "s_waitcnt vmcnt(0)\nv_add_f32 v4, v2, v3");
  // Scalar loads return in any order: a wait for one of two covers neither.
  expect_refused(
      "s_load_b32 s4, s[0:1], null\ns_load_b32 s5, s[0:1], 4\ns_waitcnt lgkmcnt(1)\n"
      "v_mov_b32 v1, s4",
      "s4 is read before a wait");
}

TEST(EmulatorStrict, LocalMemory) {
  const std::string address = "v_lshlrev_b32 v1, 2, v0\nv_lshlrev_b32 v3, 2, v0\n";
  expect_refused(address + "ds_load_b32 v2, v1", "was never written");
  expect_refused(address + "ds_store_b32 v1, v0 offset:508", "outside the 512 allocated");
  // Lane l reads what lane 63 - l of the other wave stored: store, wait, barrier, load.
  const std::string store = address + "v_sub_nc_u32 v3, 252, v1\nds_store_b32 v1, v0\n";
  const std::string read = "ds_load_b32 v2, v3\ns_waitcnt lgkmcnt(0)\nv_mov_b32 v4, v2";
  expect_runs(store + "s_waitcnt lgkmcnt(0)\ns_barrier\n" + read, 64);
  expect_refused(store + "s_barrier\n" + read, "was never written", 64, WaveOrder::mixed);
  for (const WaveOrder order : {WaveOrder::forward, WaveOrder::backward, WaveOrder::mixed}) {
    expect_refused(store + "s_waitcnt lgkmcnt(0)\n" + read, "was never written", 64, order);
  }
}

TEST(EmulatorStrict, Bounds) {
  const std::string load = "global_load_b32 v2, v1, s[4:5]";
  expect_runs(kPointer + load);
  expect_refused(std::string(kPointer) + load + " offset:132", "unmapped, 0 bytes behind");
  expect_refused("v_mov_b32 v2, 0\nglobal_store_b32 v2, v0, s[0:1] offset:-4", "unmapped");
  expect_refused("s_getpc_b64 s[4:5]\nv_mov_b32 v1, 0\nglobal_store_b32 v1, v0, s[4:5]",
                 "must not be written");
  expect_refused("s_mov_b64 s[4:5], s[0:1]\ns_setpc_b64 s[4:5]", "code lies in memory that is");
}

TEST(EmulatorStrict, UnknownWords) {
  expect_refused(".long 0xe0500000\n.long 0", "is not known");       // MUBUF load
  expect_refused(".long 0x7e0a0000", "at 0x");                       // VOP1 with a reserved opcode
  expect_refused("v_cvt_off_f32_i4 v1, v0", "is not known");         // known to LLVM, not to us
  expect_refused(".long 0xd7600004\n.long 0x00040d02", "source 2");  // readlane with a third source
  expect_refused("s_trap 2", "traps");
  expect_refused("s_branch L\n.long 0\nL:\ns_code_end", "ran past its end");
}

TEST(EmulatorStrict, Hangs) {
  expect_refused("L:\ns_branch L", "does not end");
  expect_refused("v_cmp_gt_u32 vcc_lo, 32, v0\ns_cbranch_vccnz L\ns_barrier\nL:",
                 "waves wait at a barrier", 64);
}

TEST(EmulatorStrict, LaunchRegisters) {
  const auto words = assemble("gfx1100", "s_endpgm\n");
  ASSERT_TRUE(words.has_value());
  KernelRun device("gfx1100", WaveOrder::forward);
  device.load_words(*words, kRsrc1, kRsrc2);
  const Launch good = device.prepared({}, 1, 32);
  EXPECT_TRUE(device.launch(good).has_value());
  const auto refuses = [&](auto change) {
    Launch bad = good;
    change(bad);
    return !device.launch(bad).has_value();
  };
  EXPECT_TRUE(refuses([](Launch& l) { l.entry += 4; }));
  EXPECT_TRUE(refuses([](Launch& l) { l.threads = {1025, 1, 1}; }));
  EXPECT_TRUE(refuses([](Launch& l) { l.threads = {0, 1, 1}; }));
  EXPECT_TRUE(refuses([](Launch& l) { l.rsrc1 |= 1 << 6; }));
  EXPECT_TRUE(refuses([](Launch& l) { l.rsrc1 |= 1 << 24; }));
  EXPECT_TRUE(refuses([](Launch& l) { l.rsrc2 |= 1; }));
  EXPECT_TRUE(refuses([](Launch& l) { l.rsrc2 |= 200U << 15; }));
}

}  // namespace
}  // namespace leat::amd_card
