// The decision table on made-up facts, and the probe on the null device, whose memory is the
// host's.
#include "leat/run/memory_probe.h"

#include <gtest/gtest.h>

#include "leat/backend/backends.h"

namespace leat {
namespace {

const MemoryDecision& row_of(const std::vector<MemoryDecision>& rows, const std::string& what) {
  for (const MemoryDecision& row : rows) {
    if (row.what == what) return row;
  }
  ADD_FAILURE() << "There is no row " << what;
  return rows.front();
}

TEST(MemoryDecision, FollowsTheModel) {
  MemoryProbe probe;
  probe.host_writes_shared = probe.host_writes_device = 10;
  probe.host_writes_window = 10;
  probe.copy_in = 20;
  MemoryFacts facts;
  facts.model = MemoryModel::unified;
  EXPECT_EQ(row_of(decide_memory(facts, probe), "inputs").place, "shared, in place");
  facts.model = MemoryModel::discrete_window;
  EXPECT_NE(row_of(decide_memory(facts, probe), "inputs").place.find("window"), std::string::npos);
  facts.model = MemoryModel::discrete;
  EXPECT_NE(row_of(decide_memory(facts, probe), "inputs").place.find("bus"), std::string::npos);
}

MemoryFacts facts_of(MemoryModel model) {
  MemoryFacts facts;
  facts.model = model;
  return facts;
}

bool is_verified(MemoryModel model, const MemoryProbe& probe, const std::string& what) {
  return row_of(decide_memory(facts_of(model), probe), what).is_verified;
}

// Each row of each model is borne out by one probe and contradicted by another.
TEST(MemoryDecision, TheProbeMayContradictOneMemory) {
  constexpr auto kModel = MemoryModel::unified;
  MemoryProbe probe;
  probe.host_writes_shared = probe.host_writes_device = probe.host_reads_shared = 10;
  for (const char* what : {"weights, activations", "inputs", "outputs"}) {
    EXPECT_TRUE(is_verified(kModel, probe, what)) << what;
  }
  probe.host_writes_device = 0;  // it claims one memory, but the host cannot write it
  EXPECT_FALSE(is_verified(kModel, probe, "weights, activations"));
  probe.host_writes_device = 100;  // nor is it one when the host's side is much slower
  EXPECT_FALSE(is_verified(kModel, probe, "inputs"));
  probe.host_reads_shared = 0.2;
  EXPECT_FALSE(is_verified(kModel, probe, "outputs"));
}

TEST(MemoryDecision, TheProbeMayContradictAWindow) {
  constexpr auto kModel = MemoryModel::discrete_window;
  MemoryProbe probe;
  probe.host_writes_shared = probe.host_reads_shared = 10;
  probe.copy_in = 20;
  probe.copy_inside = 500;
  probe.host_writes_window = 8;
  for (const char* what : {"weights, activations", "inputs", "outputs"}) {
    EXPECT_TRUE(is_verified(kModel, probe, what)) << what;
  }
  probe.host_writes_window = 0.1;
  EXPECT_FALSE(is_verified(kModel, probe, "inputs"));
  probe.copy_inside = 5;  // "own memory" slower than the bus
  EXPECT_FALSE(is_verified(kModel, probe, "weights, activations"));
  probe.host_reads_shared = 0.2;
  EXPECT_FALSE(is_verified(kModel, probe, "outputs"));
}

TEST(MemoryDecision, TheProbeMayContradictWhatTheHostDoesNotReach) {
  constexpr auto kModel = MemoryModel::discrete;
  MemoryProbe probe;
  probe.host_writes_shared = 10;
  EXPECT_TRUE(is_verified(kModel, probe, "inputs"));
  probe.host_writes_device = 3;  // the host reaches it all the same
  EXPECT_FALSE(is_verified(kModel, probe, "inputs"));
}

TEST(MemoryProbe, MeasuresWhatIsThere) {
  const auto device = open_device("null", 0);
  ASSERT_TRUE(device.has_value());
  const auto probe = probe_memory(**device);
  ASSERT_TRUE(probe.has_value()) << probe.error().message();
  EXPECT_GT(probe->host_writes_shared, 0);
  EXPECT_GT(probe->host_reads_shared, 0);
  EXPECT_GT(probe->copy_in, 0);
  EXPECT_GT(probe->copy_out, 0);
  EXPECT_GT(probe->copy_inside, 0);
  EXPECT_EQ(probe->host_writes_window, 0);
  for (const MemoryDecision& row : decide_memory((*device)->memory_facts(), *probe)) {
    EXPECT_FALSE(row.place.empty());
    EXPECT_FALSE(row.reason.empty());
  }
}

TEST(CopyCounts, WeightsAreNotOnTheHotPath) {
  CopyCounts counts;
  counts[CopyCause::weights] = 1000;
  EXPECT_EQ(counts.hot_bytes(), 0u);
  counts[CopyCause::input_staged] = 5;
  counts[CopyCause::output_tensor] = 7;
  EXPECT_EQ(counts.hot_bytes(), 12u);
  EXPECT_EQ(counts.staged_bytes(), 5u);
}

}  // namespace
}  // namespace leat
