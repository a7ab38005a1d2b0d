// amd-capture-check: runs captures of GPU submissions on the emulated card and says what is wrong.
// --mutations turns each bit of packets and descriptors and each byte of code once, and tells what
// nobody noticed; --json writes that to a file too, --bit-stride takes every n-th bit of code.
// Exit status 0: all pass; 1: something failed; 2: a capture cannot be read.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/amd/amd_capture.h"
#include "tests/amd/amd_mutations.h"

namespace {

int check(const std::string& folder, const leat::amd_card::CaptureOptions& options) {
  const auto report = leat::amd_card::check_capture(folder, options);
  if (!report) {
    fmt::print(stderr, "{}: {}\n", folder, report.error().message());
    return 2;
  }
  for (const std::string& failure : report->failures) fmt::print("{}: {}\n", folder, failure);
  fmt::print("{}: {} ({} submissions, {} launches, {} fences, {} tensors, {} instructions)\n",
             folder, report->failures.empty() ? "passed" : "FAILED", report->submissions,
             report->launches, report->fences, report->tensors, report->instructions);
  return report->failures.empty() ? 0 : 1;
}

/// What became of the bits, as bench/results/ keeps it.
nlohmann::ordered_json json_of(const leat::amd_card::MutationReport& report) {
  nlohmann::ordered_json object = {{"shares", nlohmann::ordered_json::array()}};
  for (const leat::amd_card::MutationShare& share : report.shares) {
    object["shares"].push_back({{"what", share.what},
                                {"turned", share.turned},
                                {"caught", share.caught},
                                {"caught_percent", 100.0 * share.caught / share.turned}});
  }
  const leat::amd_card::MutationShare whole = leat::amd_card::whole_of(report);
  object["turned"] = whole.turned;
  object["caught"] = whole.caught;
  object["caught_percent"] = 100.0 * whole.caught / whole.turned;
  object["survivors"] = report.survivors;
  return object;
}

int mutate(const std::string& folder, const leat::amd_card::MutationStrides& strides,
           const std::string& file) {
  const auto report = leat::amd_card::mutate_capture(folder, strides);
  if (!report) {
    fmt::print(stderr, "{}: {}\n", folder, report.error().message());
    return 2;
  }
  for (const std::string& survivor : report->survivors) fmt::print("survives: {}\n", survivor);
  fmt::print("{}: {}\n", folder, leat::amd_card::summary_of(*report));
  if (!file.empty()) std::ofstream(file) << json_of(*report).dump(1) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  leat::amd_card::CaptureOptions options;
  bool mutates = false;
  leat::amd_card::MutationStrides strides;
  std::string file;
  int worst = 0, count = 0;
  for (int k = 1; k < argc; ++k) {
    const std::string word = argv[k];
    if (word == "--backward") {
      options.order = leat::amd_card::WaveOrder::backward;
    } else if (word == "--mixed" && k + 1 < argc) {
      options.order = leat::amd_card::WaveOrder::mixed;
      options.seed = std::strtoull(argv[++k], nullptr, 10);
    } else if (word == "--mutations") {
      mutates = true;
    } else if (word == "--bit-stride" && k + 1 < argc) {
      strides.code_bits = std::max(1u, uint32_t(std::strtoul(argv[++k], nullptr, 10)));
    } else if (word == "--json" && k + 1 < argc) {
      file = argv[++k];
    } else if (word.starts_with("--")) {
      count = 0;
      break;
    } else {
      ++count;
      worst = std::max(worst, mutates ? mutate(word, strides, file) : check(word, options));
    }
  }
  if (count == 0) {
    fmt::print(stderr,
               "usage: amd-capture-check [--backward | --mixed SEED | --mutations [--bit-stride "
               "N] [--json FILE]] "
               "DIR...\n");
    return 2;
  }
  return worst;
}
