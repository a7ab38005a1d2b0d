// Text of the plan. Parameters print from one table of fields, by which they are read as well.
#include "leat/schedule/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "leat/base/printable.h"

namespace leat {

namespace {

/// One field, or two that print as "AxB".
template <typename Params>
struct Field {
  std::string_view name;
  uint32_t Params::*first;
  uint32_t Params::*second = nullptr;
};

constexpr Field<ContractionParams> kContractionFields[] = {
    {"lanes", &ContractionParams::lane_m, &ContractionParams::lane_n},
    {"fold", &ContractionParams::lane_fold},
    {"waves", &ContractionParams::waves_m, &ContractionParams::waves_n},
    {"regs", &ContractionParams::reg_m, &ContractionParams::reg_n},
    {"vec", &ContractionParams::vec_m, &ContractionParams::vec_n},
    {"k", &ContractionParams::k_step},
    {"stages", &ContractionParams::stages},
    {"split", &ContractionParams::split_k},
    {"last_adds", &ContractionParams::last_adds},
    {"group", &ContractionParams::group_m},
};
/// Behind the others, where dot products or matrix units are used.
constexpr Field<ContractionParams> kDotFields[] = {{"k_dot", &ContractionParams::k_dot}};
constexpr Field<ContractionParams> kUnitFields[] = {
    {"unit", &ContractionParams::unit_m, &ContractionParams::unit_n},
    {"unit_k", &ContractionParams::unit_k},
    {"unit_waves", &ContractionParams::unit_waves},
};
constexpr Field<MapReduceParams> kMapReduceFields[] = {
    {"waves", &MapReduceParams::waves},
    {"per_lane", &MapReduceParams::per_lane},
    {"lanes_reduce", &MapReduceParams::lanes_reduce},
    {"split", &MapReduceParams::split},
    {"unroll", &MapReduceParams::unroll},
};

constexpr Field<ProgramParams> kProgramFields[] = {{"lanes_row", &ProgramParams::lanes_row}};

template <typename Params, size_t count>
std::string print(const Params& params, const Field<Params> (&fields)[count]) {
  std::string text;
  for (const Field<Params>& field : fields) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " ", field.name, params.*field.first);
    if (field.second != nullptr) text += fmt::format("x{}", params.*field.second);
  }
  return text;
}

/// Takes `expected` from the front of the text.
bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

bool take(std::string_view& text, uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

/// Takes the fields from the front of the text; false when they do not stand there.
template <typename Params, size_t count>
bool take_fields(std::string_view& rest, Params& params, const Field<Params> (&fields)[count]) {
  bool good = true;
  for (const Field<Params>& field : fields) {
    if (&field != fields) good = good && take(rest, " ");
    good = good && take(rest, field.name) && take(rest, " ") && take(rest, params.*field.first);
    if (field.second == nullptr) continue;
    good = good && take(rest, "x") && take(rest, params.*field.second);
  }
  return good;
}

template <typename Params, size_t count>
Result<Params> parse(std::string_view text, const Field<Params> (&fields)[count]) {
  Params params;
  std::string_view rest = text;
  if (take_fields(rest, params, fields) && rest.empty()) return params;
  return Error(ErrorKind::invalid_argument,
               fmt::format("Kernel parameters (\"{}\") are not of the form \"{}\".", text,
                           print(Params{}, fields)));
}

std::string step_text(const Schedule& schedule, const Node& node, const KernelParams* params) {
  const Graph& graph = schedule.graph;
  std::string text = fmt::format("{}: {} ->", printable(node.name), node.op);
  for (const NodeResult& result : node.results) {
    text += " " + printable(graph.tensors[result.output].name);
  }
  text += " " + to_string(node.extents);
  if (const auto contraction = find_contraction(graph, node)) {
    text += fmt::format(" m{} n{} k{}", to_string(contraction->m), to_string(contraction->n),
                        to_string(contraction->k));
  } else if (!node.reduce.empty()) {
    text += fmt::format(" reduce{}", to_string(node.reduce));
  }
  if (params != nullptr) text += " " + to_string(*params);
  if (schedule.placements.empty()) return text + "\n";
  for (TensorId id : node.inputs) {
    const Placement& placement = schedule.placements[id];
    text +=
        fmt::format(" | {} {}{} @{}", printable(graph.tensors[id].name), name_of(placement.storage),
                    placement.packed ? " packed" : "", placement.offset_bytes);
  }
  return text + "\n";
}

}  // namespace

