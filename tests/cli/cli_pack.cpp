// Packed models through the program: the same bits as without packing, files that are none, and
// processes that may not run what they write. And the small runtime, where it was built.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/cli/leat_program.h"

namespace leat {
namespace {

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kSeven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";
const std::string kRuntime = LEAT_SOURCE_DIR "/build/runtime/bin/leat";

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The digits, packed once for each list of targets.
std::string packed_for(const std::string& targets) {
  const std::string path = scratch_path("digits-" + targets + ".leat");
  if (std::filesystem::exists(path)) return path;
  const ProgramResult result = run_leat({"pack", kDigits, "--for", targets, "-o", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return path;
}

std::vector<std::string> run_of(const std::string& model, const std::string& device,
                                std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"run", model,      "--input", kSeven,     "--top",
                                        "1",   "--device", device,    "--repeat", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void expect_seven(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("    7  ")) << result.out << result.err;
}

void expect_sentence(const ProgramResult& result, const std::string& part) {
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("leat: ")) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

bool has_cpu() { return run_leat(run_of(kDigits, "cpu")).exit_code == 0; }

/// A device of this machine, software or not, or empty.
std::string vulkan_device() {
  const std::string list = run_leat({"devices"}).out;
  for (int i = 0; i < 4; ++i) {
    const std::string name = "gpu" + std::to_string(i) + ":vulkan";
    if (list.find(name + " ") != std::string::npos) return name;
  }
  return "";
}

// --- The same as without
// ---------------------------------------------------------------------------

TEST(CliPack, OfThisMachineGivesTheSameBits) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string plain = scratch_path("plain.npy"), packed = scratch_path("packed.npy");
  expect_seven(run_leat(run_of(kDigits, "cpu", {"--output", plain})));
  expect_seven(run_leat(run_of(packed_for("cpu"), "cpu", {"--output", packed})));
  ASSERT_FALSE(bytes_of(plain).empty());
  EXPECT_EQ(bytes_of(plain), bytes_of(packed));
}

TEST(CliPack, OneFileServesSeveralKindsOfDevices) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string pack = packed_for("cpu-x86-64-v3,aarch64,vulkan,opengl,gfx1100");
  expect_seven(run_leat(run_of(pack, "cpu")));
  const std::string vulkan = vulkan_device();
  if (vulkan.empty()) GTEST_SKIP() << "There is no Vulkan device.";
  expect_seven(run_leat(run_of(pack, vulkan)));
}

TEST(CliPack, WhatItDoesNotHaveIsSaid) {
  const std::string pack = packed_for("vulkan");
  expect_sentence(run_leat(run_of(pack, "cpu")), "has nothing for Device \"cpu\"");
  expect_sentence(run_leat(run_of(pack, "cpu", {"--tune"})), "is run as it was compiled");
  expect_sentence(run_leat({"pack", kDigits, "--for", "vax", "-o", scratch_path("x.leat")}),
                  "No target is named \"vax\"");
  expect_sentence(run_leat({"pack", kDigits, "--for", "vulkan", "--shape", "x=1,a", "-o",
                            scratch_path("x.leat")}),
                  "--shape \"x=1,a\"");
  EXPECT_FALSE(std::filesystem::exists(scratch_path("x.leat")));
}

// --- Files that are none
// ---------------------------------------------------------------------------

std::string flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  return bytes;
}

TEST(CliPack, DamagedFilesAreRefusedInOneSentence) {
  // For the device alone, so that all of it is looked at there.
  const std::string vulkan = vulkan_device();
  const std::string good = bytes_of(packed_for(vulkan.empty() ? "vulkan" : vulkan));
  ASSERT_GT(good.size(), 1000u);
  struct Case {
    const char* name;
    std::string bytes;
    std::string sentence;
  };
  const Case cases[] = {
      {"short", good.substr(0, 40), "it ends within its header"},
      {"cut", good.substr(0, good.size() - 1), "bytes and was written with"},
      {"long", good + "x", "bytes and was written with"},
      {"newer", good.substr(0, 8) + '\2' + good.substr(9), "is of format version (2)"},
      {"header", flipped(good, 24), "is damaged"},
      {"hash", flipped(good, 40), "its hash does not hold"},
      {"body", flipped(good, 100), "its hash does not hold"},
      {"blob", flipped(good, good.size() - 1), "is damaged"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const std::string path = scratch_file("damaged.leat", one.bytes);
    chmod(path.c_str(), 0600);
    if (std::strcmp(one.name, "blob") == 0 && vulkan.empty()) continue;
    expect_sentence(run_leat(run_of(path, vulkan.empty() ? "cpu" : vulkan)), one.sentence);
  }
}

TEST(CliPack, AFileThatOthersCanWriteIsNotRun) {
  const std::string path = scratch_file("open.leat", bytes_of(packed_for("vulkan")));
  chmod(path.c_str(), 0666);
  expect_sentence(run_leat(run_of(path, "cpu")), "others may write it");
}

// --- MemoryDenyWriteExecute
// ------------------------------------------------------------------------

/// As systemd does it: no memory that is written and run, and none that becomes executable. And,
/// where `memfd` is false, no files in memory. Source: systemd.exec(5), MemoryDenyWriteExecute=;
/// Linux, Documentation/userspace-api/seccomp_filter.rst.
void deny_written_code(bool memfd) {
#if defined(__x86_64__)
  constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
  constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif
  const auto load = [](size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)};
  };
  const auto skip_unless = [](uint16_t how, uint32_t value, uint8_t count) {
    return sock_filter{static_cast<uint16_t>(BPF_JMP | how | BPF_K), 0, count, value};
  };
  const sock_filter refuse = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM};
  const size_t number = offsetof(seccomp_data, nr);
  const size_t protection = offsetof(seccomp_data, args) + 2 * sizeof(uint64_t);
  sock_filter filter[] = {
      load(offsetof(seccomp_data, arch)),
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, kArchitecture},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
      load(number),
      skip_unless(BPF_JEQ, SYS_mprotect, 3),
      load(protection),
      skip_unless(BPF_JSET, PROT_EXEC, 1),
      refuse,
      load(number),
      skip_unless(BPF_JEQ, SYS_mmap, 5),
      load(protection),
      {BPF_ALU | BPF_AND | BPF_K, 0, 0, PROT_WRITE | PROT_EXEC},
      skip_unless(BPF_JEQ, PROT_WRITE | PROT_EXEC, 1),
      refuse,
      load(number),
      skip_unless(BPF_JEQ, memfd ? 0xffffffffu : SYS_memfd_create, 1),
      refuse,
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog program = {std::size(filter), filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(77);
  }
}

