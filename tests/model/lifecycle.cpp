// What a network promises beyond right numbers: a small arena, no compilation at the second start,
// a cache that survives damage, and runs that repeat to the bit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/model/shared_data.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

namespace fs = std::filesystem;

std::string digits_model() { return source_path("examples/digits/digits.onnx"); }

// --- Memory --------------------------------------------------------------------------------------

void expect_small_arena(const std::string& path, const Target& target) {
  SKIP_WITHOUT(path);
  const auto model = import_onnx(path);
  ASSERT_OK(model);
  const auto schedule = make_schedule(model->graph, target, {});
  ASSERT_OK(schedule);
  const auto planned = static_cast<double>(schedule->memory.activations_bytes);
  const auto bound = static_cast<double>(schedule->memory.lower_bound_bytes);
  EXPECT_GT(bound, 0);
  EXPECT_LE(planned, 1.05 * bound) << path;
}

class MemoryPlans : public DeviceTest {};

TEST_P(MemoryPlans, ResNet50) {
  expect_small_arena(shared_path("onnx/light/light_resnet50.onnx"), device().target());
}
TEST_P(MemoryPlans, SqueezeNet) {
  expect_small_arena(shared_path("onnx/light/light_squeezenet.onnx"), device().target());
}
TEST_P(MemoryPlans, RealSqueezeNet) {
  expect_small_arena(shared_path("models/SqueezeNet_fp16.onnx"), device().target());
}

// --- The cache -----------------------------------------------------------------------------------

/// A folder of its own for each test, removed at its end.
class CachedNetworks : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    folder_ = fs::path(testing::TempDir()) /
              ("leat_model_" + std::to_string(getpid()) + "_" + GetParam().test_name);
    fs::remove_all(folder_);
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  /// Loads the example with this cache and tells what that took.
  Result<NetworkStats> load() {
    TRY_ASSIGN(const Model model, import_onnx(digits_model()));
    NetworkOptions options;
    options.cache_folder = folder_.string();
    TRY_ASSIGN(const auto network, Network::load(device(), model.graph, options));
    TRY_ASSIGN(const HostTensor picture, read_grey(source_path("examples/digits/pictures/7.png")));
    TRY_ASSIGN(const HostTensor scores, answer(*network, picture));
    EXPECT_EQ(top_class(scores), 7);
    return network->stats();
  }

  void expect_compiled(uint32_t count) {
    const auto stats = load();
    ASSERT_OK(stats);
    EXPECT_EQ(stats->compiled, count);
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder_)) paths.push_back(entry.path());
    std::ranges::sort(paths);
    return paths;
  }

 private:
  fs::path folder_;
};

TEST_P(CachedNetworks, SecondLoadCompilesNothing) {
  const auto first = load();
  ASSERT_OK(first);
  EXPECT_GT(first->compiled, 0u);
  EXPECT_EQ(files().size(), first->compiled);
  expect_compiled(0);
}

TEST_P(CachedNetworks, DamagedFilesAreWrittenAnew) {
  ASSERT_OK(load());
  const std::vector<fs::path> paths = files();
  ASSERT_GE(paths.size(), 4u);
  auto damage = [](const fs::path& path, int64_t offset, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file << bytes;
  };
  damage(paths[0], 0, "MAGIC");
  damage(paths[1], static_cast<int64_t>(fs::file_size(paths[1])) / 2, "damage");
  fs::resize_file(paths[2], fs::file_size(paths[2]) - 1);
  fs::resize_file(paths[3], 0);
  expect_compiled(4);
  expect_compiled(0);
}

// --- Replay --------------------------------------------------------------------------------------

class Replay : public DeviceTest {};

TEST_P(Replay, SameInputSameBits) {
  const auto model = import_onnx(digits_model());
  ASSERT_OK(model);
  const auto network = Network::load(device(), model->graph, {});
  ASSERT_OK(network);
  const auto seven = read_grey(source_path("examples/digits/pictures/7.png"));
  ASSERT_OK(seven);
  const auto two = read_grey(source_path("examples/digits/pictures/2.png"));
  ASSERT_OK(two);
  const auto first = answer(**network, *seven);
  ASSERT_OK(first);
  const auto again = answer(**network, *seven);
  ASSERT_OK(again);
  EXPECT_EQ(first->bytes, again->bytes);
  const auto other = answer(**network, *two);
  ASSERT_OK(other);
  EXPECT_NE(first->bytes, other->bytes);
  const auto back = answer(**network, *seven);
  ASSERT_OK(back);
  EXPECT_EQ(first->bytes, back->bytes);
}

TEST_P(Replay, RepeatsInOneSubmit) {
  const auto model = import_onnx(digits_model());
  ASSERT_OK(model);
  const auto network = Network::load(device(), model->graph, {});
  ASSERT_OK(network);
  const auto seven = read_grey(source_path("examples/digits/pictures/7.png"));
  ASSERT_OK(seven);
  const auto once = answer(**network, *seven);
  ASSERT_OK(once);
  ASSERT_OK((*network)->record_repeats(3));
  const auto thrice = answer(**network, *seven);
  ASSERT_OK(thrice);
  EXPECT_EQ(once->bytes, thrice->bytes);
}

INSTANTIATE_TEST_SUITE_P(Devices, MemoryPlans, testing::ValuesIn(tested_devices()), test_name_of);
INSTANTIATE_TEST_SUITE_P(Devices, CachedNetworks, testing::ValuesIn(tested_devices()),
                         test_name_of);
INSTANTIATE_TEST_SUITE_P(Devices, Replay, testing::ValuesIn(tested_devices()), test_name_of);

}  // namespace
}  // namespace leat
