// See state_pairs.h.
#include "leat/run/state_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace leat {

namespace {

/// A name, or what stands before and behind its `*`.
struct Pattern {
  std::string_view before;
  std::string_view behind;
  bool has_star = false;
};

Pattern pattern_of(std::string_view text) {
  const size_t star = text.find('*');
  if (star == std::string_view::npos) return {text, {}, false};
  return {text.substr(0, star), text.substr(star + 1), true};
}

/// What the `*` stands for, where the name fits.
std::optional<std::string_view> match(const Pattern& pattern, std::string_view name) {
  if (!pattern.has_star) {
    return name == pattern.before ? std::optional(std::string_view()) : std::nullopt;
  }
  const size_t fixed = pattern.before.size() + pattern.behind.size();
  if (name.size() < fixed || !name.starts_with(pattern.before) || !name.ends_with(pattern.behind)) {
    return std::nullopt;
  }
  return name.substr(pattern.before.size(), name.size() - fixed);
}

std::string names_of(const std::vector<ModelValue>& values) {
  std::string text;
  for (const ModelValue& value : values) text += (text.empty() ? "\"" : ", \"") + value.name + "\"";
  return text;
}

Result<std::vector<StatePair>> pairs_of(std::string_view output, std::string_view input,
                                        const Model& model) {
  const Pattern from = pattern_of(output);
  const Pattern to = pattern_of(input);
  std::vector<StatePair> pairs;
  for (size_t o = 0; o < model.outputs.size(); ++o) {
    const auto star = match(from, model.outputs[o].name);
    if (!star) continue;
    const std::string name =
        to.has_star ? fmt::format("{}{}{}", to.before, *star, to.behind) : std::string(input);
    const auto found = std::ranges::find(model.inputs, name, &ModelValue::name);
    if (found == model.inputs.end()) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("State \"{}={}\": the model has no input \"{}\"; it has ({}).",
                               output, input, name, names_of(model.inputs)));
    }
    pairs.push_back({o, static_cast<size_t>(found - model.inputs.begin())});
  }
  if (!pairs.empty()) return pairs;
  return Error(ErrorKind::invalid_argument,
               fmt::format("State \"{}={}\": the model has no such output; it has ({}).", output,
                           input, names_of(model.outputs)));
}

}  // namespace

// Names may have equals signs: the first one is taken that makes names of the model of both sides.
Result<std::vector<StatePair>> match_states(std::span<const std::string> texts,
                                            const Model& model) {
  std::vector<StatePair> all;
  for (const std::string& text : texts) {
    const std::string_view view = text;
    std::optional<Result<std::vector<StatePair>>> pairs;
    for (size_t at = view.find('='); at != std::string_view::npos; at = view.find('=', at + 1)) {
      Result<std::vector<StatePair>> now = pairs_of(view.substr(0, at), view.substr(at + 1), model);
      const bool is_good = now.has_value();
      if (!pairs || is_good) pairs = std::move(now);
      if (is_good) break;
    }
    const bool has_stars_alike = std::ranges::count(text, '*') % 2 == 0;
    if (!pairs || !has_stars_alike || std::ranges::count(text, '*') > 2) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("State \"{}\" is not of the form OUT=IN, or with one * on each side.", text));
    }
    TRY(*pairs);
    all.insert(all.end(), (*pairs)->begin(), (*pairs)->end());
  }
  return all;
}

bool leaves_nothing(const Model& model, std::span<const StatePair> states,
                    std::span<const std::optional<Shape>> given) {
  const auto is_empty = [](const Shape& shape) { return std::ranges::count(shape, 0) > 0; };
  const bool gives_nothing = std::ranges::any_of(
      given, [&](const std::optional<Shape>& shape) { return shape && is_empty(*shape); });
  if (gives_nothing) return false;
  for (size_t i = 0; i < model.outputs.size(); ++i) {
    const auto pair = std::ranges::find(states, i, &StatePair::output);
    const bool is_told = pair != states.end() && given[pair->input];
    if (!is_told && is_empty(model.outputs[i].shape)) return true;
  }
  return false;
}

}  // namespace leat
