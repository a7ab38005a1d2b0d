// Endurance: a stream at full rate on a software GPU and the cpu together, then many small lists,
// in turn for half an hour or as long as LEAT_ENDURANCE_SECONDS says. Memory, file handles, threads
// and descriptor updates must not grow once everything has been used for a while.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "leat/base/env.h"
#include "leat/device/spin.h"
#include "leat/model/onnx_import.h"
#include "leat/run/juggler.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

constexpr uint32_t kSecondsDefault = 1800;
constexpr int kSegments = 60;
// Of each segment's time; the lists have the rest.
constexpr double kStreamShare = 0.8;
constexpr size_t kListsPerDevice = 200;
// The first part is not looked at: caches fill, allocators grow to what they need.
constexpr int kSegmentsIgnored = 12;
// What the C library's allocator may take and keep between two looks, with the stream's own small
// allocations spread over some threads.
constexpr int64_t kMemoryGrowthMax = int64_t{24} << 20;

struct Usage {
  int64_t resident_bytes = 0;
  int64_t files = 0;
  int64_t threads = 0;
  uint64_t descriptor_updates = 0;
};

int64_t entries_of(const char* folder) {
  int64_t count = 0;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    ++count;
  }
  return count;
}

Usage usage_of(const std::vector<std::unique_ptr<Device>>& devices) {
  Usage usage;
  std::ifstream statm("/proc/self/statm");  // source: proc(5), second field
  int64_t total = 0;
  statm >> total >> usage.resident_bytes;
  usage.resident_bytes *= sysconf(_SC_PAGESIZE);
  usage.files = entries_of("/proc/self/fd");
  usage.threads = entries_of("/proc/self/task");
  for (const std::unique_ptr<Device>& device : devices) {
    usage.descriptor_updates += device->queue().counts().descriptor_updates;
  }
  return usage;
}

std::vector<std::unique_ptr<Device>> open_two() {
  std::vector<std::unique_ptr<Device>> devices;
  for (const TestedDevice& tested : tested_devices()) {
    const bool is_wanted = tested.name == "cpu" || tested.name.ends_with(":vulkan");
    if (!is_wanted || !tested.refusal.empty()) continue;
    if (auto device = open_device(tested.name, 1)) devices.push_back(std::move(device).value());
  }
  return devices;
}

class Endurance {
 public:
  Result<void> load(const std::vector<std::unique_ptr<Device>>& devices) {
    TRY_ASSIGN(const Model model,
               import_onnx(std::string(LEAT_SOURCE_DIR) + "/examples/digits/digits.onnx"));
    NetworkOptions options;
    options.slots = 4;
    options.receipts = true;
    for (const std::unique_ptr<Device>& device : devices) {
      TRY_ASSIGN(auto network, Network::load(*device, model.graph, options));
      networks_.push_back(std::move(network));
      TRY_ASSIGN(Buffer words, device->allocate(2 * kBufferAlignment, MemoryKind::shared));
      words_.push_back(std::move(words));
    }
    for (size_t i = 0; i < kListsPerDevice * devices.size(); ++i) {
      const size_t d = i % devices.size();
      Queue& queue = devices[d]->queue();
      TRY(queue.begin_record());
      TRY(queue.copy({&words_[d], 0, 8}, {&words_[d], kBufferAlignment, 8}));
      TRY_ASSIGN(auto list, queue.end_record());
      lists_.push_back(std::move(list));
    }
    return {};
  }

