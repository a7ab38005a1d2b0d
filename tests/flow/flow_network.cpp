// A network in slots, juggled on every device found here: right results in order, no byte copied on
// the hot path, and no call that drains a queue or a device reachable from any of it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "bench/allocation_count.h"
#include "leat/media/picture.h"
#include "leat/model/onnx_import.h"
#include "leat/run/juggler.h"
#include "tests/flow/call_watch.h"
#include "tests/flow/copy_watch.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

constexpr uint64_t kItems = 40;
constexpr uint32_t kSlots = 3;

std::string example_path(const std::string& name) {
  return std::string(LEAT_SOURCE_DIR) + "/examples/digits/" + name;
}

/// The picture's luminance as (1, 1, height, width).
Result<HostTensor> read_digit(int digit) {
  TRY_ASSIGN(const Picture picture,
             read_picture(example_path("pictures/" + std::to_string(digit) + ".png")));
  HostTensor tensor = HostTensor::zeros(DType::f32, {1, 1, picture.height, picture.width});
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      tensor.set_number(y * picture.width + x, picture.luminance(y, x));
    }
  }
  return tensor;
}

class FlowNetwork : public DeviceTest {
 public:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto model = import_onnx(example_path("digits.onnx"));
    ASSERT_OK(model);
    model_ = std::move(model).value();
    NetworkOptions options;
    options.slots = kSlots;
    options.receipts = true;
    options.times = true;
    auto network = Network::load(device(), model_.graph, options);
    ASSERT_OK(network);
    network_ = std::move(network).value();
    for (int digit = 0; digit < 10; ++digit) {
      auto picture = read_digit(digit);
      ASSERT_OK(picture);
      pictures_.push_back(std::move(picture).value());
    }
  }

  /// Writes the picture where the device reads it.
  Result<void> prepare(uint64_t item, size_t slot) {
    const ExternalView view = network_->input_view(0, slot);
    const HostTensor& picture = pictures_[item % 10];
    CHECK(view.host != nullptr && view.storage == DType::f32 && view.is_row_major());
    auto* const values = reinterpret_cast<float*>(view.host);
    for (int64_t i = 0; i < element_count(view.shape); ++i) {
      values[i] = static_cast<float>(picture.number(i));
    }
    return {};
  }

  /// Reads the class where the device wrote it.
  Result<void> consume(uint64_t item, size_t slot) {
    const ExternalView view = network_->output_view(0, slot);
    CHECK(view.host != nullptr && view.storage == DType::f32);
    const auto* const scores = reinterpret_cast<const float*>(view.host);
    const auto best = std::max_element(scores, scores + element_count(view.shape));
    classes_[item] = best - scores;
    return {};
  }

  using Prepare = Result<void> (FlowNetwork::*)(uint64_t item, size_t slot);

  /// As prepare, by way of the network's own copying call.
  Result<void> prepare_by_tensor(uint64_t item, size_t slot) {
    return network_->set_input(0, pictures_[item % 10], slot);
  }

  /// As prepare, by way of a copy that nobody counts but the watch.
  Result<void> prepare_by_memcpy(uint64_t item, size_t slot) {
    const ExternalView view = network_->input_view(0, slot);
    const HostTensor& picture = pictures_[item % 10];
    CHECK(view.size_bytes == picture.bytes.size());
    std::memcpy(view.host, picture.bytes.data(), view.size_bytes);
    return {};
  }

  /// Of all inputs and outputs.
  void watch_externals() {
    forget_copies();
    for (size_t slot = 0; slot < kSlots; ++slot) {
      for (const ExternalView& view :
           {network_->input_view(0, slot), network_->output_view(0, slot)}) {
        watch_copies(view.host, view.size_bytes);
      }
    }
  }

  Result<JugglerReport> run(uint64_t count, Prepare by = &FlowNetwork::prepare) {
    classes_.assign(count, -1);
    std::vector<JugglerDevice> devices;
    devices.push_back(juggled_network(
        *network_, [this, by](uint64_t i, size_t s) { return (this->*by)(i, s); },
        [this](uint64_t i, size_t s) { return consume(i, s); }));
    JugglerOptions options;
    options.host_threads = 2;
    options.deliver = [this](uint64_t item, const Error* error) {
      EXPECT_EQ(error, nullptr);
      order_.push_back(item);
    };
    return juggle(std::move(devices), count, options);
  }

  Model model_;
  std::unique_ptr<Network> network_;
  std::vector<HostTensor> pictures_;
  std::vector<int64_t> classes_;
  std::vector<uint64_t> order_;
};

