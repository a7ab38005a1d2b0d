// See run_stream.h. Ctrl-C ends the program between two files (interrupt.h).
#include "cli/run_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "leat/report/measured_run.h"

namespace leat::cli {

namespace {

constexpr size_t kFailuresShown = 5;

/// `errors`: how many pictures have no result, the first of which say why.
void print_failures(std::span<const PictureFailure> failures, uint64_t errors,
                    const JsonTarget& json) {
  const auto shown = failures.first(std::min(failures.size(), kFailuresShown));
  for (const PictureFailure& failure : shown) say_line(failure.error);
  if (errors <= shown.size()) return;
  say_line(fmt::format("({}) more pictures have no result; {}.", errors - shown.size(),
                       !json.wanted()     ? "--json names them"
                       : json.to_stdout() ? "the JSON object names them"
                                          : "\"" + json.path + "\" names them"));
}

nlohmann::ordered_json failures_json(std::span<const PictureFailure> failures) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PictureFailure& failure : failures) {
    list.push_back({{"picture", failure.picture}, {"error", failure.error}});
  }
  return list;
}

}  // namespace

std::vector<std::string> split_specs(const std::string& specs) {
  std::vector<std::string> list;
  std::istringstream stream(specs);
  for (std::string spec; std::getline(stream, spec, ',');) {
    if (!spec.empty()) list.push_back(spec);
  }
  return list;
}

Result<int> run_stream(StreamOptions options, const std::string& trace_path,
                       const JsonTarget& json) {
  TRY(check_files(json, {trace_path}));
  Progress progress;
  progress.show("compiling " + options.model);
  Trace trace;
  if (!trace_path.empty()) options.trace = &trace;
  TRY_ASSIGN(const std::unique_ptr<PictureStream> stream, PictureStream::open(options));
  TRY(stream->check_files({trace_path, json.to_stdout() ? "" : json.path}));
  for (size_t i = 0; !trace_path.empty() && i < stream->device_count(); ++i) {
    TRY(trace_kernels(stream->network(i), trace));
  }
  TRY_ASSIGN(const JugglerReport report, stream->juggled([&](const JugglerProgress& now) {
    progress.show(progress_bar(now.delivered, now.count, now.rate));
  }));
  progress.clear();
  print_failures(stream->failures(), report.errors, json);
  if (!trace_path.empty()) TRY(write_whole_file(trace_path, trace.json()));
  if (json.wanted()) {
    nlohmann::ordered_json object;
    object["model"] = options.model;
    object["host_threads"] = stream->host_threads();
    object["stream"] = json_of(report);
    object["failures"] = failures_json(stream->failures());
    object["failures_not_listed"] = report.errors - stream->failures().size();
    object["copied_bytes"] = copies_json(stream->copies());
    TRY(write_json(json, object));
  }
  if (!json.to_stdout()) {
    print_text(fmt::format("{}copied    {}\n", text_of(report), copies_text(stream->copies())));
  }
  return report.errors == 0 ? 0 : 1;
}

}  // namespace leat::cli