  /// Both devices all the time, so that both are under load.
  Result<JugglerReport> run_for(double seconds) {
    std::vector<JugglerDevice> devices;
    for (const std::unique_ptr<Network>& network : networks_) {
      Network* const raw = network.get();
      devices.push_back(juggled_network(
          *raw,
          [raw](uint64_t item, size_t slot) -> Result<void> {
            const ExternalView view = raw->input_view(0, slot);
            std::fill_n(reinterpret_cast<float*>(view.host), element_count(view.shape),
                        static_cast<float>(item % 256));
            return {};
          },
          [raw, this](uint64_t item, size_t slot) -> Result<void> {
            const ExternalView view = raw->output_view(0, slot);
            const float score = *reinterpret_cast<const float*>(view.host);
            // The same input gives nearly the same score on every device; 1e-3 is far above what
            // the order of sums changes.
            std::atomic<float>& known = known_[item % 256];
            const float first = known.load();
            if (first < 0) known.store(score);
            if (first >= 0 && std::abs(first - score) > 1e-3f) wrong_.fetch_add(1);
            return {};
          }));
    }
    JugglerOptions options;
    options.host_threads = 2;
    options.plan.measures = false;
    const uint64_t end_ns = steady_now_ns() + static_cast<uint64_t>(seconds * 1e9);
    options.stops = [end_ns] { return steady_now_ns() >= end_ns; };
    return juggle(std::move(devices), uint64_t{1} << 40, options);
  }

  /// Small lists, each device's all in flight together, again and again.
  Result<void> replay_for(double seconds) {
    std::vector<FencePoint> ends(networks_.size());
    const uint64_t end_ns = steady_now_ns() + static_cast<uint64_t>(seconds * 1e9);
    while (steady_now_ns() < end_ns) {
      for (size_t i = 0; i < lists_.size(); ++i) {
        Queue& queue = networks_[i % ends.size()]->device().queue();
        TRY_ASSIGN(const uint64_t value, queue.replay(*lists_[i]));
        ends[i % ends.size()] = {&queue.fence(), value};
      }
      TRY_ASSIGN(const bool done, wait_all(ends, kHangTimeoutNs));
      if (!done) return Error(ErrorKind::device_lost, "A copy passed its deadline.");
    }
    return {};
  }

  uint64_t wrong() const { return wrong_.load(); }
  Endurance() {
    for (std::atomic<float>& score : known_) score = -1;
  }

 private:
  std::vector<std::unique_ptr<Network>> networks_;
  std::vector<Buffer> words_;                         // by device
  std::vector<std::unique_ptr<RecordedList>> lists_;  // the devices in turn
  std::array<std::atomic<float>, 256> known_;
  std::atomic<uint64_t> wrong_ = 0;
};

TEST(FlowEndurance, SlowStreamStaysFlat) {
  const std::vector<std::unique_ptr<Device>> devices = open_two();
  ASSERT_GE(devices.size(), 2u) << "The cpu and a vulkan device have to share the stream.";
  const auto seconds = static_cast<double>(env_count("LEAT_ENDURANCE_SECONDS", kSecondsDefault));
  Endurance endurance;
  ASSERT_OK(endurance.load(devices));
  Usage base, last;
  uint64_t items = 0;
  for (int segment = 0; segment < kSegments; ++segment) {
    const auto report = endurance.run_for(kStreamShare * seconds / kSegments);
    ASSERT_OK(report);
    ASSERT_OK(endurance.replay_for((1 - kStreamShare) * seconds / kSegments));
    EXPECT_EQ(report->errors, 0u);
    for (const JugglerDeviceReport& device : report->devices) {
      EXPECT_TRUE(device.lost.empty()) << device.name << ": " << device.lost;
      EXPECT_GT(device.items, 0u) << device.name;
    }
    items += report->delivered;
    last = usage_of(devices);
    if (segment + 1 == kSegmentsIgnored) base = last;
  }
  std::printf("%.0f s, %llu items; resident %.1f -> %.1f MiB, files %lld, threads %lld\n", seconds,
              static_cast<unsigned long long>(items),
              static_cast<double>(base.resident_bytes) / (1 << 20),
              static_cast<double>(last.resident_bytes) / (1 << 20),
              static_cast<long long>(last.files), static_cast<long long>(last.threads));
  EXPECT_EQ(endurance.wrong(), 0u);
  EXPECT_LE(last.resident_bytes - base.resident_bytes, kMemoryGrowthMax);
  EXPECT_EQ(last.files, base.files);
  EXPECT_EQ(last.threads, base.threads);
  EXPECT_EQ(last.descriptor_updates, base.descriptor_updates);
}

}  // namespace
}  // namespace leat
