// The opengl route alone: what is found, memory, kernels given as SPIR-V assembly, order, recorded
// lists, fences across threads. A case skips when no OpenGL device opens here. What all backends
// have in common is tested in tests/backend.
#include "leat/backend/opengl/opengl_device.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <numeric>
#include <spirv-tools/libspirv.hpp>
#include <thread>

#include "leat/backend/opengl/opengl_api.h"

namespace leat {
namespace {

constexpr uint32_t kLanes = 32;

// c[i] = a[i] * b[i] + c[i], one element per invocation. Each buffer has a block type of its own:
// NVIDIA's linker takes the type for the block's name and refuses one name at two bindings
// ("binding mismatch between shaders for SSBO", driver 580.159).
constexpr const char* kMultiplyAdd = R"(
               OpCapability Shader
               OpMemoryModel Logical GLSL450
               OpEntryPoint GLCompute %main "main" %id
               OpExecutionMode %main LocalSize 32 1 1
               OpDecorate %id BuiltIn GlobalInvocationId
               OpDecorate %array ArrayStride 4
               OpDecorate %a_block BufferBlock
               OpDecorate %b_block BufferBlock
               OpDecorate %c_block BufferBlock
               OpMemberDecorate %a_block 0 Offset 0
               OpMemberDecorate %b_block 0 Offset 0
               OpMemberDecorate %c_block 0 Offset 0
               OpDecorate %a DescriptorSet 0
               OpDecorate %a Binding 0
               OpDecorate %b DescriptorSet 0
               OpDecorate %b Binding 1
               OpDecorate %c DescriptorSet 0
               OpDecorate %c Binding 2
       %void = OpTypeVoid
    %nothing = OpTypeFunction %void
       %uint = OpTypeInt 32 0
      %float = OpTypeFloat 32
      %uvec3 = OpTypeVector %uint 3
  %in_uvec3p = OpTypePointer Input %uvec3
         %id = OpVariable %in_uvec3p Input
      %array = OpTypeRuntimeArray %float
    %a_block = OpTypeStruct %array
    %b_block = OpTypeStruct %array
    %c_block = OpTypeStruct %array
  %a_pointer = OpTypePointer Uniform %a_block
  %b_pointer = OpTypePointer Uniform %b_block
  %c_pointer = OpTypePointer Uniform %c_block
     %floatp = OpTypePointer Uniform %float
          %a = OpVariable %a_pointer Uniform
          %b = OpVariable %b_pointer Uniform
          %c = OpVariable %c_pointer Uniform
      %zero  = OpConstant %uint 0
       %main = OpFunction %void None %nothing
      %start = OpLabel
         %id3 = OpLoad %uvec3 %id
          %i = OpCompositeExtract %uint %id3 0
         %ap = OpAccessChain %floatp %a %zero %i
         %bp = OpAccessChain %floatp %b %zero %i
         %cp = OpAccessChain %floatp %c %zero %i
         %av = OpLoad %float %ap
         %bv = OpLoad %float %bp
         %cv = OpLoad %float %cp
    %product = OpFMul %float %av %bv
        %sum = OpFAdd %float %product %cv
               OpStore %cp %sum
               OpReturn
               OpFunctionEnd
)";

KernelBinary multiply_add(uint32_t workgroups) {
  KernelBinary binary;
  binary.name = "multiply_add";
  binary.entry = "main";
  binary.format = CodeFormat::spirv_bindings;
  binary.arguments = {{}, {}, {.written = true}};
  binary.wave_lanes = kLanes;
  binary.grid[0] = workgroups;
  std::vector<uint32_t> words;
  const spvtools::SpirvTools tools(SPV_ENV_UNIVERSAL_1_0);
  EXPECT_TRUE(tools.Assemble(kMultiplyAdd, &words));
  EXPECT_TRUE(tools.Validate(words));
  binary.code.resize(words.size() * sizeof(uint32_t));
  std::memcpy(binary.code.data(), words.data(), binary.code.size());
  return binary;
}

std::span<const std::byte> bytes_of(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

// What this process holds in memory now. Source: proc(5), /proc/self/statm, second field.
int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class OpenglDeviceTest : public testing::TestWithParam<MemoryKind> {
 protected:
  void SetUp() override {
    const std::vector<FoundRoute> found = find_opengl_devices();
    std::string refusals;
    for (size_t i = 0; i < found.size() && device_ == nullptr; ++i) {
      refusals += found[i].refusal + " ";
      if (!found[i].refusal.empty()) continue;
      auto device = open_opengl_device(i, "gpu0:opengl");
      ASSERT_TRUE(device) << device.error().message();
      device_ = std::move(*device);
    }
    if (device_ == nullptr) GTEST_SKIP() << "No OpenGL device opens: " << refusals;
  }

  Buffer buffer(const std::vector<float>& values) {
    auto made = device_->allocate(values.size() * sizeof(float), GetParam());
    EXPECT_TRUE(made);
    EXPECT_TRUE(write_buffer(*device_, whole(*made), bytes_of(values)));
    return std::move(*made);
  }

  static BufferRange whole(const Buffer& buffer) { return {&buffer, 0, buffer.size_bytes()}; }

  std::vector<float> contents(const Buffer& buffer) {
    std::vector<float> values(buffer.size_bytes() / sizeof(float));
    EXPECT_TRUE(read_buffer(*device_, whole(buffer), std::as_writable_bytes(std::span(values))));
    return values;
  }

  void wait_for(const Result<uint64_t>& value) {
    ASSERT_TRUE(value) << value.error().message();
    const auto done = device_->queue().fence().wait(*value, kHangTimeoutNs);
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_TRUE(*done);
    EXPECT_GE(device_->queue().fence().poll(), *value);
  }

  std::unique_ptr<Device> device_;
};

INSTANTIATE_TEST_SUITE_P(Memory, OpenglDeviceTest,
                         testing::Values(MemoryKind::device, MemoryKind::shared),
                         [](const testing::TestParamInfo<MemoryKind>& kind) {
                           return kind.param == MemoryKind::device ? "device" : "shared";
                         });

TEST(OpenglFindTest, EveryEntryIsOpenableOrSaysWhyNot) {
  const std::vector<FoundRoute> found = find_opengl_devices();
  ASSERT_FALSE(found.empty());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].info.route, Route::opengl);
    if (!found[i].refusal.empty()) continue;
    const auto device = open_opengl_device(i, "gpu7:opengl");
    ASSERT_TRUE(device) << device.error().message();
    EXPECT_EQ((*device)->info().name, "gpu7:opengl");
    EXPECT_EQ((*device)->info().chip, found[i].info.chip);
    EXPECT_FALSE((*device)->info().driver.empty());
    const Target& target = (*device)->target();
    EXPECT_EQ(target.format, CodeFormat::spirv_bindings);
    EXPECT_TRUE(target.opengl);
    EXPECT_GE(target.wave_lanes, 4u);
    EXPECT_GE(target.lanes_per_workgroup_max, 1024u);  // OpenGL 4.6 core, table 23.74
    EXPECT_GE(target.local_memory_bytes_max, 32768u);  // likewise
    EXPECT_GE(target.buffer_bindings_max, 8u);         // likewise
  }
}