TEST_P(FlowNetwork, EverySlotComputesTheSame) {
  std::vector<HostTensor> answers;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_OK(network_->set_input(0, pictures_[4], slot));
    const auto value = network_->start(slot);
    ASSERT_OK(value);
    ASSERT_OK(network_->wait(*value));
    EXPECT_TRUE(network_->is_receipted(slot));
    auto answer = network_->output(0, slot);
    ASSERT_OK(answer);
    int64_t best = 0;
    for (int64_t c = 1; c < 10; ++c) best = answer->number(c) > answer->number(best) ? c : best;
    EXPECT_EQ(best, 4);
    answers.push_back(std::move(answer).value());
    EXPECT_EQ(answers[slot].bytes, answers[0].bytes);
    const auto times = network_->slot_times(slot);
    ASSERT_OK(times);
    EXPECT_GE(times->end_ns, times->begin_ns);
  }
}

TEST_P(FlowNetwork, SlotsAreInFlightTogether) {
  std::vector<uint64_t> values;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_OK(prepare(slot + 1, slot));
    const auto value = network_->start(slot);
    ASSERT_OK(value);
    values.push_back(*value);
  }
  classes_.assign(10, -1);
  for (size_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_OK(network_->wait(values[slot]));
    EXPECT_TRUE(network_->is_receipted(slot));
    ASSERT_OK(consume(slot + 1, slot));
    EXPECT_EQ(classes_[slot + 1], static_cast<int64_t>(slot + 1));
  }
}

TEST_P(FlowNetwork, AStreamCopiesNothing) {
  const CopyCounts before = network_->stats().copies;
  watch_externals();
  const auto report = run(kItems);
  const uint64_t by_host = watched_copy_bytes();
  forget_copies();
  ASSERT_OK(report);
  EXPECT_EQ(by_host, 0u);
  const CopyCounts& after = network_->stats().copies;
  EXPECT_EQ(after.hot_bytes(), before.hot_bytes());
  const uint64_t receipts = after[CopyCause::receipt] - before[CopyCause::receipt];
  EXPECT_EQ(receipts, sizeof(uint64_t) * (kItems + report->retries));
  EXPECT_EQ(order_.size(), kItems);
  EXPECT_TRUE(std::ranges::is_sorted(order_));
  for (uint64_t item = 0; item < kItems; ++item) {
    EXPECT_EQ(classes_[item], static_cast<int64_t>(item % 10)) << item;
  }
}

// That nothing was copied means something only if a copy would have been seen.
TEST_P(FlowNetwork, ACopyInAStreamIsCountedByItsCause) {
  const CopyCounts before = network_->stats().copies;
  ASSERT_OK(run(kItems, &FlowNetwork::prepare_by_tensor));
  const CopyCounts& after = network_->stats().copies;
  const uint64_t size_bytes = network_->input_view(0).size_bytes;
  EXPECT_EQ(after[CopyCause::input_tensor] - before[CopyCause::input_tensor], kItems * size_bytes);
  EXPECT_GE(after.hot_bytes() - before.hot_bytes(), kItems * size_bytes);
}

TEST_P(FlowNetwork, ACopyBehindTheNetworksBackIsSeen) {
  if (!is_watching_copies()) GTEST_SKIP() << "Copies are not watched here.";
  watch_externals();
  const auto report = run(kItems, &FlowNetwork::prepare_by_memcpy);
  const uint64_t by_host = watched_copy_bytes();
  forget_copies();
  ASSERT_OK(report);
  EXPECT_GE(by_host, kItems * network_->input_view(0).size_bytes);
}

