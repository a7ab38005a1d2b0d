// The kernel cache: what it gives back, what it refuses, that a refused entry is replaced, and that
// a device for cubins compiles nothing on its second start.
#include "leat/run/kernel_cache.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "leat/backend/backends.h"
#include "leat/base/files.h"
#include "leat/base/hash.h"
#include "leat/route/cubin.h"
#include "leat/route/cubin_sample_test.h"
#include "leat/route/nvidia_target.h"
#include "leat/run/network.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;

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
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  KernelCache cache() const { return KernelCache(folder_); }
  std::string path() const { return folder_ + "/" + hex_of(kKey); }
  std::string file() const { return *read_file(path(), kFileBytesMax); }
  void overwrite(const std::string& bytes) { ASSERT_TRUE(write_file_atomically(path(), bytes)); }
  bool finds() const { return cache().find(kKey, hopper()).has_value(); }

  static constexpr uint64_t kKey = 0x1234;
  std::string folder_;
};

TEST_F(KernelCacheTest, GivesBackWhatWasStored) {
  EXPECT_FALSE(finds());
  KernelBinary binary = sample_binary();
  binary.local_memory_bytes = 4096;
  binary.waves_per_workgroup = 3;
  binary.grid[1] = 7;
  cache().store(kKey, binary);
  const std::optional<KernelBinary> found = cache().find(kKey, hopper());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->code, binary.code);
  EXPECT_EQ(found->entry, "leat_sample");
  EXPECT_EQ(found->assembler, "ptxas 1.2.3");
  EXPECT_EQ(found->local_memory_bytes, 4096u);
  EXPECT_EQ(found->waves_per_workgroup, 3u);
  EXPECT_EQ(found->grid[1], 7u);
  ASSERT_EQ(found->arguments.size(), 2u);
  EXPECT_TRUE(found->arguments[1].written);
}

TEST_F(KernelCacheTest, RefusesDamageAndTakesTheEntryThatReplacesIt) {
  cache().store(kKey, sample_binary());
  const std::string whole = file();
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    overwrite(flipped);
    EXPECT_FALSE(finds()) << "byte " << at;
  }
  for (size_t size_bytes = 0; size_bytes < whole.size(); size_bytes += 11) {
    overwrite(whole.substr(0, size_bytes));
    EXPECT_FALSE(finds()) << size_bytes << " bytes";
  }
  overwrite(whole + "x");
  EXPECT_FALSE(finds());
  cache().store(kKey, sample_binary());
  EXPECT_TRUE(finds());
}

// Files whole and with a right checksum, but not of a cubin for this chip.
TEST_F(KernelCacheTest, RefusesForeignCubins) {
  for (const CubinSample& foreign :
       {CubinSample{.architecture = 80}, CubinSample{.machine = 62},
        CubinSample{.entry = "leat_other"}, CubinSample{.parameters = 1},
        CubinSample{.parameter_bytes = 4}}) {
    cache().store(kKey, sample_binary(foreign));
    EXPECT_FALSE(finds());
  }
  KernelBinary other = sample_binary();
  other.format = CodeFormat::spirv_pointers;
  cache().store(kKey, other);
  EXPECT_FALSE(finds());
}

TEST_F(KernelCacheTest, KeysTellWhatCodeDependsOnApart) {
  const uint64_t key = KernelCache::key_of("program", hopper(), "emitter 1", "driver 1");
  EXPECT_EQ(key, KernelCache::key_of("program", hopper(), "emitter 1", "driver 1"));
  EXPECT_NE(key, KernelCache::key_of("another", hopper(), "emitter 1", "driver 1"));
  EXPECT_NE(key, KernelCache::key_of("program", hopper(), "emitter 2", "driver 1"));
  EXPECT_NE(key, KernelCache::key_of("program", hopper(), "emitter 1", "driver 2"));
  Target ampere = hopper();
  ampere.llvm_cpu = "sm_80";
  EXPECT_NE(key, KernelCache::key_of("program", ampere, "emitter 1", "driver 1"));
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
  const Result<uint32_t> first = compiled_by_start(device, folder_);
  if (!first && first.error().kind() == ErrorKind::unsupported) {
    GTEST_SKIP() << first.error().message();
  }
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_GT(*first, 0u);
  const Result<uint32_t> second = compiled_by_start(device, folder_);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(*second, 0u);
  EXPECT_FALSE(device.assembler.empty());
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    ASSERT_TRUE(write_file_atomically(entry.path(), "corrupt"));
  }
  const Result<uint32_t> third = compiled_by_start(device, folder_);
  ASSERT_TRUE(third) << third.error().message();
  EXPECT_EQ(*third, *first);
  const Result<uint32_t> fourth = compiled_by_start(device, folder_);
  ASSERT_TRUE(fourth) << fourth.error().message();
  EXPECT_EQ(*fourth, 0u);
}

}  // namespace
}  // namespace leat