TEST(OpenglFindTest, IndexPastTheEndIsRefused) {
  const auto device = open_opengl_device(1000, "gpu0:opengl");
  ASSERT_FALSE(device);
}

TEST(OpenglApiTest, ExtensionsMatchWholeWordsOnly) {
  EXPECT_TRUE(has_extension("EGL_a EGL_bc", "EGL_bc"));
  EXPECT_FALSE(has_extension("EGL_a EGL_bc", "EGL_b"));
  EXPECT_FALSE(has_extension(nullptr, "EGL_b"));
  EXPECT_EQ(gl_error_text(GL_OUT_OF_MEMORY), "GL_OUT_OF_MEMORY (0x505)");
  EXPECT_EQ(gl_error_text(0x1234), "0x1234");
}

TEST_P(OpenglDeviceTest, SharedMemoryIsMappedForItsWholeLife) {
  const auto shared = device_->allocate(4096, MemoryKind::shared);
  ASSERT_TRUE(shared);
  ASSERT_NE(shared->host_pointer(), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(shared->host_pointer()) % 64, 0u);
  EXPECT_EQ(shared->size_bytes(), 4096u);
  EXPECT_FALSE(device_->allocate(0, GetParam()));
}

TEST_P(OpenglDeviceTest, HugeAllocationIsOutOfMemory) {
  const auto huge = device_->allocate(size_t{1} << 55, GetParam());
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().kind(), ErrorKind::out_of_memory);
  const auto small = device_->allocate(64, GetParam());
  EXPECT_TRUE(small);
}

