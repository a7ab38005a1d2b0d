// See shape_option.h.
#include "cli/shape_option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "cli/trust_option.h"
#include "leat/base/printable.h"
#include "leat/model/onnx_import.h"

namespace leat::cli {

namespace {

/// "1,3,48,320"; none, where it is not that.
std::optional<Shape> parse_shape(std::string_view text) {
  Shape shape;
  while (true) {
    int64_t extent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc() || extent < 0) return std::nullopt;
    shape.push_back(extent);
    if (end == text.data() + text.size()) return shape;
    if (*end != ',') return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  }
}

/// "1,3,?,?".
std::string text_of(const DeclaredInput& input) {
  if (!input.has_rank) return "?";
  std::vector<std::string> extents;
  for (const DeclaredInput::Extent& extent : input.extents) {
    extents.push_back(extent.is_open ? "?" : std::to_string(extent.value));
  }
  return fmt::format("{}", fmt::join(extents, ","));
}

Result<void> add_shape(const std::string& given, const OnnxModel& file, ImportOptions& options) {
  // A name may have "=" in it, a shape has none.
  const size_t equals = given.rfind('=');
  const bool is_named = equals != std::string::npos;
  if (!is_named && file.inputs().size() != 1) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("--shape \"{}\" names no input, and the model has ({}) of them: "
                             "--shape NAME={}.",
                             printable(given), file.inputs().size(), printable(given)));
  }
  const std::string name = is_named ? given.substr(0, equals) : file.inputs()[0].name;
  const auto shape = parse_shape(std::string_view(given).substr(is_named ? equals + 1 : 0));
  if (!shape) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("--shape \"{}\" is not [NAME=] and whole numbers with commas between, "
                             "as 1,3,48,320.",
                             printable(given)));
  }
  if (!options.input_shapes.emplace(name, *shape).second) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("--shape is given twice for input \"{}\".", printable(name)));
  }
  return {};
}

}  // namespace

void add_shape_option(CLI::App& command, ShapeOptions& options) {
  add_trust_option(command, options.trusts_kernels);
  command
      .add_option("--shape", options.given,
                  "An input's shape, as 1,3,48,320, where the file leaves extents open (1)")
      ->type_name("[NAME=]N,N,...")
      ->expected(1)
      ->take_all();
}

Result<Model> import_shaped(const std::string& path, const ShapeOptions& given_options) {
  TRY_ASSIGN(const OnnxModel file, OnnxModel::read(path));
  ImportOptions options;
  options.trusts_kernels = given_options.trusts_kernels;
  for (const std::string& given : given_options.given) TRY(add_shape(given, file, options));
  Result<Model> model = file.specialised(options);
  if (model) return model;
  const auto is_guessed = [&](const DeclaredInput& input) {
    return input.is_open() && !options.input_shapes.contains(input.name);
  };
  const auto open = std::ranges::find_if(file.inputs(), is_guessed);
  if (open == file.inputs().end()) return model;
  return Error(model.error().kind(),
               fmt::format("{} The file leaves the shape of input \"{}\" open, {}, which was taken "
                           "with 1 for each \"?\": --shape tells another.",
                           model.error().message(), printable(open->name), text_of(*open)));
}

}  // namespace leat::cli
