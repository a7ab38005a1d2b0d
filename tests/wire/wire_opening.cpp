// Opening the direct route when the driver refuses: each request in turn, and new channels that
// show no sign of life. What was made before is released.
#include "leat/backend/nvidia/generated/nvidia_cubins_test.h"
#include "leat/backend/nvidia/nvidia_check.h"
#include "leat/backend/nvidia/nvidia_device.h"
#include "leat/backend/nvidia/nvidia_submitter.h"
#include "tests/wire/wire_suite.h"

namespace leat {
namespace {

constexpr uint64_t kRequestsMax = 1000;  // of one opening; far above what it takes

TEST(WireOpening, EachRefusalReleasesWhatWasMade) {
  uint64_t refusals = 0;
  for (uint64_t n = 1; n < kRequestsMax; ++n) {
    mock::Nvidia gpu;
    gpu.server().refuse_nth(n);
    const Result<std::unique_ptr<Device>> opened = open_nvidia_device_on(gpu.os(), 0, "gpu0");
    if (!gpu.server().has_refused()) {
      ASSERT_OK(opened);
      break;
    }
    ++refusals;
    ASSERT_FALSE(opened.has_value()) << "request " << n;
    EXPECT_EQ(gpu.server().live_objects(), 0u) << "request " << n;
    EXPECT_EQ(gpu.server().open_descriptors(), 0u) << "request " << n;
    EXPECT_EQ(gpu.server().live_mappings(), 0u) << "request " << n;
  }
  EXPECT_GT(refusals, 40u);
  EXPECT_LT(refusals, kRequestsMax - 1);
}

/// A queue on the mock without a Device around it.
class WireQueueOpening : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(context_.open(0));
    queue_.set_first_sign_timeout_ns(1'000'000);
  }

  mock::Nvidia gpu_;
  NvidiaContext context_{gpu_.os()};
  NvidiaBuffers buffers_{context_};
  NvidiaQueue queue_{context_, buffers_, nullptr};
};

TEST_F(WireQueueOpening, NoSignOfLifeClosesTheChannels) {
  gpu_.hold(true);
  const Result<void> opened = queue_.open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind(), ErrorKind::device_lost);
  EXPECT_EQ(gpu_.server().channels().size(), 0u);
  gpu_.hold(false);
  const Result<uint64_t> value = queue_.submit();  // makes new ones
  ASSERT_OK(value);
  const Result<bool> done = queue_.fence().wait(*value, 1'000'000'000);
  ASSERT_OK(done);
  EXPECT_TRUE(*done);
}

// A refused allocation gives back the part of it that was made.
TEST_F(WireQueueOpening, ARefusedAllocationLeavesNothing) {
  const uint64_t kBytes = uint64_t{128} << 20;
  const size_t objects = gpu_.server().live_objects(), mappings = gpu_.server().live_mappings();
  std::vector<std::byte> memory(3 * NvidiaMemory::kPage);
  const uintptr_t past = reinterpret_cast<uintptr_t>(memory.data()) % NvidiaMemory::kPage;
  const std::span pages =
      std::span(memory).subspan(NvidiaMemory::kPage - past, NvidiaMemory::kPage);
  for (int kind = 0; kind < 5; ++kind) {
    uint64_t refusals = 0;
    for (bool was_refused = true; was_refused && refusals < kRequestsMax;) {
      gpu_.server().refuse_nth(refusals + 1);
      const Result<DirectRange> range = [&]() -> Result<DirectRange> {
        if (kind < 3) return context_.memory.allocate(kBytes, static_cast<NvidiaPlace>(kind));
        if (kind == 3) return context_.memory.import(pages);
        TRY(context_.memory.allocate_notifier(NvidiaMemory::kPage));
        return DirectRange();
      }();
      was_refused = gpu_.server().has_refused();
      gpu_.server().refuse_nth(0);
      EXPECT_EQ(range.has_value(), !was_refused);
      if (range && kind == 4) break;  // kept until the client goes
      if (range) context_.memory.free(*range);
      EXPECT_EQ(gpu_.server().live_objects(), objects) << "kind " << kind << ", " << refusals;
      EXPECT_EQ(gpu_.server().live_mappings(), mappings) << "kind " << kind << ", " << refusals;
      refusals += was_refused ? 1 : 0;
    }
    EXPECT_GE(refusals, 3u) << kind;
  }
}