/// Page-aligned memory of the program's own, at least `size_bytes` of it.
class OwnMemory {
 public:
  OwnMemory(size_t size_bytes, size_t alignment)
      : size_bytes_((size_bytes + alignment - 1) / alignment * alignment),
        data_(std::aligned_alloc(alignment, size_bytes_)) {
    std::memset(data_.get(), 0, size_bytes_);
  }
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_.get()), size_bytes_}; }
  float* numbers() const { return static_cast<float*>(data_.get()); }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  size_t size_bytes_;
  std::unique_ptr<void, Free> data_;
};

// A frame that the program has already is read where it lies, and the scores come where it wants
// them.
TEST_P(FlowNetwork, MemoryOfTheProgramIsInputAndOutput) {
  const MemoryFacts facts = device().memory_facts();
  if (!facts.imports_host) GTEST_SKIP() << "The device imports no host memory.";
  const size_t alignment = std::max<size_t>(facts.import_alignment_bytes, 4096);
  const OwnMemory frame(network_->input_view(0).size_bytes, alignment);
  const OwnMemory scores(network_->output_view(0).size_bytes, alignment);
  auto input = device().import_host(frame.bytes());
  auto output = device().import_host(scores.bytes());
  ASSERT_OK(input);
  ASSERT_OK(output);
  ASSERT_OK(network_->place_input(0, std::move(*input), 1));
  ASSERT_OK(network_->place_output(0, std::move(*output), 1));
  EXPECT_EQ(network_->input_view(0, 1).host, frame.bytes().data());
  EXPECT_EQ(network_->output_view(0, 1).host, scores.bytes().data());
  forget_copies();
  watch_copies(frame.bytes().data(), frame.bytes().size());
  watch_copies(scores.bytes().data(), scores.bytes().size());
  for (const int64_t digit : {3, 8}) {
    for (int64_t i = 0; i < element_count(pictures_[0].shape); ++i) {
      frame.numbers()[i] = static_cast<float>(pictures_[static_cast<size_t>(digit)].number(i));
    }
    const auto value = network_->start(1);
    ASSERT_OK(value);
    ASSERT_OK(network_->wait(*value));
    EXPECT_EQ(std::max_element(scores.numbers(), scores.numbers() + 10) - scores.numbers(), digit);
  }
  EXPECT_EQ(watched_copy_bytes(), 0u);
  forget_copies();
  ASSERT_OK(run(kItems));  // the other slots beside it
  for (uint64_t item = 0; item < kItems; ++item) {
    EXPECT_EQ(classes_[item], static_cast<int64_t>(item % 10)) << item;
  }
}

TEST_P(FlowNetwork, MemoryThatDoesNotFitIsRefused) {
  const size_t size_bytes = network_->input_view(0).size_bytes;
  auto small = device().allocate(size_bytes - 1, MemoryKind::shared);
  ASSERT_OK(small);
  const auto too_small = network_->place_input(0, std::move(*small));
  ASSERT_FALSE(too_small.has_value());
  EXPECT_EQ(too_small.error().kind(), ErrorKind::invalid_argument);
  const auto other = open_device("null", 0);
  ASSERT_OK(other);
  auto foreign = (*other)->allocate(size_bytes, MemoryKind::shared);
  ASSERT_OK(foreign);
  const auto not_ours = network_->place_input(0, std::move(*foreign));
  ASSERT_FALSE(not_ours.has_value());
  EXPECT_EQ(not_ours.error().kind(), ErrorKind::invalid_argument);
  ASSERT_OK(run(10));
  for (int64_t item = 0; item < 10; ++item) EXPECT_EQ(classes_[static_cast<size_t>(item)], item);
}

TEST_P(FlowNetwork, LittleIsReservedBeyondTensors) {
  const NetworkStats& stats = network_->stats();
  EXPECT_GE(stats.reserved_bytes, stats.tensor_bytes);
  // 5 %, and what rounding up to 256 bytes costs a buffer, which shows in a network this small.
  EXPECT_LE(static_cast<double>(stats.reserved_bytes),
            1.05 * static_cast<double>(stats.tensor_bytes) + 8 * 256);
}

