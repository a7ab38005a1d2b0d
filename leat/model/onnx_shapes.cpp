// See onnx_shapes.h.
#include "leat/model/onnx_shapes.h"

#include <algorithm>
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

class FirstShapes {
 public:
  FirstShapes(std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs)
      : file_(std::move(file)), declared_(declared_of(*file_, inputs)) {}

  ShapeSets operator()(std::span<const std::optional<Shape>> shapes) const {
    std::map<std::string, int64_t> named;
    for (size_t i = 0; i < shapes.size(); ++i) {
      const std::vector<DeclaredInput::Extent>& extents = declared_[i]->extents;
      if (!shapes[i] || extents.size() != shapes[i]->size()) continue;
      for (size_t d = 0; d < extents.size(); ++d) {
        if (!extents[d].symbol.empty()) named.emplace(extents[d].symbol, (*shapes[i])[d]);
      }
    }
    ShapeSets sets;
    for (const int64_t unknown : {0, 1}) {
      std::vector<Shape> set;
      for (size_t i = 0; i < shapes.size(); ++i) {
        set.push_back(shapes[i] ? *shapes[i] : shape_of(*declared_[i], named, unknown));
      }
      if (sets.empty() || sets[0] != set) sets.push_back(std::move(set));
    }
    return sets;
  }

 private:
  static Shape shape_of(const DeclaredInput& input, const std::map<std::string, int64_t>& named,
                        int64_t unknown) {
    Shape shape;
    for (const DeclaredInput::Extent& extent : input.extents) {
      const auto known = named.find(extent.symbol);
      const int64_t open = known == named.end() ? unknown : known->second;
      shape.push_back(extent.is_open ? open : extent.value);
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
