// A trace is JSON in the form that trace viewers read.
#include "leat/run/trace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "leat/device/spin.h"

namespace leat {
namespace {

TEST(Trace, NamesOfAnyBytesAreJson) {
  Trace trace;
  trace.add("a\xff\x1b", "b\n\u202e", "c\"\\", 0, 1);
  const std::string text = trace.json();
  EXPECT_FALSE(nlohmann::json::parse(text, nullptr, false).is_discarded()) << text;
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << text;
}

TEST(Trace, IsReadByAViewer) {
  Trace trace;
  const uint64_t now_ns = steady_now_ns();
  trace.add("gpu0:vulkan", "slot 0", "run \"x\"", now_ns, now_ns + 1500, 7);
  trace.add("gpu0:vulkan", "slot 1", "run", now_ns + 100, now_ns + 200);
  trace.mark("gpu0:vulkan", "fence", "seen", now_ns + 1500, 7);
  trace.add("host", "thread 0", "prepare", now_ns, now_ns + 10);
  EXPECT_EQ(trace.size(), 4u);
  const auto object = nlohmann::json::parse(trace.json());
  size_t spans = 0, moments = 0, names = 0;
  for (const auto& event : object["traceEvents"]) {
    const std::string kind = event["ph"];
    if (kind == "X") {
      ++spans;
      EXPECT_TRUE(event["ts"].is_number() && event["dur"].is_number());
      EXPECT_TRUE(event["pid"].is_number() && event["tid"].is_number());
    }
    moments += kind == "i";
    names += event["name"] == "process_name" || event["name"] == "thread_name";
  }
  EXPECT_EQ(spans, 3u);
  EXPECT_EQ(moments, 1u);
  EXPECT_EQ(names, 2u + 4u);
  EXPECT_EQ(object["traceEvents"].back()["args"]["dropped"], 0);
  for (const auto& event : object["traceEvents"]) {
    if (event["name"] != "run \"x\"") continue;
    EXPECT_DOUBLE_EQ(event["dur"], 1.5);
    EXPECT_EQ(event["args"]["item"], 7);
  }
}

}  // namespace
}  // namespace leat