TEST_P(OpenglDeviceTest, KernelComputes) {
  constexpr size_t kCount = 10 * kLanes;
  std::vector<float> a(kCount), b(kCount), c(kCount);
  std::iota(a.begin(), a.end(), 0.0f);
  std::iota(b.begin(), b.end(), 1.0f);
  std::iota(c.begin(), c.end(), 2.0f);
  const Buffer ab = buffer(a), bb = buffer(b), cb = buffer(c);
  const auto kernel = device_->load(multiply_add(10));
  ASSERT_TRUE(kernel) << kernel.error().message();
  const std::vector<BufferRange> arguments = {whole(ab), whole(bb), whole(cb)};
  ASSERT_TRUE(device_->queue().launch(**kernel, arguments));
  wait_for(device_->queue().submit());
  const std::vector<float> result = contents(cb);
  // Small whole numbers: exact in f32, fused or not.
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(result[i], a[i] * b[i] + c[i]) << i;
}

TEST_P(OpenglDeviceTest, CommandsSeeWhatEarlierOnesWrote) {
  const Buffer one = buffer(std::vector<float>(kLanes, 1.0f));
  const Buffer x = buffer(std::vector<float>(kLanes, 0.0f));
  const Buffer y = buffer(std::vector<float>(kLanes, 0.0f));
  const auto kernel = device_->load(multiply_add(1));
  ASSERT_TRUE(kernel);
  const std::vector<BufferRange> arguments = {whole(one), whole(x), whole(x)};  // x = 2x
  const std::vector<BufferRange> add_one = {whole(one), whole(one), whole(x)};  // x = x + 1
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(device_->queue().launch(**kernel, add_one));
    ASSERT_TRUE(device_->queue().launch(**kernel, arguments));
    ASSERT_TRUE(device_->queue().copy(whole(y), whole(x)));
    ASSERT_TRUE(device_->queue().copy(whole(x), whole(y)));
  }
  wait_for(device_->queue().submit());
  const float expected = 2097150.0f;  // 2 * (2^20 - 1), exact in f32
  EXPECT_EQ(contents(y), std::vector<float>(kLanes, expected));
}

TEST_P(OpenglDeviceTest, RangesStartAtTheirOffset) {
  constexpr size_t kStep = kBufferAlignment / sizeof(float);
  std::vector<float> values(3 * kStep, 0.0f);
  std::fill_n(values.begin() + kStep, kLanes, 3.0f);
  const Buffer all = buffer(values);
  const auto kernel = device_->load(multiply_add(1));
  ASSERT_TRUE(kernel);
  const BufferRange source = {&all, kBufferAlignment, kLanes * sizeof(float)};
  const BufferRange target = {&all, 2 * kBufferAlignment, kLanes * sizeof(float)};
  const std::vector<BufferRange> arguments = {source, source, target};
  ASSERT_TRUE(device_->queue().launch(**kernel, arguments));
  wait_for(device_->queue().submit());
  std::fill_n(values.begin() + 2 * kStep, kLanes, 9.0f);
  EXPECT_EQ(contents(all), values);
}

TEST_P(OpenglDeviceTest, WrongCommandsAreRefusedAndLeaveTheQueueUsable) {
  const Buffer x = buffer(std::vector<float>(2 * kLanes, 1.0f));
  const auto kernel = device_->load(multiply_add(1));
  ASSERT_TRUE(kernel);
  Queue& queue = device_->queue();
  const BufferRange too_long = {&x, 128, 1024};
  EXPECT_FALSE(queue.copy(too_long, too_long));
  wait_for(queue.submit());
}

