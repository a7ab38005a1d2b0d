// The package leat-runtime for 64-bit Arm (tools/package-aarch64), unpacked and run by qemu's user
// emulation: its program, and a C program that links its library. Skipped, with the reason, where
// the package was not made; tools/check makes it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/ran_command.h"

namespace leat {
namespace {

namespace fs = std::filesystem;

const std::string kSource = LEAT_SOURCE_DIR;
const std::string kDigits = kSource + "/examples/digits";
const std::string kFetched = kSource + "/build/aarch64-root/root";

/// The package that was made last, or empty.
std::string package_path() {
  const std::string folder = kSource + "/build/aarch64-package";
  if (!fs::exists(folder)) return "";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".deb") return entry.path().string();
  }
  return "";
}

class Aarch64PackageTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string package = package_path();
    if (package.empty() || !fs::exists(kFetched)) {
      GTEST_SKIP() << "There is no package (tools/package-aarch64 build/aarch64-package).";
    }
    if (run_command("command -v qemu-aarch64 aarch64-linux-gnu-gcc").exit_code != 0) {
      GTEST_SKIP() << "qemu-aarch64 or aarch64-linux-gnu-gcc is not installed.";
    }
    std::string pattern = (fs::temp_directory_path() / "leat-arm-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    root_ = folder_ + "/root";
    expect_runs("dpkg -x " + package + " " + root_);
    expect_runs(LEAT_PROGRAM " pack " + kDigits + "/digits.onnx --for aarch64 -o " + model());
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  std::string model() const { return folder_ + "/digits.leat"; }
  std::string library_folder() const { return root_ + "/usr/lib/aarch64-linux-gnu"; }

  static std::string expect_runs(const std::string& command) {
    const Ran ran = run_command(command);
    EXPECT_EQ(ran.exit_code, 0) << command << '\n' << ran.text;
    return ran.text;
  }

  /// Runs `program` with what the package has and depends on, and nothing of this machine's.
  std::string emulated(const std::string& program) const {
    std::string path = library_folder();
    for (const char* folder : {"/usr/lib", "/lib"}) {
      path += ":" + kFetched + folder + "/aarch64-linux-gnu";
    }
    return "XDG_CACHE_HOME=" + folder_ + " qemu-aarch64 -L /usr/aarch64-linux-gnu " +
           "-E LD_LIBRARY_PATH=" + path + " " + program;
  }

  std::string folder_, root_;
};

TEST_F(Aarch64PackageTest, ProgramClassifiesDigits) {
  for (const char* digit : {"0", "3", "7"}) {
    const std::string text =
        expect_runs(emulated(root_ + "/usr/bin/leat run " + model() + " --input " + kDigits +
                             "/pictures/" + digit + ".png --top 1 --device cpu"));
    EXPECT_TRUE(text.starts_with(std::string("    ") + digit + "  ")) << text;
    EXPECT_NE(text.find("0 kernels compiled"), std::string::npos) << text;
  }
}

TEST_F(Aarch64PackageTest, LibraryServesACProgram) {
  const std::string program = folder_ + "/first_answer";
  expect_runs("aarch64-linux-gnu-gcc -I" + kSource + "/bindings/c " + kSource +
              "/examples/library/first_answer.c " + library_folder() + "/libleat.so.0 -o " +
              program + " -Wl,--allow-shlib-undefined");
  const std::string text = expect_runs(emulated(program + " " + model()));
  EXPECT_NE(text.find("1 0.9"), std::string::npos) << text;
}

TEST_F(Aarch64PackageTest, NamesThePackagesItNeeds) {
  const std::string depends = expect_runs("dpkg-deb -f " + package_path() + " Depends");
  for (const char* name : {"libc6", "libstdc++6", "libfmt9", "libsodium23", "libpng16-16"}) {
    EXPECT_NE(depends.find(name), std::string::npos) << name << " is not in " << depends;
  }
  EXPECT_EQ(depends.find("vulkan"), std::string::npos) << depends;  // opened where there is one
}

}  // namespace
}  // namespace leat
