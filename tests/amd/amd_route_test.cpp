// The direct route from opening to results: kernels that LLVM compiles, run by the emulator from
// packets in a ring, over the fake kernel driver. After each test nothing may have gone wrong on
// the GPU's side.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <numeric>

#include "leat/backend/amd/amd_kfd_abi.h"
#include "leat/base/unique_fd.h"
#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

struct RouteCase {
  const char* name;
  amd_card::FakeCardOptions options;
};

void PrintTo(const RouteCase& route, std::ostream* out) { *out << route.name; }

class AmdRouteTest : public testing::TestWithParam<RouteCase> {
 protected:
  void SetUp() override {
    setenv("LEAT_AMD_CHECK", "1", 1);
    card_ = std::make_unique<FakeCard>(GetParam().options);
    Result<std::unique_ptr<Device>> opened = card_->open();
    ASSERT_OK(opened);
    device_ = std::move(*opened);
  }
  void TearDown() override {
    EXPECT_EQ(card_->faults(), "");
    device_.reset();
    EXPECT_EQ(card_->faults(), "") << "while closing";
    EXPECT_EQ(card_->fake.live_queues(), 0u);
    EXPECT_LE(card_->fake.live_buffers(), 1u) << "the page of events stays";
  }

  Queue& queue() { return device_->queue(); }
  Buffer buffer(size_t size_bytes, MemoryKind kind = MemoryKind::shared) {
    Result<Buffer> made = device_->allocate(size_bytes, kind);
    EXPECT_TRUE(made.has_value()) << made.error().message();
    return made ? std::move(*made) : Buffer();
  }
  std::unique_ptr<Kernel> load(const TestKernel& kernel) {
    const Result<KernelBinary> binary = compile_kernel(card_->target, kernel);
    EXPECT_TRUE(binary.has_value()) << binary.error().message();
    if (!binary) return nullptr;
    Result<std::unique_ptr<Kernel>> loaded = device_->load(*binary);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message();
    return loaded ? std::move(*loaded) : nullptr;
  }
  void launch(const Kernel& kernel, const std::vector<const Buffer*>& buffers) {
    std::vector<BufferRange> arguments;
    for (const Buffer* buffer : buffers) arguments.push_back(whole(*buffer));
    ASSERT_OK(queue().launch(kernel, arguments));
  }
  void submit_and_wait() {
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    wait(*value);
  }
  void wait(uint64_t value) {
    const Result<bool> done = wait_for(*device_, value);
    ASSERT_OK(done);
    ASSERT_TRUE(*done) << card_->faults();
  }

  std::unique_ptr<FakeCard> card_;
  std::unique_ptr<Device> device_;
};

