// The kernel cache: what it gives back, what it refuses, that a refused entry is replaced, and that
// a device for cubins compiles nothing on its second start.
#include "leat/run/kernel_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "leat/backend/backends.h"
#include "leat/route/cubin.h"
#include "leat/route/cubin_sample_test.h"
#include "leat/route/nvidia_target.h"
#include "leat/run/network.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

Target hopper() {
  return nvidia_target({.capability_major = 9,
                        .capability_minor = 0,
                        .multiprocessors = 132,
                        .shared_bytes_max = 232448});
}

class KernelCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "leat-cache-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    setenv("XDG_STATE_HOME", (folder_ + "/state").c_str(), 1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  KernelCache cache(const std::string& build = "build 1") const {
    return KernelCache(folder_ + "/cache", build);
  }
  CacheKey key() const { return cache().key_of("program", hopper(), "driver 1"); }
  std::optional<KernelBinary> found() const { return cache().find(key(), hopper()); }

  std::string folder_;
};

TEST_F(KernelCacheTest, GivesBackWhatWasStored) {
  EXPECT_FALSE(found());
  KernelBinary binary = sample_binary();
  binary.local_memory_bytes = 4096;
  binary.waves_per_workgroup = 3;
  binary.grid[1] = 7;
  cache().store(key(), binary);
  const std::optional<KernelBinary> kept = found();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->code, binary.code);
  EXPECT_EQ(kept->entry, "leat_sample");
  EXPECT_EQ(kept->assembler, "ptxas 1.2.3");
  EXPECT_EQ(kept->local_memory_bytes, 4096u);
  EXPECT_EQ(kept->waves_per_workgroup, 3u);
  EXPECT_EQ(kept->grid[1], 7u);
  ASSERT_EQ(kept->arguments.size(), 2u);
  EXPECT_TRUE(kept->arguments[1].written);
}

// The entry of a Neg copied over a Relu's name: same grid, same parameters, other code.
TEST_F(KernelCacheTest, RefusesAnotherKernelsEntry) {
  const CacheKey neg = cache().key_of("neg", hopper(), "driver 1");
  const auto file_of = [&](const CacheKey& key) {
    return folder_ + "/cache/" + key.kind + "-" + hex_of(key.made_from);
  };
  cache().store(key(), sample_binary());
  cache().store(neg, sample_binary());
  std::filesystem::rename(file_of(neg), file_of(key()));
  EXPECT_FALSE(found());
  cache().store(key(), sample_binary());
  EXPECT_TRUE(found());
}

TEST_F(KernelCacheTest, AFolderThatOthersCanWriteIsNotUsed) {
  cache().store(key(), sample_binary());
  ASSERT_TRUE(found());
  std::filesystem::permissions(folder_ + "/cache", std::filesystem::perms::all);
  EXPECT_FALSE(found());
  cache().store(key(), sample_binary());
  EXPECT_FALSE(found());
}

TEST_F(KernelCacheTest, WithoutFolderOrBuildNothingIsKept) {
  KernelCache without_folder("", "build 1"), without_build = cache("");
  for (KernelCache* none : {&without_folder, &without_build}) {
    none->store(key(), sample_binary());
    EXPECT_FALSE(none->find(key(), hopper()));
  }
}

// Files whole and with a right checksum, but not of a cubin for this chip.
TEST_F(KernelCacheTest, RefusesForeignCubins) {
  for (const CubinSample& foreign :
       {CubinSample{.architecture = 80}, CubinSample{.machine = 62},
        CubinSample{.entry = "leat_other"}, CubinSample{.parameters = 1},
        CubinSample{.parameter_bytes = 4}}) {
    cache().store(key(), sample_binary(foreign));
    EXPECT_FALSE(found());
  }
  KernelBinary other = sample_binary();
  other.format = CodeFormat::spirv_pointers;
  cache().store(key(), other);
  EXPECT_FALSE(found());
}

TEST_F(KernelCacheTest, KeysTellWhatCodeDependsOnApart) {
  const Digest made_from = key().made_from;
  EXPECT_EQ(made_from, cache().key_of("program", hopper(), "driver 1").made_from);
  EXPECT_NE(made_from, cache().key_of("another", hopper(), "driver 1").made_from);
  EXPECT_NE(made_from, cache("build 2").key_of("program", hopper(), "driver 1").made_from);
  EXPECT_NE(made_from, cache().key_of("program", hopper(), "driver 2").made_from);
  Target other = hopper();
  other.software = true;
  EXPECT_NE(made_from, cache().key_of("program", other, "driver 1").made_from);
}

/// The null device as a chip that takes cubins: it checks them and runs nothing.
class CubinDevice final : public Device {
 public:
  explicit CubinDevice(std::unique_ptr<Device> inner) : inner_(std::move(inner)) {}
  const DeviceInfo& info() const override { return inner_->info(); }
  const Target& target() const override { return target_; }
  Queue& queue() override { return inner_->queue(); }
  Result<Buffer> allocate(size_t size_bytes, MemoryKind kind) override {
    return inner_->allocate(size_bytes, kind);
  }
  Result<std::unique_ptr<Kernel>> load(const KernelBinary& binary) override {
    TRY(check_cubin(binary, target_));
    assembler = binary.assembler;
    KernelBinary text = binary;
    text.format = CodeFormat::interpreted;
    text.code.assign(1, std::byte{'\n'});
    return inner_->load(text);
  }
  void free_buffer(uint64_t handle) override { inner_->free_buffer(handle); }

  std::string assembler;  // of the last kernel

 private:
  std::unique_ptr<Device> inner_;
  Target target_ = hopper();
};

Result<Graph> product() {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {40, 24});
  graph.inputs = {x};
  const TensorId w = graph.add_constant("w", HostTensor::zeros(DType::f32, {24, 48}));
  TRY_ASSIGN(const TensorId y, ops::matmul(graph, "product", x, w));
  graph.outputs = {y};
  return graph;
}

// How many kernels a start compiles.
Result<uint32_t> compiled_by_start(CubinDevice& device, const std::string& folder) {
  TRY_ASSIGN(const Graph graph, product());
  NetworkOptions options;
  options.cache_folder = folder;
  TRY_ASSIGN(const std::unique_ptr<Network> network, Network::load(device, graph, options));
  return static_cast<uint32_t>(network->stats().compiled);
}

TEST_F(KernelCacheTest, SecondStartCompilesNothing) {
  Result<std::unique_ptr<Device>> null = open_device("null", 0);
  ASSERT_TRUE(null);
  CubinDevice device(std::move(*null));
  const Result<uint32_t> first = compiled_by_start(device, folder_ + "/cache");
  if (!first && first.error().kind() == ErrorKind::unsupported) {
    GTEST_SKIP() << first.error().message();
  }
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_GT(*first, 0u);
  const Result<uint32_t> second = compiled_by_start(device, folder_ + "/cache");
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(*second, 0u);
  EXPECT_FALSE(device.assembler.empty());
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/cache")) {
    std::ofstream(entry.path()) << "corrupt";
  }
  const Result<uint32_t> third = compiled_by_start(device, folder_ + "/cache");
  ASSERT_TRUE(third) << third.error().message();
  EXPECT_EQ(*third, *first);
  const Result<uint32_t> fourth = compiled_by_start(device, folder_ + "/cache");
  ASSERT_TRUE(fourth) << fourth.error().message();
  EXPECT_EQ(*fourth, 0u);
}

}  // namespace
}  // namespace leat