TEST_P(FlowNetwork, NothingDrainsTheDevice) {
  if (!is_watching()) GTEST_SKIP() << "Calls are not watched under a sanitizer.";
  // What is let go before and during the runs is not freed by them.
  const auto let_go = [&] {
    const Result<Buffer> buffer = device().allocate(4096, MemoryKind::shared);
    ASSERT_OK(buffer);
    ASSERT_OK(device().queue().copy({&*buffer, 0, 2048}, {&*buffer, 2048, 2048}));
  };
  let_go();
  const uint64_t before = drain_calls();
  ASSERT_OK(run(kItems));
  Queue& queue = device().queue();
  ASSERT_OK(queue.submit());
  EXPECT_TRUE(queue.fence().poll() > 0);
  ASSERT_OK(queue.begin_record());
  const auto list = queue.end_record();
  ASSERT_OK(list);
  const auto replayed = queue.replay(**list);
  ASSERT_OK(replayed);
  ASSERT_OK(queue.fence().wait(*replayed, hang_timeout_ns(device())));
  const FencePoint never[] = {{&queue.fence(), queue.fence().poll() + 1000}};
  ASSERT_OK(wait_any(never, 1'000'000));
  ASSERT_OK(wait_all(never, 1'000'000));
  EXPECT_EQ(drain_calls(), before);
  const std::set<std::string> names = asked_names();
  for (const char* name : {"vkQueueWaitIdle", "vkDeviceWaitIdle", "glFinish", "eglWaitGL",
                           "cuCtxSynchronize", "cuStreamSynchronize"}) {
    EXPECT_FALSE(names.contains(name)) << name << " is not even asked for.";
  }
}

TEST_P(FlowNetwork, AReplayAllocatesAndWritesNoDescriptors) {
  if (!is_watching()) GTEST_SKIP() << "Calls are not watched under a sanitizer.";
  for (int i = 0; i < 3; ++i) ASSERT_OK(network_->run());
  const char* const kCalls[] = {"vkUpdateDescriptorSets",   "vkAllocateMemory",
                                "vkAllocateDescriptorSets", "vkAllocateCommandBuffers",
                                "vkBeginCommandBuffer",     "vkCreateBuffer",
                                "glNamedBufferStorage"};
  std::vector<uint64_t> before;
  for (const char* name : kCalls) before.push_back(calls_of(name));
  const uint64_t submits = calls_of("vkQueueSubmit");
  const uint64_t allocations = cli::allocation_count();
  for (int i = 0; i < 20; ++i) ASSERT_OK(network_->run());
  // The mock's own work allocates; its queue's test counts what is ours.
  if (!device().info().name.starts_with("mock")) {
    EXPECT_EQ(cli::allocation_count(), allocations);
  }
  for (size_t i = 0; i < std::size(kCalls); ++i) EXPECT_EQ(calls_of(kCalls[i]), before[i]);
  if (device().info().route == Route::vulkan) {
    EXPECT_EQ(calls_of("vkQueueSubmit"), submits + 20);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, FlowNetwork, testing::ValuesIn(tested_devices()), test_name_of);

// The watch sees what it should: a function that counts is called through it and counted.
TEST(CallWatch, SeesTheBackendsCallsAndCounts) {
  if (!is_watching()) GTEST_SKIP() << "Calls are not watched under a sanitizer.";
  find_devices();
  const std::set<std::string> names = asked_names();
  void* const egl = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  void* const vulkan = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (egl == nullptr && vulkan == nullptr) GTEST_SKIP() << "There is neither EGL nor Vulkan.";
  if (vulkan != nullptr) {
    EXPECT_TRUE(names.contains("vkGetInstanceProcAddr"));
    EXPECT_TRUE(names.contains("vkCreateInstance"));
  }
  if (egl == nullptr) return;
  EXPECT_TRUE(names.contains("eglGetProcAddress"));
  const uint64_t before = drain_calls();
  using WaitClient = unsigned int (*)();
  const auto wait_client = reinterpret_cast<WaitClient>(dlsym(egl, "eglWaitClient"));
  ASSERT_NE(wait_client, nullptr);
  wait_client();  // without a context it does nothing
  EXPECT_EQ(drain_calls(), before + 1);
}

}  // namespace
}  // namespace leat