std::vector<int32_t> numbers(size_t count) {
  std::vector<int32_t> values(count);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

TEST_P(AmdRouteTest, AddsInFourWorkgroups) {
  const auto kernel = load(add_kernel(4));
  ASSERT_NE(kernel, nullptr);
  const Buffer out = buffer(1024), a = buffer(1024), b = buffer(1024);
  std::vector<float> x(256), y(256);
  for (size_t i = 0; i < 256; ++i) x[i] = float(i) / 4, y[i] = 100.0F - float(i);
  set_values(a, x);
  set_values(b, y);
  launch(*kernel, {&out, &a, &b});
  submit_and_wait();
  const auto sums = values_of<float>(out);
  for (size_t i = 0; i < 256; ++i) EXPECT_EQ(sums[i], x[i] + y[i]) << i;
  EXPECT_EQ(card_->fake.launches(), 1u);
}

TEST_P(AmdRouteTest, DependentLaunchesSeeEachOther) {
  const auto step = load(step_kernel(2));
  ASSERT_NE(step, nullptr);
  const Buffer a = buffer(512), b = buffer(512);
  set_values(a, numbers(128));
  set_values(b, std::vector<int32_t>(128, 5));
  for (int k = 0; k < 6; ++k) {
    launch(*step, {&a});
    launch(*step, {&b});
  }
  submit_and_wait();
  const auto values = values_of<int32_t>(a);
  for (int32_t i = 0; i < 128; ++i) EXPECT_EQ(values[size_t(i)], (i + 1) * 64 - 1) << i;
  EXPECT_EQ(values_of<int32_t>(b)[7], 6 * 64 - 1);
}

TEST_P(AmdRouteTest, SubmitsFollowEachOther) {
  const auto step = load(step_kernel(1));
  ASSERT_NE(step, nullptr);
  const Buffer a = buffer(256);
  set_values(a, std::vector<int32_t>(64, 0));
  uint64_t last = 0;
  for (int k = 0; k < 24; ++k) {
    launch(*step, {&a});
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    EXPECT_GT(*value, last);
    last = *value;
  }
  wait(last);
  EXPECT_EQ(values_of<int32_t>(a)[0], (1 << 24) - 1);
  EXPECT_EQ(queue().counts().submits, 24u);
}

TEST_P(AmdRouteTest, DeviceMemoryIsReachedByCopies) {
  const auto step = load(step_kernel(1));
  ASSERT_NE(step, nullptr);
  const Buffer hidden = buffer(256, MemoryKind::device);
  EXPECT_EQ(hidden.host_pointer(), nullptr);
  const Buffer in = buffer(256), out = buffer(256);
  set_values(in, numbers(64));
  ASSERT_OK(queue().copy(whole(hidden), whole(in)));
  launch(*step, {&hidden});
  ASSERT_OK(queue().copy(whole(out), whole(hidden)));
  launch(*step, {&hidden});
  submit_and_wait();
  const auto values = values_of<int32_t>(out);
  for (int32_t i = 0; i < 64; ++i) EXPECT_EQ(values[size_t(i)], 2 * i + 1);
  std::vector<int32_t> read(64);
  ASSERT_OK(read_buffer(*device_, whole(hidden), std::as_writable_bytes(std::span(read))));
  for (int32_t i = 0; i < 64; ++i) EXPECT_EQ(read[size_t(i)], 4 * i + 3);
}

TEST_P(AmdRouteTest, RecordedListsReplay) {
  const auto step = load(step_kernel(1));
  const auto add = load(add_kernel(1));
  ASSERT_TRUE(step != nullptr && add != nullptr);
  const Buffer a = buffer(256), out = buffer(256), b = buffer(256);
  set_values(a, std::vector<int32_t>(64, 0));
  set_values(b, std::vector<float>(64, 0.0F));
  ASSERT_OK(queue().begin_record());
  launch(*step, {&a});
  launch(*add, {&out, &a, &b});
  launch(*step, {&a});
  Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  EXPECT_EQ(values_of<int32_t>(a)[0], 0) << "nothing ran";
  for (int k = 1; k <= 3; ++k) {
    const Result<uint64_t> value = queue().replay(**list);
    ASSERT_OK(value);
    wait(*value);
    EXPECT_EQ(values_of<int32_t>(a)[9], (1 << 2 * k) - 1);
    EXPECT_EQ(values_of<int32_t>(out)[9], (1 << (2 * k - 1)) - 1) << "between the two";
  }
  EXPECT_EQ(queue().counts().replays, 3u);
  const uint64_t calls = card_->fake.calls();
  const Result<uint64_t> value = queue().replay(**list);
  ASSERT_OK(value);
  const uint64_t calls_of_replay = GetParam().options.has_kfd ? 0 : 1;
  EXPECT_EQ(card_->fake.calls(), calls + calls_of_replay) << "none but by the render node";
  EXPECT_FALSE(queue().replay(**list).has_value()) << "its last replay is in flight";
  wait(*value);
}

// A file of pages stands in for the dma-buf of another driver.
TEST_P(AmdRouteTest, ADmaBufIsUsedInPlace) {
  constexpr size_t kPages = 2 * kfd::kPageBytes;
  const auto step = load(step_kernel(1));
  ASSERT_NE(step, nullptr);
  EXPECT_TRUE(device_->memory_facts().imports_dma_buf);
  const UniqueFd file(::memfd_create("dma-buf", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), kPages), 0);
  std::vector<int32_t> values = numbers(64);
  ASSERT_EQ(::pwrite(file.get(), values.data(), 256, 0), 256);
  for (int k = 0; k < 2; ++k) {  // a buffer that is gone is in nobody's way
    const Result<Buffer> shared = device_->import_dma_buf(file.get(), kPages);
    ASSERT_OK(shared);
    EXPECT_EQ(shared->host_pointer(), nullptr);
    EXPECT_FALSE(device_->import_dma_buf(file.get(), 2 * kPages)) << "larger than the file";
    launch(*step, {&*shared});
    submit_and_wait();
  }
  ASSERT_EQ(::pread(file.get(), values.data(), 256, 0), 256);
  for (int32_t i = 0; i < 64; ++i) EXPECT_EQ(values[size_t(i)], 4 * i + 3);
  ASSERT_EQ(::ftruncate(file.get(), 100), 0);
  const Result<Buffer> odd = device_->import_dma_buf(file.get(), 100);
  ASSERT_FALSE(odd.has_value());
  EXPECT_EQ(odd.error().kind(), ErrorKind::invalid_argument);
  EXPECT_FALSE(device_->import_dma_buf(-1, kPages).has_value());
}

