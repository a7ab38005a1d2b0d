// See inspection.h.
#include "leat/report/inspection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "leat/base/printable.h"
#include "leat/report/comparison_charts.h"
#include "leat/run/inspect.h"
#include "leat/schedule/schedule.h"

namespace leat {

namespace {

using Json = nlohmann::ordered_json;

constexpr char kPlanTarget[] = "x86-64-v3";
constexpr size_t kShownBytesMax = 160;  // of a name in a table

/// The plan's own error is one more problem.
void add_plan(Inspection& inspection) {
  const Graph& graph = inspection.survey.model->graph;
  for (const Node& node : graph.nodes) inspection.gflop += flop_count(node) * 1e-9;
  const Result<Target> target = plain_target(kPlanTarget);
  if (!target) return;
  const Result<Schedule> schedule = make_schedule(graph, *target, {});
  if (!schedule) {
    inspection.survey.problems.push_back(
        {schedule.error().kind(), schedule.error().message(), "", "", 1});
    ++inspection.survey.problem_count;
    return;
  }
  InspectedPlan plan;
  plan.target = kPlanTarget;
  for (const Step& step : schedule->steps) {
    plan.gflop += flop_count(schedule->graph.nodes[step.node]) * 1e-9;
  }
  plan.kernels = static_cast<int64_t>(schedule->steps.size());
  plan.weights_bytes = static_cast<double>(schedule->memory.weights_bytes);
  plan.activations_bytes = static_cast<double>(schedule->memory.activations_bytes);
  plan.lower_bound_bytes = static_cast<double>(schedule->memory.lower_bound_bytes);
  inspection.plan = plan;
}

std::string shown(const std::string& name) { return printable(name, kShownBytesMax); }

/// "f32 (N, 3, 224, 224)".
std::string type_of(const SurveyedValue& value) {
  if (value.type == "?") return "of a type that the file does not tell";
  if (!value.has_rank) return value.type + " of any shape";
  return fmt::format("{} ({})", value.type, shown(fmt::format("{}", fmt::join(value.dims, ", "))));
}

std::string values_text(const char* kind, const std::vector<SurveyedValue>& values) {
  std::string text;
  for (const SurveyedValue& value : values) {
    text += fmt::format("{:<10}{}  {}{}\n", kind, shown(value.name), type_of(value),
                        value.has_default ? ", has a default" : "");
  }
  return text;
}

std::string opsets_text(const ModelSurvey& survey) {
  std::vector<std::string> texts;
  for (const auto& [domain, version] : survey.opsets) {
    texts.push_back(fmt::format("{} {}", domain.empty() ? "ai.onnx" : shown(domain), version));
  }
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}

std::string weights_text(const SurveyedWeights& weights) {
  std::vector<std::string> types;
  for (const auto& [type, count] : weights.types)
    types.push_back(fmt::format("{} {}", count, type));
  std::string text = fmt::format("weights   {} tensors, {:.0f} parameters, {}", weights.tensors,
                                 weights.elements, size_text(weights.bytes));
  if (!types.empty()) text += fmt::format(" ({})", fmt::join(types, ", "));
  for (const auto& [file, is_there] : weights.external_files) {
    text += fmt::format("\n          {} in \"{}\"{}",
                        weights.external_files.size() == 1
                            ? fmt::format("{} of them", weights.external_tensors)
                            : "some of them",
                        shown(file), is_there ? "" : ", which cannot be read");
  }
  return text + "\n";
}

std::string operators_text(const ModelSurvey& survey) {
  std::string text = "\n  count  operator\n";
  for (const SurveyedOperator& row : survey.operators) {
    text += fmt::format("{:7}  {}{}{}\n", row.count, shown(row.name),
                        row.domain.empty() ? "" : " of " + shown(row.domain),
                        row.is_function    ? ", a function of the file"
                        : row.is_supported ? ""
                                           : "  MISSING");
  }
  return text;
}

std::string problems_text(const ModelSurvey& survey) {
  if (survey.problems.empty() && survey.passed_over == 0) return "\nNothing is missing.\n";
  if (survey.problems.empty()) {
    return fmt::format(
        "\nNo operator is missing. Of nodes behind values that only a run tells ({}), no more is "
        "known.\n",
        survey.passed_over);
  }
  std::string text = fmt::format("\nIn the way ({}):\n", survey.problem_count);
  for (const ModelProblem& problem : survey.problems) {
    text += fmt::format("{:7}  {}", problem.count, printable(problem.sentence));
    if (!problem.op.empty()) {
      text += fmt::format(" ({}, {} \"{}\")", shown(problem.op),
                          problem.count > 1 ? "first at" : "at", shown(problem.node));
    }
    text += "\n";
  }
  if (survey.passed_over > 0) {
    text += fmt::format(
        "{:7}  nodes behind these, or behind values that only a run tells, of which only the "
        "operator "
        "was looked at\n",
        survey.passed_over);
  }
  return text;
}

/// A number, or the name of an open extent.
Json dim_json(const std::string& dim) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(dim.data(), dim.data() + dim.size(), number);
  const bool is_number = error == std::errc() && end == dim.data() + dim.size();
  return is_number ? Json(number) : Json(dim);
}

Json values_json(const std::vector<SurveyedValue>& values) {
  Json list = Json::array();
  for (const SurveyedValue& value : values) {
    Json entry = {{"name", value.name}, {"type", value.type}};
    entry["shape"] = nullptr;
    if (value.has_rank) entry["shape"] = Json::array();
    for (const std::string& dim : value.dims) entry["shape"].push_back(dim_json(dim));
    if (value.has_default) entry["has_default"] = true;
    list.push_back(std::move(entry));
  }
  return list;
}

Json weights_json(const SurveyedWeights& weights) {
  Json object = {{"tensors", weights.tensors},
                 {"parameters", weights.elements},
                 {"bytes", weights.bytes},
                 {"types", Json::object()},
                 {"external_tensors", weights.external_tensors},
                 {"external_files", Json::array()}};
  for (const auto& [type, count] : weights.types) object["types"][type] = count;
  for (const auto& [file, is_there] : weights.external_files) {
    object["external_files"].push_back({{"location", file}, {"readable", is_there}});
  }
  return object;
}

Json problems_json(const ModelSurvey& survey) {
  Json list = Json::array();
  for (const ModelProblem& problem : survey.problems) {
    list.push_back({{"kind", name_of(problem.kind)},
                    {"sentence", problem.sentence},
                    {"op", problem.op},
                    {"node", problem.node},
                    {"count", problem.count}});
  }
  return list;
}

}  // namespace