TEST_P(OpenglDeviceTest, BadBinariesAreRefused) {
  KernelBinary binary = multiply_add(1);
  binary.entry = "nowhere";
  const auto entry = device_->load(binary);
  ASSERT_FALSE(entry);
  EXPECT_EQ(entry.error().kind(), ErrorKind::io);
  EXPECT_NE(entry.error().message().find("multiply_add"), std::string::npos);
  binary = multiply_add(0);
  binary.grid[1] = 0xffffffff;
  const auto grid = device_->load(binary);
  ASSERT_FALSE(grid);
  EXPECT_EQ(grid.error().kind(), ErrorKind::invalid_argument);
  binary = multiply_add(1);
  binary.format = CodeFormat::native_object;
  const auto format = device_->load(binary);
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().kind(), ErrorKind::invalid_argument);
}

TEST_P(OpenglDeviceTest, RecordedListReplaysWithChangedContents) {
  const Buffer a = buffer(std::vector<float>(kLanes, 2.0f));
  const Buffer x = buffer(std::vector<float>(kLanes, 1.0f));
  const auto kernel = device_->load(multiply_add(1));
  ASSERT_TRUE(kernel);
  Queue& queue = device_->queue();
  const std::vector<BufferRange> arguments = {whole(a), whole(x), whole(x)};  // x = 3x
  ASSERT_TRUE(queue.begin_record());
  ASSERT_TRUE(queue.launch(**kernel, arguments));
  ASSERT_TRUE(queue.launch(**kernel, arguments));
  const auto list = queue.end_record();
  ASSERT_TRUE(list);
  EXPECT_EQ(contents(x)[0], 1.0f);  // recording executes nothing
  uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    const auto value = queue.replay(**list);
    wait_for(value);
    EXPECT_GT(*value, last);
    last = *value;
  }
  EXPECT_EQ(contents(x), std::vector<float>(kLanes, 729.0f));
}

TEST_P(OpenglDeviceTest, ManySubmitsInFlightKeepTheirOrder) {
  const Buffer one = buffer(std::vector<float>(kLanes, 1.0f));
  const Buffer x = buffer(std::vector<float>(kLanes, 0.0f));
  const auto kernel = device_->load(multiply_add(1));
  ASSERT_TRUE(kernel);
  const std::vector<BufferRange> arguments = {whole(one), whole(one), whole(x)};
  Result<uint64_t> value = uint64_t{0};
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(device_->queue().launch(**kernel, arguments));
    value = device_->queue().submit();
    ASSERT_TRUE(value);
  }
  wait_for(value);
  EXPECT_EQ(contents(x)[kLanes - 1], 600.0f);
}

TEST_P(OpenglDeviceTest, FreedBuffersAndKernelsServeWorkThatUsesThem) {
  const Buffer x = buffer(std::vector<float>(kLanes, 0.0f));
  for (int i = 0; i < 50; ++i) {
    const Buffer one = buffer(std::vector<float>(kLanes, 1.0f));
    const auto kernel = device_->load(multiply_add(1));
    ASSERT_TRUE(kernel);
    const std::vector<BufferRange> arguments = {whole(one), whole(one), whole(x)};
    ASSERT_TRUE(device_->queue().launch(**kernel, arguments));
  }
  wait_for(device_->queue().submit());
  EXPECT_EQ(contents(x)[0], 50.0f);
}

TEST_P(OpenglDeviceTest, MemoryComesBackWithoutASubmit) {
  constexpr int64_t kBytes = 8 << 20;
  const int64_t before = resident_bytes();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(device_->allocate(kBytes, GetParam()));
  // All 40 would be 320 MiB, where buffers are host memory; the address sanitizer holds on to 256.
  EXPECT_LT(resident_bytes() - before, 300 << 20);
}

