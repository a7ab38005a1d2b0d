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
#include <unistd.h>

#include <algorithm>
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

/// Kinds of devices that a pack is for; LLVM 16 makes no code for AMD's.
std::string several_kinds() {
  const std::string others = "cpu-x86-64-v3,aarch64,vulkan,opengl";
  const std::string amd = scratch_path("digits-amd.leat");
  const ProgramResult result = run_leat({"pack", kDigits, "--for", "gfx1100", "-o", amd});
  return result.err.find("needs LLVM 19") == std::string::npos ? others + ",gfx1100" : others;
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
  const std::string pack = packed_for(several_kinds());
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

/// A model of opset 13: y = Relu(x) for x f32 (3). It has no weights.
std::string relu_model() {
  constexpr char kBytes[] =
      "\x08\x08\x3a\x33\x0a\x0c\x0a\x01\x78\x12\x01\x79\x22\x04\x52\x65"
      "\x6c\x75\x12\x01\x67\x5a\x0f\x0a\x01\x78\x12\x0a\x0a\x08\x08\x01"
      "\x12\x04\x0a\x02\x08\x03\x62\x0f\x0a\x01\x79\x12\x0a\x0a\x08\x08"
      "\x01\x12\x04\x0a\x02\x08\x03\x42\x02\x10\x0d";
  return scratch_file("relu.onnx", {kBytes, sizeof kBytes - 1});
}

/// Another: y (3, 2) of the rows i64 (3) of a table (4, 2). Indices are checked as it runs.
std::string gather_model() {
  constexpr char kBytes[] =
      "\x08\x08\x3a\x69\x0a\x11\x0a\x01\x74\x0a\x01\x69\x12\x01\x79\x22"
      "\x06\x47\x61\x74\x68\x65\x72\x12\x01\x67\x2a\x2b\x08\x04\x08\x02"
      "\x10\x01\x42\x01\x74\x4a\x20\x00\x00\x00\x00\x00\x00\x80\x3f\x00"
      "\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40\x00"
      "\x00\xc0\x40\x00\x00\xe0\x40\x5a\x0f\x0a\x01\x69\x12\x0a\x0a\x08"
      "\x08\x07\x12\x04\x0a\x02\x08\x03\x62\x13\x0a\x01\x79\x12\x0e\x0a"
      "\x0c\x08\x01\x12\x08\x0a\x02\x08\x03\x0a\x02\x08\x02\x42\x02\x10"
      "\x0d";
  return scratch_file("gather.onnx", {kBytes, sizeof kBytes - 1});
}

/// An array of three elements.
template <typename T>
std::string npy_of(const std::string& name, const char* type, const T (&values)[3]) {
  std::string head = std::string("{'descr': '") + type + "', 'fortran_order': False, ";
  head += "'shape': (3,), }";
  head.resize(117, ' ');
  std::string bytes = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + head + '\n';
  bytes.append(reinterpret_cast<const char*>(values), sizeof values);
  return scratch_file(name, bytes);
}

std::string bytes_at_end(const std::string& path, size_t size_bytes) {
  const std::string bytes = bytes_of(path);
  return bytes.substr(bytes.size() - std::min(bytes.size(), size_bytes));
}

template <typename T, size_t count>
std::string_view text_of(const T (&values)[count]) {
  return {reinterpret_cast<const char*>(values), sizeof values};
}

TEST(CliPack, AModelWithoutWeightsServesTwoTargets) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string pack = scratch_path("relu.leat"), output = scratch_path("relu.npy");
  const ProgramResult packed =
      run_leat({"pack", relu_model(), "--for", "cpu-x86-64-v3,aarch64,vulkan", "-o", pack});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const std::string input = npy_of<float>("x.npy", "<f4", {1, -1, 2});
  const ProgramResult result =
      run_leat({"run", pack, "--input", input, "--output", output, "--device", "cpu"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  constexpr float kWanted[] = {1, 0, 2};
  EXPECT_EQ(bytes_at_end(output, sizeof kWanted), text_of(kWanted));
}

TEST(CliPack, AModelWithIndicesChecksThem) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string pack = scratch_path("gather.leat"), output = scratch_path("gather.npy");
  const ProgramResult packed = run_leat({"pack", gather_model(), "--for", "cpu", "-o", pack});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const std::string good = npy_of<int64_t>("good.npy", "<i8", {1, 3, 0});
  const ProgramResult result =
      run_leat({"run", pack, "--input", good, "--output", output, "--device", "cpu"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  constexpr float kWanted[] = {2, 3, 6, 7, 0, 1};
  EXPECT_EQ(bytes_at_end(output, sizeof kWanted), text_of(kWanted));
  const std::string bad = npy_of<int64_t>("bad.npy", "<i8", {1, 4, 0});
  expect_sentence(run_leat({"run", pack, "--input", bad, "--device", "cpu"}),
                  "index (4) outside the extent (4)");
}

TEST(CliPack, OthersMayNotWriteItWhateverTheUmask) {
  const std::string path = scratch_file("group.leat", "an older file");
  const std::vector<std::string> arguments = {"pack", relu_model(), "--for", "vulkan", "-o", path};
  for (const bool is_there : {true, false}) {
    if (is_there) chmod(path.c_str(), 0664);
    if (!is_there) std::filesystem::remove(path);
    const ProgramResult result = run_leat(arguments, [] { umask(002); });
    ASSERT_EQ(result.exit_code, 0) << result.err;
    struct stat facts {};
    ASSERT_EQ(stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777u, 0644u) << is_there;
  }
}

// To see whether it is a pack must not take its beginning.
TEST(CliPack, AModelThroughAPipeIsRead) {
  const std::string model = relu_model();
  const std::string input = npy_of<float>("x.npy", "<f4", {1, -1, 2});
  const std::string bytes = bytes_of(model);
  const auto prepare = [&] {
    int ends[2];
    if (pipe(ends) != 0) _exit(78);
    const ssize_t count = write(ends[1], bytes.data(), bytes.size());  // a pipe has room for it
    if (count != static_cast<ssize_t>(bytes.size())) _exit(78);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
  };
  const auto arguments_for = [&](const std::string& path) {
    return std::vector<std::string>{"run", path, "--input", input, "--device", "cpu"};
  };
  if (run_leat(arguments_for(model)).exit_code != 0) {
    GTEST_SKIP() << "This build compiles nothing for the cpu.";
  }
  const ProgramResult result = run_leat(arguments_for("/dev/stdin"), prepare);
  EXPECT_EQ(result.exit_code, 0) << result.err;
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
      {"newer", good.substr(0, 8) + '\x63' + good.substr(9), "is of format version (99)"},
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
  expect_sentence(run_leat(run_of(path, "cpu")), "others may write it (chmod go-w)");
}

// A ".." behind a link leads to where the link leads, for the check as for who opens the file.
TEST(CliPack, TheFileThatIsCheckedIsTheOneThatIsRun) {
  if (!has_cpu()) GTEST_SKIP() << "This build compiles nothing for the cpu.";
  const std::string folder = scratch_path("linked");
  const std::string shared = folder + "/shared";
  std::filesystem::create_directories(folder + "/own");
  std::filesystem::create_directories(shared + "/v1");
  std::filesystem::copy_file(packed_for("cpu"), shared + "/x.leat");
  chmod((shared + "/x.leat").c_str(), 0644);
  std::filesystem::create_symlink(shared + "/v1", folder + "/own/m");
  const std::string path = folder + "/own/m/../x.leat";
  chmod(shared.c_str(), 0755);
  expect_seven(run_leat(run_of(path, "cpu")));
  chmod(shared.c_str(), 0777);
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
  const std::string pack = packed_for(several_kinds());
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