TEST(CliPack, RunsWhereWrittenCodeMayNotRun) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string pack = packed_for("cpu-x86-64-v3,aarch64");
  const ProgramResult plain = run_leat(run_of(kDigits, "cpu"), [] { deny_written_code(true); });
  if (plain.exit_code == 77) GTEST_SKIP() << "This system takes no filter of system calls.";
  expect_sentence(plain, "packed models (leat pack)");
  expect_seven(run_leat(run_of(pack, "cpu"), [] { deny_written_code(true); }));
  expect_seven(run_leat(run_of(pack, "cpu"), [] { deny_written_code(false); }));
}

// --- The small runtime
// -----------------------------------------------------------------------------

class CliSmallRuntime : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kRuntime)) {
      GTEST_SKIP() << "The preset runtime is not built (cmake --preset runtime).";
    }
  }
  static ProgramResult run(const std::vector<std::string>& arguments,
                           const std::function<void()>& prepare = nullptr) {
    return run_leat(arguments, prepare, kRuntime);
  }
};

TEST_F(CliSmallRuntime, ClassifiesDigits) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string pack = packed_for("cpu-x86-64-v3,aarch64,vulkan,opengl,gfx1100");
  expect_seven(run(run_of(pack, "cpu")));
  expect_seven(run(run_of(pack, "cpu"), [] { deny_written_code(true); }));
  const std::string vulkan = vulkan_device();
  if (!vulkan.empty()) expect_seven(run(run_of(pack, vulkan)));
}

TEST_F(CliSmallRuntime, SaysWhatItIsNot) {
  expect_sentence(run(run_of(kDigits, "cpu")), "is none");
  EXPECT_EQ(run({"devices"}).exit_code, 0);
}

TEST_F(CliSmallRuntime, IsSmall) {
  const std::string command =
      std::string(LEAT_SOURCE_DIR) + "/tools/weigh --at-most 6000000 " + kRuntime + " > /dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << "tools/weigh build/runtime/bin/leat shows why.";
}

}  // namespace
}  // namespace leat
