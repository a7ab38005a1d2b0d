// See onnx_shapes.h.
#include "leat/model/onnx_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <ranges>
#include <string>
#include <utility>

namespace leat {

namespace {

using ShapeSets = std::vector<std::vector<Shape>>;

/// As the file declares them.
std::vector<const DeclaredInput*> declared_of(const OnnxModel& file,
                                              const std::vector<ModelValue>& inputs) {
  std::vector<const DeclaredInput*> declared;
  for (const ModelValue& input : inputs) {
    auto found = std::ranges::find(file.inputs(), input.name, &DeclaredInput::name);
    if (found == file.inputs().end()) {
      found = std::ranges::find(file.default_inputs(), input.name, &DeclaredInput::name);
    }
    declared.push_back(&*found);
  }
  return declared;
}

/// Extents that the file leaves open and that are not 1 are larger, all by the same number, so that
/// what is a sum of others stays one; and, those of one name alike, by several, since a square is
/// treated as such. Halving such numbers some times, as networks do, changes them.
class Foresight {
 public:
  Foresight(std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs)
      : file_(std::move(file)), declared_(declared_of(*file_, inputs)) {}

  std::vector<ShapeSets> operator()(std::span<const Shape> shapes) const {
    std::vector<ShapeSets> groups;
    for (const int64_t more : {160, 32, 8, 1}) {
      ShapeSets sets = {grown(shapes, more, more)};
      if (std::ranges::equal(sets[0], shapes)) return {};
      if (grown(shapes, more, 0) != sets[0]) {
        sets.push_back(grown(shapes, more, 2 * more));
        sets.push_back(grown(shapes, 2 * more, more));
      }
      groups.push_back(std::move(sets));
    }
    return groups;
  }

 private:
  /// The first name's extents by `first`, the next one's by `second`, and so on.
  std::vector<Shape> grown(std::span<const Shape> shapes, int64_t first, int64_t second) const {
    std::vector<Shape> others(shapes.begin(), shapes.end());
    std::vector<std::string> symbols;
    for (size_t i = 0; i < others.size(); ++i) {
      for (size_t d = 0; d < others[i].size(); ++d) {
        const bool is_open = !declared_[i]->has_rank || declared_[i]->extents[d].is_open;
        if (!is_open || others[i][d] <= 1) continue;
        const std::string symbol = declared_[i]->has_rank ? declared_[i]->extents[d].symbol : "";
        const auto known = std::ranges::find(symbols, symbol);
        const auto place =
            symbol.empty() ? symbols.size() : static_cast<size_t>(known - symbols.begin());
        if (known == symbols.end() || symbol.empty()) symbols.push_back(symbol);
        others[i][d] += place % 2 == 0 ? first : second;
      }
    }
    return others;
  }

  std::shared_ptr<const OnnxModel> file_;
  std::vector<const DeclaredInput*> declared_;
};

/// Extents that nobody tells fall into groups, those of one name or on one axis, and each group is
/// 0 or another number: 1 or, such as a batch, that of an open extent which is told. Sets with more
/// zeros come first.
class FirstShapes {
 public:
  FirstShapes(std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs)
      : file_(std::move(file)), declared_(declared_of(*file_, inputs)) {}

  ShapeSets operator()(std::span<const std::optional<Shape>> shapes) const {
    std::map<std::string, int64_t> named;
    std::vector<int64_t> others = {1};
    for (size_t i = 0; i < shapes.size(); ++i) {
      const std::vector<DeclaredInput::Extent>& extents = declared_[i]->extents;
      if (!shapes[i] || extents.size() != shapes[i]->size()) continue;
      for (size_t d = 0; d < extents.size(); ++d) {
        const int64_t told = (*shapes[i])[d];
        if (!extents[d].symbol.empty()) named.emplace(extents[d].symbol, told);
        const bool is_other = extents[d].is_open && std::ranges::count(others, told) == 0;
        if (is_other && others.size() < kOthersMax) others.push_back(told);
      }
    }
    const std::vector<std::string> groups = groups_of(shapes, named);
    ShapeSets sets;
    for (const int64_t other : others) {
      for (const uint32_t chosen : by_count(groups.size())) {
        std::map<std::string, int64_t> extents = named;
        for (size_t g = 0; g < groups.size(); ++g) {
          extents.emplace(groups[g], (chosen >> g & 1) != 0 ? other : 0);
        }
        std::vector<Shape> set;
        for (size_t i = 0; i < shapes.size(); ++i) {
          set.push_back(shapes[i] ? *shapes[i] : shape_of(*declared_[i], extents, other));
        }
        if (std::ranges::count(sets, set) == 0) sets.push_back(std::move(set));
      }
    }
    return sets;
  }

