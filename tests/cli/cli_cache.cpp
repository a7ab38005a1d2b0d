// The cache as its user sees it, and what must not depend on the machine's mood: threads that may
// run, and the same bits for the same picture.
#include <gtest/gtest.h>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "leat/base/files.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

using Json = nlohmann::json;

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kPictures = LEAT_SOURCE_DIR "/examples/digits/pictures";

std::vector<std::string> run_seven(std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"run",      kDigits, "--input", kPictures + "/7.png",
                                        "--device", "cpu",   "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json json_of(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json object = Json::parse(result.out, nullptr, false);
  EXPECT_TRUE(object.is_object()) << result.out;
  return object.is_object() ? object : Json::object();
}

/// How many files of that kind `leat cache list` shows.
size_t files_of(const std::string& kind) {
  const Json listed = json_of(run_leat({"cache", "list", "--json"}));
  for (const Json& row : listed["kinds"]) {
    if (row["kind"] == kind) return row["files"];
  }
  return 0;
}

TEST(CliCache, ListsPrunesAndClears) {
  const size_t kernels = json_of(run_leat(run_seven()))["kernels"];
  EXPECT_GE(files_of("kernel"), kernels);
  EXPECT_EQ(json_of(run_leat(run_seven()))["compiled"], 0);
  const ProgramResult listed = run_leat({"cache", "list"});
  EXPECT_NE(listed.out.find("kernel"), std::string::npos) << listed.out;

  const size_t before = files_of("kernel");
  EXPECT_EQ(json_of(run_leat({"cache", "prune", "--json"}))["files"], 0) << "All fit into 1 GiB.";
  const Json pruned = json_of(run_leat({"cache", "prune", "--size", "10KB", "--json"}));
  EXPECT_GT(pruned["files"], 0);
  EXPECT_GT(pruned["size_bytes"], 0);
  EXPECT_LT(files_of("kernel"), before);
  size_t entries_bytes = 0;
  const Json left = json_of(run_leat({"cache", "list", "--json"}));
  for (const Json& row : left["kinds"]) {
    if (row["kind"] != "tuning") entries_bytes += row["size_bytes"].get<size_t>();
  }
  EXPECT_LE(entries_bytes, size_t{10} << 10);

  json_of(run_leat({"cache", "clear", "--json"}));
  EXPECT_EQ(files_of("kernel"), 0u);
  EXPECT_EQ(json_of(run_leat({"cache", "clear", "--json"}))["files"], 0);
  EXPECT_EQ(json_of(run_leat(run_seven()))["compiled"], kernels);
}

TEST(CliCache, WhatTuningFoundStaysUntilItIsNamed) {
  json_of(run_leat({"tune", kDigits, "--device", "cpu", "--time", "1", "--json"}));
  const size_t known = json_of(run_leat({"tune", "list", "--json"}))["entries"].size();
  EXPECT_GT(known, 0u);
  EXPECT_EQ(json_of(run_leat({"cache", "clear", "--json"}))["forgotten"], 0);
  EXPECT_EQ(json_of(run_leat({"tune", "list", "--json"}))["entries"].size(), known);
  EXPECT_EQ(json_of(run_leat({"cache", "clear", "--tuning", "--json"}))["forgotten"], known);
  EXPECT_TRUE(json_of(run_leat({"tune", "list", "--json"}))["entries"].empty());
}

TEST(CliCache, MistakesAreTold) {
  EXPECT_EQ(run_leat({"cache"}).exit_code, 2);
  EXPECT_EQ(run_leat({"cache", "prune", "--size", "much"}).exit_code, 2);
  const ProgramResult homeless = run_leat({"cache", "list"}, [] {
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
  });
  EXPECT_EQ(homeless.exit_code, 1);
  EXPECT_NE(homeless.err.find("no folder for a cache"), std::string::npos) << homeless.err;
  const ProgramResult limit = run_leat({"cache", "list"}, [] { setenv("LEAT_CACHE_MIB", "x", 1); });
  EXPECT_EQ(limit.exit_code, 1);
  EXPECT_NE(limit.err.find("LEAT_CACHE_MIB (x)"), std::string::npos) << limit.err;
}

// Root may write anywhere, so it becomes somebody else first.
TEST(CliCache, OneThatCannotBeWrittenIsSaidOnce) {
  constexpr uid_t kNobody = 65534;
  const bool is_root = geteuid() == 0;
  const std::string home = scratch_path("nobody");
  const std::string folder = home + "/cache/leat";
  std::filesystem::create_directories(folder);
  std::filesystem::create_directories(home + "/state");
  if (is_root) {
    for (const std::string& path : {home, home + "/cache", folder, home + "/state"}) {
      ASSERT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
    }
  }
  std::filesystem::permissions(folder, std::filesystem::perms(0500));
  const auto become = [&] {
    setenv("XDG_CACHE_HOME", (home + "/cache").c_str(), 1);
    setenv("XDG_STATE_HOME", (home + "/state").c_str(), 1);
    if (is_root && (setgid(kNobody) != 0 || setuid(kNobody) != 0)) _exit(99);
  };
  const ProgramResult result = run_leat(run_seven({"--top", "1"}), become);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("\"" + folder + "\" cannot be written"), std::string::npos)
      << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  const ProgramResult pruned = run_leat({"cache", "prune"}, become);
  EXPECT_EQ(pruned.exit_code, 1);
  EXPECT_NE(pruned.err.find("cannot be written"), std::string::npos) << pruned.err;
  std::filesystem::permissions(folder, std::filesystem::perms(0700));
}

TEST(CliThreads, AreThoseThatMayRun) {
  const auto threads = [](const std::function<void()>& prepare) -> size_t {
    return json_of(run_leat(run_seven(), prepare))["threads"];
  };
  const auto bind_to_one = [] {
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &all)) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      return;
    }
  };
  EXPECT_EQ(threads(bind_to_one), 1u);
  EXPECT_EQ(threads([] { setenv("LEAT_THREADS", "2", 1); }), 2u);
}

TEST(CliBits, AreTheSameAloneAndInAFolder) {
  const std::string out = scratch_path("many");
  json_of(run_leat(
      {"run", kDigits, "--input", kPictures, "--output", out, "--device", "cpu", "--json"}));
  for (const char* name : {"0", "7", "9b"}) {
    const std::string alone = scratch_path(std::string(name) + ".npy");
    json_of(run_leat({"run", kDigits, "--input", kPictures + "/" + name + ".png", "--output", alone,
                      "--device", "cpu", "--json"}));
    bool is_found = false;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(out)) {
      if (entry.path().stem() != name || entry.path().extension() != ".npy") continue;
      is_found = true;
      EXPECT_EQ(read_file(entry.path().string(), 1 << 20).value(),
                read_file(alone, 1 << 20).value())
          << name;
    }
    EXPECT_TRUE(is_found) << name;
  }
}

}  // namespace
}  // namespace leat