std::string to_string(const ContractionParams& params) {
  const std::string text = print(params, kContractionFields);
  if (params.k_dot > 1) return text + " " + print(params, kDotFields);
  return params.by_units() ? text + " " + print(params, kUnitFields) : text;
}
std::string to_string(const MapReduceParams& params) { return print(params, kMapReduceFields); }

std::string to_string(const ProgramParams& params) { return print(params, kProgramFields); }
std::string to_string(const KernelParams& params) {
  return std::visit([](const auto& p) { return to_string(p); }, params);
}

Result<ContractionParams> parse_contraction_params(std::string_view text) {
  const size_t end = std::min(text.find(" k_dot "), text.find(" unit "));
  TRY_ASSIGN(ContractionParams params, parse(text.substr(0, end), kContractionFields));
  if (end == std::string_view::npos) return params;
  std::string_view rest = text.substr(end + 1);
  const bool good = rest.starts_with("unit") ? take_fields(rest, params, kUnitFields)
                                             : take_fields(rest, params, kDotFields);
  if (good && rest.empty()) return params;
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("Kernel parameters (\"{}\") do not end with a form of \"{}\" or \"{}\".", text,
                  print(ContractionParams{}, kDotFields), print(ContractionParams{}, kUnitFields)));
}

Result<MapReduceParams> parse_map_reduce_params(std::string_view text) {
  return parse(text, kMapReduceFields);
}

Result<ProgramParams> parse_program_params(std::string_view text) {
  return parse(text, kProgramFields);
}

namespace {

// The larger of the two ways to pad: a pad for each row of k, or for each k of a row.
uint64_t unit_stages_bytes(const ContractionParams& p, uint64_t element_bytes) {
  const auto slab = [&](uint64_t rows) {
    return rows * p.k_step * element_bytes + std::max<uint64_t>(rows, p.k_step) * kUnitRowPadBytes;
  };
  return p.stages * (slab(p.tile_m()) + slab(p.tile_n()));
}

uint64_t unit_patch_bytes(const ContractionParams& p, uint64_t fragments) {
  return uint64_t{p.waves_m} * p.waves_n * p.unit_m * (fragments * p.unit_n + kUnitPatchPad) *
         sizeof(float);
}

}  // namespace

uint32_t unit_patch_fragments(const ContractionParams& p, int64_t element_bytes) {
  const uint64_t stages = unit_stages_bytes(p, static_cast<uint64_t>(element_bytes));
  uint32_t fragments = p.reg_n;
  while (fragments > 1 && (p.reg_n % fragments != 0 || fragments * p.unit_n % p.vec_n != 0 ||
                           stages + unit_patch_bytes(p, fragments) > kUnitLocalBytesWanted)) {
    --fragments;
  }
  return fragments;
}

uint64_t units_local_bytes(const ContractionParams& p, int64_t element_bytes, bool patches) {
  const auto bytes = static_cast<uint64_t>(element_bytes);
  if (p.unit_waves > 1) {
    return uint64_t{p.stages} * (p.tile_m() + p.tile_n()) * p.k_step * bytes + 2 * kUnitTileAlign;
  }
  const uint64_t patch_bytes =
      patches ? unit_patch_bytes(p, unit_patch_fragments(p, element_bytes)) : 0;
  return unit_stages_bytes(p, bytes) + patch_bytes;
}

int64_t packed_element_count(const Contraction& contraction, const ContractionParams& params) {
  const int64_t n = element_count(contraction.n);
  const int64_t columns = (n + params.tile_n() - 1) / params.tile_n() * params.tile_n();
  Shape k = contraction.k;
  if (params.k_dot > 1) k.back() = (k.back() + params.k_dot - 1) / params.k_dot * params.k_dot;
  return element_count(contraction.batch) * columns * element_count(k);
}

std::string to_string(const Schedule& schedule) {
  std::string text;
  for (const Step& step : schedule.steps) {
    text += step_text(schedule, schedule.graph.nodes[step.node], &step.params);
  }
  if (schedule.steps.empty()) {
    for (const Node& node : schedule.graph.nodes) text += step_text(schedule, node, nullptr);
  }
  const MemoryPlan& memory = schedule.memory;
  return text +
         fmt::format("weights {} bytes, activations {} bytes (lower bound {}), state {} bytes\n",
                     memory.weights_bytes, memory.activations_bytes, memory.lower_bound_bytes,
                     memory.state_bytes);
}

}  // namespace leat