TEST_P(AmdRouteTest, EmptyListsAndSubmits) {
  ASSERT_OK(queue().begin_record());
  Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  const Result<uint64_t> value = queue().replay(**list);
  ASSERT_OK(value);
  wait(*value);
  submit_and_wait();
}

TEST_P(AmdRouteTest, ArmedListsWaitForTheirFire) {
  const auto step = load(step_kernel(1));
  ASSERT_NE(step, nullptr);
  const Buffer a = buffer(256);
  set_values(a, std::vector<int32_t>(64, 1));
  ASSERT_OK(queue().begin_record());
  launch(*step, {&a});
  Result<std::unique_ptr<RecordedList>> list = queue().end_record();
  ASSERT_OK(list);
  const Result<uint64_t> value = queue().arm(**list);
  ASSERT_OK(value);
  const Result<bool> early = queue().fence().wait(*value, 5'000'000);
  ASSERT_OK(early);
  EXPECT_FALSE(*early);
  queue().fire();
  wait(*value);
  EXPECT_EQ(values_of<int32_t>(a)[0], 3);
}

TEST_P(AmdRouteTest, TimesGrow) {
  const auto step = load(step_kernel(1));
  ASSERT_NE(step, nullptr);
  const Buffer a = buffer(256);
  EXPECT_FALSE(queue().time_ns(0).has_value());
  ASSERT_OK(queue().mark_time(0));
  launch(*step, {&a});
  ASSERT_OK(queue().mark_time(1));
  set_values(a, std::vector<int32_t>(64, 1));
  submit_and_wait();
  const Result<uint64_t> before = queue().time_ns(0), after = queue().time_ns(1);
  ASSERT_OK(before);
  ASSERT_OK(after);
  EXPECT_GE(*after, *before);
}

TEST_P(AmdRouteTest, MemoryOfTheHostIsUsedInPlace) {
  const auto step = load(step_kernel(16));
  ASSERT_NE(step, nullptr);
  auto* pages = static_cast<std::byte*>(std::aligned_alloc(4096, 4096));
  const auto values = numbers(1024);
  std::memcpy(pages, values.data(), 4096);
  {
    Result<Buffer> imported = device_->import_host({pages, 4096});
    ASSERT_OK(imported);
    EXPECT_EQ(imported->host_pointer(), pages);
    launch(*step, {&*imported});
    submit_and_wait();
  }
  EXPECT_FALSE(device_->import_host({pages + 4, 4092}).has_value());
  int32_t last;
  std::memcpy(&last, pages + 4092, 4);
  EXPECT_EQ(last, 2047);
  submit_and_wait();
  submit_and_wait();
  std::free(pages);
}

TEST_P(AmdRouteTest, LocalMemoryAndBarriers) {
  const auto reverse =
      load({.name = "reverse",
            .written = {true, false},
            .body = R"(  %in = getelementptr i32, ptr addrspace(1) %b1, i64 %i
  %x = load i32, ptr addrspace(1) %in
  %l0 = getelementptr [128 x i32], ptr addrspace(3) @tile, i32 0, i32 %t
  store i32 %x, ptr addrspace(3) %l0
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  %o = sub i32 127, %t
  %l1 = getelementptr [128 x i32], ptr addrspace(3) @tile, i32 0, i32 %o
  %y = load i32, ptr addrspace(3) %l1
  %out = getelementptr i32, ptr addrspace(1) %b0, i64 %i
  store i32 %y, ptr addrspace(1) %out)",
            .threads = 128,
            .groups = 2,
            .declarations = "@tile = internal addrspace(3) global [128 x i32] poison"});
  ASSERT_NE(reverse, nullptr);
  const Buffer out = buffer(1024), in = buffer(1024);
  set_values(in, numbers(256));
  launch(*reverse, {&out, &in});
  submit_and_wait();
  for (int32_t i = 0; i < 256; ++i) {
    EXPECT_EQ(values_of<int32_t>(out)[size_t(i)], i / 128 * 128 + 127 - i % 128);
  }
}