 private:
  static constexpr size_t kOthersMax = 3;
  static constexpr size_t kGroupsMax = 3;  // each set may be an import of the model

  /// No symbol is a number alone with a `#` before it, as files have them.
  static std::string group_of(const DeclaredInput& input, size_t axis) {
    const std::string& symbol = input.extents[axis].symbol;
    return symbol.empty() ? fmt::format("#{}", axis) : symbol;
  }

  std::vector<std::string> groups_of(std::span<const std::optional<Shape>> shapes,
                                     const std::map<std::string, int64_t>& named) const {
    std::vector<std::string> groups;
    for (size_t i = 0; i < shapes.size(); ++i) {
      for (size_t d = 0; !shapes[i] && d < declared_[i]->extents.size(); ++d) {
        const std::string group = group_of(*declared_[i], d);
        const bool is_first = declared_[i]->extents[d].is_open && !named.contains(group) &&
                              std::ranges::count(groups, group) == 0;
        if (is_first && groups.size() < kGroupsMax) groups.push_back(group);
      }
    }
    return groups;
  }

  /// All sets of so many, as bits, smaller ones first.
  static std::vector<uint32_t> by_count(size_t count) {
    std::vector<uint32_t> sets;
    for (uint32_t set = 0; set < 1U << count; ++set) sets.push_back(set);
    std::ranges::stable_sort(sets, {}, [](uint32_t set) { return std::popcount(set); });
    return sets;
  }

  /// `rest`: of groups beyond the most.
  static Shape shape_of(const DeclaredInput& input, const std::map<std::string, int64_t>& extents,
                        int64_t rest) {
    Shape shape;
    for (size_t d = 0; d < input.extents.size(); ++d) {
      const auto known = extents.find(group_of(input, d));
      const int64_t open = known == extents.end() ? rest : known->second;
      shape.push_back(input.extents[d].is_open ? open : input.extents[d].value);
    }
    return shape;
  }

  std::shared_ptr<const OnnxModel> file_;
  std::vector<const DeclaredInput*> declared_;
};

}  // namespace

std::function<Result<Model>(std::span<const Shape> shapes)> specialiser(
    std::shared_ptr<const OnnxModel> file, ImportOptions known,
    const std::vector<ModelValue>& inputs) {
  std::vector<std::string> names;
  for (const ModelValue& input : inputs) names.push_back(input.name);
  return [file = std::move(file), known = std::move(known),
          names = std::move(names)](std::span<const Shape> shapes) {
    ImportOptions options = known;
    for (size_t i = 0; i < names.size(); ++i) options.input_shapes[names[i]] = shapes[i];
    return file->specialised(options);
  };
}

bool leaves_shapes_open(const OnnxModel& file, const ImportOptions& known) {
  if (!known.input_values.empty()) return false;  // which inputs are left, the import says
  return std::ranges::any_of(file.inputs(), [&](const DeclaredInput& input) {
    if (known.input_shapes.contains(input.name)) return false;
    const auto inner = std::views::drop(input.extents, 1);
    return !input.has_rank || std::ranges::any_of(inner, &DeclaredInput::Extent::is_open);
  });
}

std::function<std::vector<ShapeSets>(std::span<const Shape> shapes)> foresight(
    std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs) {
  return Foresight(std::move(file), inputs);
}

std::function<ShapeSets(std::span<const std::optional<Shape>> shapes)> first_shapes(
    std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs) {
  return FirstShapes(std::move(file), inputs);
}

}  // namespace leat