Result<Inspection> inspect_model(const std::string& path) {
  Inspection inspection;
  inspection.path = path;
  TRY_ASSIGN(inspection.survey, survey_onnx(path));
  if (inspection.survey.model) add_plan(inspection);
  return inspection;
}

std::string text_of(const Inspection& inspection) {
  const ModelSurvey& survey = inspection.survey;
  std::string text = fmt::format("model     {} ({}), {}\nmade by   {}; IR version {}; opset {}\n",
                                 shown(survey.name), shown(inspection.path),
                                 size_text(static_cast<double>(survey.file_bytes)),
                                 survey.producer.empty() ? "nobody named" : shown(survey.producer),
                                 survey.ir_version, opsets_text(survey));
  text += values_text("input", survey.inputs) + values_text("output", survey.outputs);
  text += weights_text(survey.weights);
  text += fmt::format("nodes     {}", survey.nodes);
  if (survey.function_nodes > 0) text += fmt::format(", {} in functions", survey.function_nodes);
  text += "\n";
  if (survey.model) {
    text += fmt::format("computes  {} GFLOP a run, with 1 for open extents\n",
                        short_number(inspection.gflop));
  }
  if (inspection.plan) {
    text += fmt::format(
        "memory    {} of weights, {} of activations (at least {}), {} kernels, as "
        "planned for {}\n",
        size_text(inspection.plan->weights_bytes), size_text(inspection.plan->activations_bytes),
        size_text(inspection.plan->lower_bound_bytes), inspection.plan->kernels,
        inspection.plan->target);
  }
  return text + operators_text(survey) + problems_text(survey);
}

Json json_of(const Inspection& inspection) {
  const ModelSurvey& survey = inspection.survey;
  Json object = {{"model", inspection.path},        {"name", survey.name},
                 {"file_bytes", survey.file_bytes}, {"producer", survey.producer},
                 {"ir_version", survey.ir_version}, {"opsets", Json::object()}};
  for (const auto& [domain, version] : survey.opsets) {
    object["opsets"][domain.empty() ? "ai.onnx" : domain] = version;
  }
  object["inputs"] = values_json(survey.inputs);
  object["outputs"] = values_json(survey.outputs);
  object["weights"] = weights_json(survey.weights);
  object["nodes"] = survey.nodes;
  object["function_nodes"] = survey.function_nodes;
  object["operators"] = Json::array();
  for (const SurveyedOperator& row : survey.operators) {
    object["operators"].push_back({{"name", row.name},
                                   {"domain", row.domain.empty() ? "ai.onnx" : row.domain},
                                   {"count", row.count},
                                   {"supported", row.is_supported},
                                   {"function", row.is_function}});
  }
  object["runs"] = survey.problems.empty();
  object["in_parts"] = survey.is_in_parts;
  object["problems"] = problems_json(survey);
  object["problem_count"] = survey.problem_count;
  object["passed_over"] = survey.passed_over;
  object["gflop"] = survey.model ? Json(inspection.gflop) : Json(nullptr);
  object["plan"] = nullptr;
  if (const auto& plan = inspection.plan) {
    object["plan"] = {{"target", plan->target},
                      {"kernels", plan->kernels},
                      {"gflop", plan->gflop},
                      {"weights_bytes", plan->weights_bytes},
                      {"activations_bytes", plan->activations_bytes},
                      {"lower_bound_bytes", plan->lower_bound_bytes}};
  }
  return object;
}

}  // namespace leat
