// Reports of owners that lie in bench/results/ are whole and unchanged, and say on what they ran.
#include "bench/report_format.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "leat/base/files.h"
#include "leat/base/output_file.h"

namespace leat::cli {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr size_t kBytesMax = size_t{64} << 20;

TEST(ReportFormat, ReportsOfTheTreeAreWhole) {
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::path(LEAT_SOURCE_DIR) / "bench/results")) {
    if (entry.path().extension() != ".json") continue;
    const Result<std::string> text = read_file(entry.path().string(), kBytesMax);
    ASSERT_TRUE(text.has_value()) << text.error().message();
    const Json object = Json::parse(*text, nullptr, false);
    EXPECT_FALSE(object.is_discarded()) << entry.path();
    if (!is_report(object)) continue;
    const Result<void> checked = check_report(entry.path().string());
    EXPECT_TRUE(checked.has_value()) << checked.error().message();
  }
}

TEST(ReportFormat, WhatIsMissingIsNamed) {
  const std::string file = (fs::temp_directory_path() / "leat-report-format.json").string();
  Json report = {{"kind", kReportKind}, {"format", kReportFormat}, {"leat", "1"}};
  for (const char* key : {"device", "chip", "route", "driver", "commit", "host", "date"}) {
    report[key] = "x";
  }
  report["results"] = Json::array({{{"name", "self_test"}, {"device", "x"}, {"status", "passed"}}});
  const auto error_of = [&](Json changed, bool is_signed = true) -> std::string {
    if (is_signed) changed["digest"] = report_digest(changed);
    EXPECT_TRUE(write_file(file, changed.dump()));
    const Result<void> checked = check_report(file);
    return checked ? "" : checked.error().message();
  };
  const auto names = [&](const Json& changed, const char* part) {
    const std::string error = error_of(changed);
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  EXPECT_EQ(error_of(report), "");
  EXPECT_NE(error_of(report, false).find("lacks \"digest\""), std::string::npos);
  Json changed = report;
  changed["kind"] = "other";
  names(changed, "no report");
  changed = report;
  changed["format"] = 2;
  names(changed, "format");
  changed = report;
  changed.erase("driver");
  names(changed, "lacks \"driver\"");
  changed["refusal"] = "It does not open.";
  EXPECT_EQ(error_of(changed), "") << "what does not open has no driver";
  changed = report;
  changed["results"] = Json::array();
  names(changed, "no results");
  changed = report;
  changed["results"][0]["name"] = "magic";
  names(changed, "none: ");
  changed["results"][0]["name"] = "latency";
  names(changed, "without its object");
  changed = report;
  changed["results"][0]["status"] = "failed";
  names(changed, "without its reason");
  fs::remove(file);
}

}  // namespace
}  // namespace leat::cli
