// Who uses the library: Python, Fortran, and projects outside this tree that find it installed.
// Each runs as its user would: the interpreter, gfortran, CMake and pkg-config, in processes of
// their own with nothing of this build but what is installed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/ran_command.h"

namespace {

using leat::Ran;
using leat::run_command;
namespace fs = std::filesystem;

const std::string kSource = LEAT_SOURCE_DIR;
const std::string kBuild = LEAT_BUILD_DIR;
const std::string kLibrary = LEAT_LIBRARY;
const std::string kDigits = kSource + "/examples/digits/digits.onnx";

void expect_runs(const std::string& command, const std::string& words = "") {
  const Ran ran = run_command(command);
  EXPECT_EQ(ran.exit_code, 0) << command << '\n' << ran.text;
  EXPECT_NE(ran.text.find(words), std::string::npos) << command << '\n' << ran.text;
}

bool has(const std::string& command) { return run_command(command).exit_code == 0; }

// A program that is not instrumented cannot load a library that is.
constexpr bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

class LibraryUsers : public testing::Test {
 protected:
  void SetUp() override {
    if (is_sanitized()) GTEST_SKIP() << "A plain program cannot load a sanitized library.";
    folder_ = fs::temp_directory_path() / ("leat-users-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string in(const std::string& name) const { return (folder_ / name).string(); }
  /// The environment of somebody who has this folder alone, and `more`.
  std::string clean(const std::string& more = "") const {
    return "cd " + folder_.string() + " && env -i PATH=/usr/bin:/bin HOME=" + folder_.string() +
           " " + more + " ";
  }

  fs::path folder_;
};

// The system's own interpreter has what Debian's packages bring.
const std::string kPython = "/usr/bin/python3";

TEST_F(LibraryUsers, Python) {
  if (!has(kPython + " -c 'import numpy'")) GTEST_SKIP() << "There is no NumPy.";
  expect_runs(clean("LEAT_LIBRARY=" + kLibrary + " LEAT_SOURCE_DIR=" + kSource +
                    " PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" + kSource + "/bindings/python") +
                  kPython + " " + kSource + "/tests/bindings/python_package_test.py",
              "OK");
}

TEST_F(LibraryUsers, Wheel) {
  if (!has(kPython + " -c 'import numpy'")) GTEST_SKIP() << "There is no NumPy.";
  expect_runs(clean("LEAT_LIBRARY=" + kLibrary +
                    " PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=" + kSource + "/bindings/python") +
              kPython + " -c 'import wheel_builder; print(wheel_builder.build_wheel(\".\"))'");
  // What pip does with it, without pip: a wheel is a zip file of what lies in site-packages.
  expect_runs(clean() + kPython + " -m zipfile -e leat-*.whl site");
  expect_runs(clean("PYTHONPATH=" + in("site")) + kPython + " " + kSource +
                  "/examples/library/first_answer.py " + kDigits,
              "[[");
}

TEST_F(LibraryUsers, Fortran) {
  if (!has("gfortran --version")) GTEST_SKIP() << "There is no gfortran.";
  const std::string compile =
      clean() + "gfortran -std=f2018 -Wall -Wextra -Wno-compare-reals -Werror -O1 ";
  expect_runs(compile + "-c " + kSource + "/bindings/fortran/leat.f90");
  const std::string link = " leat.o " + kLibrary;
  expect_runs(compile + "-o calls " + kSource + "/tests/bindings/fortran_calls.f90" + link);
  expect_runs(clean() + "LD_LIBRARY_PATH=" + kBuild + "/lib ./calls " + kDigits, "all hold");
  expect_runs(compile + "-o convolve " + kSource + "/examples/library/convolve.f90" + link);
  expect_runs(clean() + "LD_LIBRARY_PATH=" + kBuild + "/lib ./convolve cpu", "0.80  0.60  0.40");
}

/// Lines that are neither empty nor comments.
size_t code_lines(const std::string& path) {
  std::ifstream file(path);
  size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find_first_not_of(' ');
    if (first == std::string::npos) continue;
    const std::string begin = line.substr(first, 3);
    const bool is_comment = begin.starts_with("//") || begin.starts_with("/*") ||
                            begin.starts_with("!") || begin == "\"\"\"";
    if (!is_comment) ++count;
  }
  return count;
}

TEST(FirstAnswer, TakesFewLines) {
  const std::string stem = kSource + "/examples/library/first_answer";
  EXPECT_LE(code_lines(stem + ".py"), 3u);
  EXPECT_LE(code_lines(stem + ".c"), 15u);
  EXPECT_LE(code_lines(stem + ".cpp"), 12u);
  EXPECT_LE(code_lines(stem + ".f90"), 20u);
  EXPECT_LE(code_lines(kSource + "/examples/library/convolve.f90"), 30u);
}

TEST_F(LibraryUsers, InstalledTree) {
  const std::string prefix = in("prefix");
  for (const char* part : {"library", "development"}) {
    expect_runs("cmake --install " + kBuild + " --prefix " + prefix + " --component " + part);
  }
  expect_runs(clean() + "cmake -G Ninja -S " + kSource + "/examples/library -B found " +
              "-DCMAKE_PREFIX_PATH=" + prefix + " -DCMAKE_C_FLAGS=-Werror");
  expect_runs(clean() + "cmake --build found");
  expect_runs(clean() + "found/first_answer_c " + kDigits, "1 0.9");
  expect_runs(clean() + "found/first_answer_cpp " + kDigits, "1 0.9");

  const std::string configs = "PKG_CONFIG_PATH=$(dirname $(find " + prefix + " -name leat.pc))";
  expect_runs(clean() + "sh -c '" + configs + " pkg-config --cflags --libs leat >flags'");
  expect_runs(clean() + "sh -c 'cc -std=c99 -pedantic " + kSource +
              "/examples/library/first_answer.c $(cat flags) -o plain'");
  expect_runs(clean() + "sh -c 'LD_LIBRARY_PATH=$(dirname $(find " + prefix +
                  " -name libleat.so.0)) ./plain " + kDigits + "'",
              "1 0.9");
}

// Only the outside project's own files are compiled here: the library's take a quarter of an hour.
TEST_F(LibraryUsers, SourceTree) {
  expect_runs(clean() + "cmake -G Ninja -S " + kSource +
              "/examples/library -B taken_in -DLEAT_TREE=" + kSource +
              " -DCMAKE_EXPORT_COMPILE_COMMANDS=ON");
  expect_runs(clean() + "cmake --build taken_in --target " +
              "CMakeFiles/first_answer_cpp.dir/first_answer.cpp.o");
  const Ran targets = run_command("cmake --build " + in("taken_in") + " --target help");
  EXPECT_NE(targets.text.find("libleat.so"), std::string::npos) << targets.text;
  EXPECT_EQ(targets.text.find("tests_"), std::string::npos) << "Our tests are built.";
  EXPECT_EQ(targets.text.find("leat-bench"), std::string::npos) << "Our programs are built.";
  const Ran own = run_command("grep -o '\"command\": \".*/first_answer.cpp\"' " +
                              in("taken_in/compile_commands.json"));
  EXPECT_EQ(own.text.find("-Werror"), std::string::npos) << own.text;
  EXPECT_EQ(own.text.find("LEAT_HAS"), std::string::npos) << own.text;
}

// A root of its own: dpkg installs there, a compiler is pointed there, and nothing stays behind.
TEST_F(LibraryUsers, DebianPackages) {
  if (!has("dpkg-shlibdeps --version") || geteuid() != 0)
    GTEST_SKIP() << "No dpkg-dev, or no root.";
  expect_runs(kSource + "/tools/package --build " + kBuild + " " + in("debs"), "libleat-dev_");
  const std::string root = in("root");
  fs::create_directories(root + "/var/lib/dpkg/updates");
  fs::create_directories(root + "/var/lib/dpkg/info");
  std::ofstream(root + "/var/lib/dpkg/status");
  const std::string dpkg = "dpkg --root=" + root + " --force-depends ";
  expect_runs(dpkg + "-i " + in("debs") + "/*.deb", "Setting up libleat0");
  expect_runs(clean() + "cmake -G Ninja -S " + kSource + "/examples/library -B found " +
              "-DCMAKE_PREFIX_PATH=" + root + "/usr");
  expect_runs(clean() + "cmake --build found");
  expect_runs(clean() + "found/first_answer_c " + kDigits, "1 0.9");
  expect_runs(clean() + root + "/usr/bin/leat run " + kDigits + " --device cpu --input " + kSource +
                  "/examples/digits/pictures/7.png --top 1",
              " 7 ");
  for (const char* file :
       {"man/man1/leat.1.gz", "man/man1/leat-bench.1.gz", "bash-completion/completions/leat-bench",
        "zsh/vendor-completions/_leat", "fish/vendor_completions.d/leat.fish"}) {
    EXPECT_TRUE(fs::exists(root + "/usr/share/" + file)) << file;
  }
  const std::string peers = "/leat bench peers";  // oneDNN, where the build has it
  expect_runs(clean() + root + "/usr/bin" + peers,
              run_command(clean() + kBuild + "/bin" + peers).text);
  const std::string library = "$(dirname $(find " + root + " -name libleat.so.0))";
  if (has(kPython + " -c 'import numpy'")) {
    expect_runs(clean() + "sh -c 'LD_LIBRARY_PATH=" + library + " PYTHONPATH=" + root +
                    "/usr/lib/python3/dist-packages " + kPython + " " + kSource +
                    "/examples/library/first_answer.py " + kDigits + "'",
                "[[");
  }
  if (has("gfortran --version")) {
    expect_runs(clean() + "sh -c 'gfortran " + root + "/usr/share/leat/leat.f90 " + kSource +
                "/examples/library/first_answer.f90 -L" + library + " -lleat -o fortran'");
    expect_runs(clean() + "sh -c 'LD_LIBRARY_PATH=" + library + " ./fortran " + kDigits + "'",
                "1 0.9");
  }
  fs::remove_all(root + "/usr/lib/python3/dist-packages/leat/__pycache__");
  expect_runs(dpkg + "-r python3-leat leat-bench leat libleat-dev libleat0");
  EXPECT_EQ(run_command("find " + root + " -path " + root + "/var -prune -o -type f -print").text,
            "");
}

TEST(SharedLibrary, ShowsLeatAlone) {
  const Ran names = run_command("nm -D --defined-only " + kLibrary);
  ASSERT_EQ(names.exit_code, 0) << names.text;
  size_t count = 0;
  std::istringstream lines(names.text);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(line.rfind(' ') + 1);
    if (name == "LEAT_0") continue;
    EXPECT_TRUE(name.starts_with("leat_") && name.ends_with("@@LEAT_0")) << line;
    ++count;
  }
  EXPECT_GE(count, 40u);
  EXPECT_NE(run_command("readelf -d " + kLibrary).text.find("soname: [libleat.so.0]"),
            std::string::npos);
}

}  // namespace