TEST_P(OpenglDeviceTest, TimesGrow) {
  Queue& queue = device_->queue();
  const Buffer x = buffer(std::vector<float>(kLanes * 64, 1.0f));
  const auto kernel = device_->load(multiply_add(64));
  ASSERT_TRUE(kernel);
  ASSERT_TRUE(queue.mark_time(0));
  ASSERT_TRUE(queue.launch(**kernel, std::vector<BufferRange>(3, whole(x))));
  ASSERT_TRUE(queue.mark_time(Queue::kTimeSlots - 1));
  wait_for(queue.submit());
  const auto begin = queue.time_ns(0);
  const auto end = queue.time_ns(Queue::kTimeSlots - 1);
  ASSERT_TRUE(begin && end);
  EXPECT_GT(*begin, 0u);
  EXPECT_GT(*end, *begin);
  EXPECT_LT(*end - *begin, 60'000'000'000u);
}

TEST_P(OpenglDeviceTest, TimesAreThoseOfTheLastRun) {
  Queue& queue = device_->queue();
  EXPECT_FALSE(queue.time_ns(5)) << "It was never marked.";
  ASSERT_TRUE(queue.begin_record());
  ASSERT_TRUE(queue.mark_time(5));
  ASSERT_TRUE(queue.mark_time(6));
  const auto list = queue.end_record();
  ASSERT_TRUE(list);
  EXPECT_FALSE(queue.time_ns(5)) << "It was not played.";
  uint64_t last = 0;
  for (int run = 0; run < 3; ++run) {
    wait_for(queue.replay(**list));
    const auto begin = queue.time_ns(5);
    const auto end = queue.time_ns(6);
    ASSERT_TRUE(begin && end);
    EXPECT_GT(*begin, last);
    EXPECT_GE(*end, *begin);
    last = *end;
  }
}

// What the GL thread reads while it ends is still there; the address sanitizer would tell.
TEST_P(OpenglDeviceTest, MayCloseWithWorkInFlight) {
  auto other = open_opengl_device(0, "gpu1:opengl");
  if (!other) GTEST_SKIP() << other.error().message();
  auto made = (*other)->allocate(size_t{16} << 20, MemoryKind::shared);
  ASSERT_TRUE(made);
  const size_t half = made->size_bytes() / 2;
  for (int submit = 0; submit < 12; ++submit) {
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE((*other)->queue().copy({&*made, 0, half}, {&*made, half, half}));
    }
    ASSERT_TRUE((*other)->queue().submit());
  }
  *made = Buffer();
  other->reset();
}

TEST_P(OpenglDeviceTest, FenceIsAwaitedFromOtherThreads) {
  const Buffer x = buffer(std::vector<float>(kLanes, 1.0f));
  const auto kernel = device_->load(multiply_add(1));
  ASSERT_TRUE(kernel);
  Fence& fence = device_->queue().fence();
  const uint64_t next = fence.poll() + 1;
  EXPECT_FALSE(*fence.wait(next, 1'000'000));
  std::atomic<int> seen = 0;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      const auto done = fence.wait(next, kHangTimeoutNs);
      if (done && *done) ++seen;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until they sleep, not only spin
  ASSERT_TRUE(device_->queue().launch(**kernel, std::vector<BufferRange>(3, whole(x))));
  wait_for(device_->queue().submit());
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_EQ(seen.load(), 4);
}

TEST_P(OpenglDeviceTest, DeviceIsUsedByOneThreadAfterAnother) {
  const Buffer x = buffer(std::vector<float>(kLanes, 1.0f));
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      const auto kernel = device_->load(multiply_add(1));
      ASSERT_TRUE(kernel);
      ASSERT_TRUE(device_->queue().launch(**kernel, std::vector<BufferRange>(3, whole(x))));
      wait_for(device_->queue().submit());
    }).join();
  }
  EXPECT_EQ(contents(x)[0], 42.0f);  // x = x * x + x: 1, 2, 6, 42
}

TEST_P(OpenglDeviceTest, TwoDevicesOfOneChipLiveTogether) {
  const auto other = open_opengl_device(0, "gpu1:opengl");
  if (!other) GTEST_SKIP() << other.error().message();
  const Buffer x = buffer(std::vector<float>(kLanes, 5.0f));
  {
    const auto made = (*other)->allocate(4096, MemoryKind::shared);
    ASSERT_TRUE(made);
  }
  EXPECT_EQ(contents(x)[0], 5.0f);
}

}  // namespace
}  // namespace leat