TEST_F(WireQueueOpening, ARefusedRestartLeavesNoChannel) {
  ASSERT_OK(queue_.open());
  const size_t objects = gpu_.server().live_objects();
  uint64_t refusals = 0;
  for (bool was_refused = true; was_refused && refusals < kRequestsMax;) {
    gpu_.server().refuse_nth(refusals + 1);
    const Result<void> restarted = queue_.abandon();
    was_refused = gpu_.server().has_refused();
    gpu_.server().refuse_nth(0);
    EXPECT_EQ(restarted.has_value(), !was_refused);
    EXPECT_EQ(gpu_.server().channels().size(), was_refused ? 0u : 2u) << refusals;
    const Result<uint64_t> value = queue_.submit();
    ASSERT_OK(value);
    EXPECT_TRUE(*queue_.fence().wait(*value, 1'000'000'000));
    EXPECT_EQ(gpu_.server().live_objects(), objects) << refusals;
    refusals += was_refused ? 1 : 0;
  }
  EXPECT_GE(refusals, 8u);
}

// Damage must not lead outside the file, which the sanitizers watch, nor to a launch that the chip
// would refuse.
TEST_F(WireQueueOpening, DamagedCubinsAreRefusedOrMakeALaunchThatPassesTheCheck) {
  ASSERT_OK(queue_.open());
  const auto whole = std::as_bytes(std::span(kTestCubin));
  uint32_t seed = 1, loaded = 0;
  const auto next = [&] { return seed = seed * 1664525u + 1013904223u; };
  KernelBinary binary;
  binary.name = binary.entry = "saxpy_kernel";
  binary.format = CodeFormat::cubin;
  binary.arguments = {{DType::f32, false}, {DType::f32, false}, {DType::f32, true}};
  binary.wave_lanes = 32;
  for (int round = 0; round < 2000; ++round) {
    binary.code.assign(whole.begin(), whole.end());
    for (int i = 0; i < 8; ++i) {
      // Half of it in the table of sections at the end and the header at the front.
      const size_t at = i % 2 == 0   ? next() % binary.code.size()
                        : i % 4 == 1 ? next() % 64
                                     : binary.code.size() - 1 - next() % 4000;
      binary.code[at] = static_cast<std::byte>(next() >> 24);
    }
    const Result<std::unique_ptr<Kernel>> kernel = NvidiaKernel::load(context_, binary);
    if (!kernel) continue;
    ++loaded;
    const auto& made = static_cast<const NvidiaKernel&>(**kernel);
    Qmd qmd = made.qmd();
    qmd.set_bank0(qmd.program() / 64 * 64, static_cast<uint32_t>(made.bank().bytes.size()));
    ASSERT_OK(check_qmd(context_, qmd));
  }
  EXPECT_GT(loaded, 10u);
  EXPECT_LT(loaded, 2000u);
}

// The segments in front of a submit are checked like the submit itself.
TEST(WirePrefixes, AreChecked) {
  ASSERT_EQ(setenv("LEAT_NVIDIA_CHECK", "1", 1), 0);
  mock::Nvidia gpu;
  NvidiaContext context(gpu.os());
  NvidiaBuffers buffers(context);
  NvidiaQueue queue(context, buffers, nullptr);
  ASSERT_OK(context.open(0));
  ASSERT_OK(queue.open());
  ASSERT_OK(context.reserve_local_memory(1024));
  const NvidiaLocalMemory good = context.setup.local();
  ASSERT_OK(queue.submit());
  EXPECT_TRUE(context.setup.is_told());
  const auto expect_refusal = [&](const NvidiaLocalMemory& bad, const char* word) {
    context.setup.set_local(bad);
    const uint64_t doorbells = gpu.doorbells();
    const Result<uint64_t> refused = queue.submit();
    ASSERT_FALSE(refused.has_value()) << word;
    EXPECT_EQ(refused.error().kind(), ErrorKind::internal);
    EXPECT_NE(refused.error().message().find(word), std::string::npos) << refused.error().message();
    EXPECT_EQ(gpu.doorbells(), doorbells);
  };
  NvidiaLocalMemory elsewhere = good;
  elsewhere.range.address = 0x1000;
  expect_refusal(elsewhere, "not mapped");
  NvidiaLocalMemory uneven = good;
  uneven.bytes_per_tpc = 0x100;
  expect_refusal(uneven, "no multiple");
  context.card.classes.compute = 0xC6C0;
  expect_refusal(elsewhere, "not mapped");
  unsetenv("LEAT_NVIDIA_CHECK");
}

}  // namespace
}  // namespace leat
