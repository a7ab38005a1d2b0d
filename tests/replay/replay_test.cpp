// Process replay: ten networks are scheduled and lowered for the plain targets, and every kernel is
// compared with the golden list. A change that means to change no kernel leaves golden/ alone; one
// that does rewrites it with tools/replay, which prints what changed for its reviewer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "leat/lower/lower.h"
#include "leat/run/inspect.h"
#include "leat/schedule/kernel_key.h"
#include "leat/schedule/schedule.h"
#include "tests/replay/replay_networks.h"
#include "tests/replay/replay_record.h"

namespace leat::replay {

static void PrintTo(const ReplayNetwork& network, std::ostream* out) { *out << network.name; }

namespace {

constexpr size_t kGoldenBytesMax = size_t{4} << 20;

std::string golden_path(std::string_view network) {
  return std::string(LEAT_SOURCE_DIR "/tests/replay/golden/") + std::string(network) + ".txt";
}

/// LEAT_REPLAY_REWRITE=1, as tools/replay sets it.
bool should_rewrite() {
  const char* value = std::getenv("LEAT_REPLAY_REWRITE");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

Result<std::vector<TargetRecord>> record_all(const ReplayNetwork& network) {
  TRY_ASSIGN(const Graph graph, network.build());
  std::vector<TargetRecord> records;
  for (std::string_view name : replayed_targets()) {
    TRY_ASSIGN(const Target target, plain_target(name));
    TRY_ASSIGN(TargetRecord record, record(graph, target));
    records.push_back(std::move(record));
  }
  return records;
}

std::string difference_of(const std::vector<TargetRecord>& before,
                          const std::vector<TargetRecord>& after) {
  std::string text;
  for (size_t i = 0; i < after.size(); ++i) {
    text += difference(i < before.size() ? before[i] : TargetRecord{}, after[i]);
  }
  return text;
}

class Replay : public testing::TestWithParam<ReplayNetwork> {};

TEST_P(Replay, KernelsAreTheGoldenOnes) {
  const ReplayNetwork& network = GetParam();
  const auto after = record_all(network);
  ASSERT_TRUE(after) << after.error().message();
  const Result<std::string> golden = read_file(golden_path(network.name), kGoldenBytesMax);
  const auto before = from_text(golden ? *golden : "");
  const std::string change =
      before ? difference_of(*before, *after) : before.error().message() + "\n";
  if (should_rewrite()) {
    if (!change.empty()) std::printf("%s\n%s", std::string(network.name).c_str(), change.c_str());
    ASSERT_TRUE(write_file(golden_path(network.name), to_text(*after)));
    return;
  }
  EXPECT_TRUE(golden) << "no golden list; tools/replay writes it";
  EXPECT_EQ(change, "") << "tools/replay rewrites the list once the change is meant";
}

std::string test_name_of(const testing::TestParamInfo<ReplayNetwork>& info) {
  return std::string(info.param.name);
}

INSTANTIATE_TEST_SUITE_P(Networks, Replay,
                         testing::ValuesIn(replay_networks().begin(), replay_networks().end()),
                         test_name_of);

// The cache of kernels goes by steps' keys: those of other networks, too.
TEST(ReplayKeys, StepsOfEqualKeysHaveEqualTexts) {
  size_t shared = 0;
  for (std::string_view name : replayed_targets()) {
    const Target target = plain_target(name).value();
    std::map<std::pair<std::string, std::vector<int64_t>>, std::string> texts;
    for (const ReplayNetwork& network : replay_networks()) {
      const Schedule schedule = make_schedule(network.build().value(), target, {}).value();
      for (const Step& step : schedule.steps) {
        const StepKey key = step_key(schedule, step);
        const std::string text = lower(schedule, step, target).value().text;
        const auto [known, is_first] = texts.try_emplace({key.structure, key.numbers}, text);
        if (!is_first) ++shared;
        EXPECT_EQ(known->second, text) << schedule.graph.nodes[step.node].name << " on " << name;
      }
    }
  }
  EXPECT_GT(shared, 0u);
}

TargetRecord sample() {
  return {"sm_90",
          1,
          256,
          512,
          {{"a", "tile 1", "00", "11", 8, 64}, {"b", "tile 2", "22", "33", 8, 64}}};
}

TEST(ReplayRecord, ReadsBackAsItPrints) {
  const std::vector<TargetRecord> records = {sample(), sample()};
  const auto read = from_text(to_text(records));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, records);
  EXPECT_FALSE(from_text("target x\nkernels 2\n"));
}

TEST(ReplayRecord, DifferenceNamesEveryChange) {
  EXPECT_EQ(difference(sample(), sample()), "");
  TargetRecord after = sample();
  after.activations_bytes = 1024;
  after.kernels[0].text = "01";
  after.kernels[1].name = "c";
  const std::string text = difference(sample(), after);
  EXPECT_NE(text.find("bytes of activations: 512 -> 1024"), std::string::npos) << text;
  EXPECT_NE(text.find("a\n      the text as lowered changed"), std::string::npos) << text;
  EXPECT_NE(text.find("b is gone"), std::string::npos) << text;
  EXPECT_NE(text.find("c is new: tile 2"), std::string::npos) << text;
}

}  // namespace
}  // namespace leat::replay
