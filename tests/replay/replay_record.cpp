// See replay_record.h.
#include "tests/replay/replay_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "leat/base/hash.h"
#include "leat/ir/text.h"
#include "leat/lower/lower.h"
#include "leat/schedule/schedule.h"

namespace leat::replay {

namespace {

constexpr std::string_view kTargets[] = {"x86-64-v3", "x86-64-v4", "aarch64", "vulkan",  "opengl",
                                         "sm_75",     "sm_80",     "sm_90",   "gfx1100", "wgsl"};

std::string hash_of_unnamed(ir::Program program) {
  program.name = "kernel";
  for (size_t i = 0; i < program.parameters.size(); ++i) {
    program.parameters[i].name = "p" + std::to_string(i);
  }
  Hasher hasher;
  hasher.add(ir::print_program(program));
  return hex_of(hasher.value());
}

ir::Program lower_family(const Schedule& schedule, const Node& node, const KernelParams& params,
                         const Target& target) {
  return node.family == Family::contraction
             ? lower_contraction(schedule, node, params.contraction, target)
             : lower_map_reduce(schedule, node, params.map_reduce, target);
}

uint64_t bytes_of(const Schedule& schedule, std::span<const TensorId> arguments) {
  uint64_t bytes = 0;
  for (TensorId id : std::set<TensorId>(arguments.begin(), arguments.end())) {
    bytes += schedule.placements[id].size_bytes();
  }
  return bytes;
}

}  // namespace

std::span<const std::string_view> replayed_targets() { return kTargets; }

Result<TargetRecord> record(const Graph& graph, const Target& target) {
  TRY_ASSIGN(const Schedule schedule, make_schedule(graph, target, {}));
  TargetRecord result;
  result.target = target.name;
  result.weights_bytes = schedule.memory.weights_bytes;
  result.activations_bytes = schedule.memory.activations_bytes;
  std::set<std::string> texts;
  for (const Step& step : schedule.steps) {
    const Node& node = schedule.graph.nodes[step.node];
    TRY_ASSIGN(LoweredKernel lowered, lower(schedule, step, target));
    KernelRecord kernel;
    kernel.name = node.name;
    kernel.params = to_string(step.params, node);
    kernel.text = hash_of_unnamed(lower_family(schedule, node, step.params, target));
    kernel.passed = hash_of_unnamed(std::move(lowered.program));
    kernel.flop = flop_count(schedule.graph, node);
    kernel.bytes = bytes_of(schedule, arguments_of(node));
    texts.insert(kernel.text);
    result.kernels.push_back(std::move(kernel));
  }
  result.distinct_kernels = texts.size();
  return result;
}

std::string to_text(std::span<const TargetRecord> records) {
  std::string text;
  for (const TargetRecord& r : records) {
    text +=
        fmt::format("target {}\nkernels {}\ndistinct {}\nweights {}\nactivations {}\n", r.target,
                    r.kernels.size(), r.distinct_kernels, r.weights_bytes, r.activations_bytes);
    for (const KernelRecord& k : r.kernels) {
      text += fmt::format("{}\n  {}\n  text {} passed {} flop {:.0f} bytes {}\n", k.name, k.params,
                          k.text, k.passed, k.flop, k.bytes);
    }
  }
  return text;
}

namespace {

/// Reads the text line by line; the first line that is not as expected ends it.
class RecordReader {
 public:
  explicit RecordReader(std::string_view text) : text_(text) {}

  Result<std::vector<TargetRecord>> read() {
    std::vector<TargetRecord> records;
    while (!text_.empty() && !failed_) records.push_back(read_target());
    if (!failed_) return records;
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Line ({}) of a replay's golden file is not as it is written.", line_));
  }

 private:
  std::string_view take_line() {
    ++line_;
    const size_t end = text_.find('\n');
    failed_ = failed_ || end == std::string_view::npos;
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(failed_ ? text_.size() : end + 1);
    return line;
  }

  /// What stands behind `word` in the line.
  std::string_view take_field(std::string_view word) {
    const std::string_view line = take_line();
    if (!line.starts_with(word)) failed_ = true;
    return failed_ ? std::string_view() : line.substr(word.size());
  }

  uint64_t number_of(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    failed_ = failed_ || error != std::errc() || end != text.data() + text.size();
    return value;
  }

  TargetRecord read_target() {
    TargetRecord record;
    record.target = take_field("target ");
    const uint64_t kernels = number_of(take_field("kernels "));
    record.distinct_kernels = number_of(take_field("distinct "));
    record.weights_bytes = number_of(take_field("weights "));
    record.activations_bytes = number_of(take_field("activations "));
    for (uint64_t i = 0; i < kernels && !failed_; ++i) record.kernels.push_back(read_kernel());
    return record;
  }

  KernelRecord read_kernel() {
    KernelRecord kernel;
    kernel.name = take_line();
    kernel.params = take_field("  ");
    std::vector<std::string_view> words;
    std::string_view line = take_field("  ");
    while (!line.empty()) {
      const size_t end = std::min(line.find(' '), line.size());
      words.push_back(line.substr(0, end));
      line.remove_prefix(std::min(end + 1, line.size()));
    }
    failed_ = failed_ || words.size() != 8;
    if (failed_) return kernel;
    kernel.text = words[1];
    kernel.passed = words[3];
    kernel.flop = static_cast<double>(number_of(words[5]));
    kernel.bytes = number_of(words[7]);
    return kernel;
  }

  std::string_view text_;
  uint64_t line_ = 0;
  bool failed_ = false;
};

std::string change_of(std::string_view what, const std::string& before, const std::string& after) {
  return before == after ? "" : fmt::format("\n      {}: {} -> {}", what, before, after);
}

std::string change_of(std::string_view what, uint64_t before, uint64_t after) {
  return change_of(what, std::to_string(before), std::to_string(after));
}

std::string change_of(const KernelRecord& before, const KernelRecord& after) {
  std::string text = change_of("params", before.params, after.params);
  if (before.text != after.text) text += "\n      the text as lowered changed";
  if (before.text == after.text && before.passed != after.passed) {
    text += "\n      the passes changed its text";
  }
  text += change_of("flop", static_cast<uint64_t>(before.flop), static_cast<uint64_t>(after.flop));
  return text + change_of("bytes", before.bytes, after.bytes);
}

const KernelRecord* find_kernel(const TargetRecord& record, const std::string& name) {
  const auto found = std::ranges::find(record.kernels, name, &KernelRecord::name);
  return found == record.kernels.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<TargetRecord>> from_text(std::string_view text) {
  return RecordReader(text).read();
}

std::string difference(const TargetRecord& before, const TargetRecord& after) {
  if (before == after) return "";
  std::string text =
      change_of("kernels", before.kernels.size(), after.kernels.size()) +
      change_of("distinct kernels", before.distinct_kernels, after.distinct_kernels) +
      change_of("bytes of weights", before.weights_bytes, after.weights_bytes) +
      change_of("bytes of activations", before.activations_bytes, after.activations_bytes);
  for (const KernelRecord& kernel : before.kernels) {
    const KernelRecord* now = find_kernel(after, kernel.name);
    const std::string change = now == nullptr ? " is gone" : change_of(kernel, *now);
    if (!change.empty()) text += "\n    " + kernel.name + change;
  }
  for (const KernelRecord& kernel : after.kernels) {
    if (find_kernel(before, kernel.name) != nullptr) continue;
    text += fmt::format("\n    {} is new: {}", kernel.name, kernel.params);
  }
  if (text.empty()) text = "\n    the order of the kernels changed";
  return fmt::format("  {}:{}\n", after.target, text);
}

}  // namespace leat::replay