/// b0[i] = b1[i] squared, by an array of that many squares in scratch.
TestKernel squares_kernel(uint32_t count) {
  return {.name = "squares",
          .written = {true, false},
          .body = fmt::format(R"(  %array = alloca [{0} x i32], align 4, addrspace(5)
  br label %fill
fill:
  %k = phi i32 [0, %entry], [%k1, %fill]
  %q = mul i32 %k, %k
  %a = getelementptr [{0} x i32], ptr addrspace(5) %array, i32 0, i32 %k
  store volatile i32 %q, ptr addrspace(5) %a
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, {0}
  br i1 %more, label %fill, label %done
done:
  %in = getelementptr i32, ptr addrspace(1) %b1, i64 %i
  %index = load i32, ptr addrspace(1) %in
  %p = getelementptr [{0} x i32], ptr addrspace(5) %array, i32 0, i32 %index
  %y = load volatile i32, ptr addrspace(5) %p
  %out = getelementptr i32, ptr addrspace(1) %b0, i64 %i
  store i32 %y, ptr addrspace(1) %out)",
                              count)};
}

TEST_P(AmdRouteTest, ScratchOfKernels) {
  const auto sum = load(squares_kernel(48));
  const auto step = load(step_kernel(1));
  ASSERT_TRUE(sum != nullptr && step != nullptr);
  const Buffer out = buffer(256), in = buffer(256);
  std::vector<int32_t> indices(64);
  for (size_t i = 0; i < 64; ++i) indices[i] = int32_t((7 * i) % 48);
  set_values(in, indices);
  launch(*sum, {&out, &in});
  launch(*step, {&out});
  submit_and_wait();
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(values_of<int32_t>(out)[i], 2 * indices[i] * indices[i] + 1);
  }
}

// What TMPRING_SIZE cannot say.
TEST_P(AmdRouteTest, TooMuchScratchIsRefused) {
  const Result<KernelBinary> binary = compile_kernel(card_->target, squares_kernel(20'000));
  ASSERT_OK(binary);
  const auto loaded = device_->load(*binary);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().kind(), ErrorKind::unsupported) << loaded.error().message();
  EXPECT_NE(loaded.error().message().find("scratch (80"), std::string::npos)
      << loaded.error().message();
}

TEST_P(AmdRouteTest, ManyLaunchesFillBlocksAndTheRing) {
  const auto step = load(step_kernel(1));
  ASSERT_NE(step, nullptr);
  const Buffer a = buffer(256);
  set_values(a, std::vector<int32_t>(64, -1));  // 2 * -1 + 1 == -1
  uint64_t last = 0;
  for (int k = 0; k < 40; ++k) {
    for (int n = 0; n < 110; ++n) launch(*step, {&a});
    const Result<uint64_t> value = queue().submit();
    ASSERT_OK(value);
    last = *value;
  }
  wait(last);
  EXPECT_EQ(values_of<int32_t>(a)[63], -1);
  EXPECT_EQ(card_->fake.launches(), 40u * 110);
}

TEST_P(AmdRouteTest, OpensAgain) {
  device_.reset();
  Result<std::unique_ptr<Device>> opened = card_->open();
  ASSERT_OK(opened);
  device_ = std::move(*opened);
  submit_and_wait();
}

amd_card::FakeCardOptions gfx1201_drm() {
  amd_card::FakeCardOptions options = gfx1201_card();
  options.has_kfd = false;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Cards, AmdRouteTest,
    testing::Values(RouteCase{"gfx1100", {}}, RouteCase{"gfx1201", gfx1201_card()},
                    RouteCase{"gfx1100_mixed", {.order = amd_card::WaveOrder::mixed}},
                    RouteCase{"gfx1100_drm", {.has_kfd = false}},
                    RouteCase{"gfx1201_drm", gfx1201_drm()},
                    RouteCase{"gfx1100_newest", {.kfd_minor = 22, .exports_save_size = true}}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace leat
