// See kernel_files.h.
#include "cli/kernel_files.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "cli/report.h"
#include "leat/base/files.h"
#include "leat/media/npy.h"

namespace leat::cli {

namespace {

Error invalid(std::string message) {
  return Error(ErrorKind::invalid_argument, std::move(message));
}

std::string type_text(const ir::Parameter& parameter) {
  return fmt::format("{}[{}]", name_of(parameter.storage), parameter.element_count);
}

/// NAME=TEXT, of a parameter that has not been given yet.
struct Named {
  size_t parameter = 0;
  std::string text;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (true) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

template <typename Number>
std::optional<Number> number_of(const std::string& text) {
  Number value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class LaunchReader {
 public:
  LaunchReader(const LaunchOptions& options, UserKernel kernel)
      : options_(options),
        launch_{std::move(kernel), {}, {}, {}, {options.file}},
        values_(launch_.kernel.parameters().size()),
        counts_(values_.size()) {
    for (size_t i = 0; i < values_.size(); ++i) counts_[i] = parameter(i).element_count;
    shapes_.resize(values_.size());
  }

  Result<Launch> read(bool invents) {
    TRY_ASSIGN(const Grid grid, grid_of());
    for (const std::string& text : options_.inputs) TRY(read_input(text));
    for (const std::string& text : options_.numbers) TRY(read_numbers(text));
    for (const std::string& text : options_.outputs) TRY(read_output(text));
    TRY(launch_.kernel.set_launch(grid, counts_));
    for (size_t i = 0; i < values_.size(); ++i) TRY(fill(i, invents));
    for (std::optional<HostTensor>& value : values_) launch_.values.push_back(std::move(*value));
    return std::move(launch_);
  }

 private:
  const ir::Parameter& parameter(size_t index) const { return launch_.kernel.parameters()[index]; }
  bool has_grid() const { return !options_.grid.empty(); }

  Result<Grid> grid_of() const {
    if (!has_grid()) return launch_.kernel.grid();
    Grid grid = {1, 1, 1};
    const std::vector<std::string> parts = split(options_.grid, ',');
    for (size_t axis = 0; axis < parts.size(); ++axis) {
      const std::optional<uint32_t> groups = number_of<uint32_t>(parts[axis]);
      if (axis >= grid.size() || !groups || *groups == 0 || *groups > INT32_MAX) {
        return invalid(
            fmt::format("Grid \"{}\" is not one to three numbers of workgroups from 1 "
                        "to {}, as in 16,4.",
                        options_.grid, INT32_MAX));
      }
      grid[axis] = *groups;
    }
    return grid;
  }

  Result<Named> named(const std::string& argument, const char* option) const {
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const auto parameters = launch_.kernel.parameters();
    const auto found = std::ranges::find(parameters, name, &ir::Parameter::name);
    if (equals == std::string::npos || found == parameters.end()) {
      std::string names;
      for (const ir::Parameter& known : parameters) {
        names += fmt::format("{}{} : {}", names.empty() ? "" : ", ", known.name, type_text(known));
      }
      return invalid(fmt::format("{} {} names no parameter; kernel \"{}\" has ({}).", option,
                                 argument, launch_.kernel.name(), names));
    }
    return Named{static_cast<size_t>(found - parameters.begin()), argument.substr(equals + 1)};
  }

  Result<void> check_ungiven(size_t index) const {
    if (!values_[index]) return {};
    return invalid(fmt::format("Parameter \"{}\" is given two values.", parameter(index).name));
  }

  /// Takes `count` elements for a parameter: those of the text, or any with a grid.
  Result<void> take_count(size_t index, int64_t count, const std::string& what) {
    if (count == parameter(index).element_count || has_grid()) {
      const bool differs = shapes_[index] && element_count(*shapes_[index]) != count;
      if (differs) {
        return invalid(
            fmt::format("Parameter \"{}\" has ({}) elements by one file and ({}) by "
                        "another.",
                        parameter(index).name, element_count(*shapes_[index]), count));
      }
      counts_[index] = count;
      return {};
    }
    return invalid(
        fmt::format("Parameter \"{}\" is {}; {} has ({}) elements. A launch of other "
                    "sizes needs its grid, too: --grid X,Y,Z.",
                    parameter(index).name, type_text(parameter(index)), what, count));
  }

  Result<void> read_input(const std::string& argument) {
    TRY_ASSIGN(const Named input, named(argument, "--in"));
    TRY(check_ungiven(input.parameter));
    TRY_ASSIGN(HostTensor tensor, read_npy(input.text));
    launch_.read.push_back(input.text);
    const DType storage = parameter(input.parameter).storage;
    if (tensor.dtype != storage) {
      if (!is_float(tensor.dtype) || !is_float(storage)) {
        return invalid(fmt::format(
            "Parameter \"{}\" is {}; file \"{}\" holds {}.", parameter(input.parameter).name,
            type_text(parameter(input.parameter)), input.text, name_of(tensor.dtype)));
      }
      if (size_bytes_of(storage) < size_bytes_of(tensor.dtype)) {
        say_line(fmt::format(
            "The numbers ({}) of file \"{}\" are rounded to what parameter \"{}\" "
            "takes ({}).",
            name_of(tensor.dtype), input.text, parameter(input.parameter).name, name_of(storage)));
      }
      HostTensor rounded = HostTensor::zeros(storage, tensor.shape);
      for (int64_t i = 0; i < element_count(tensor.shape); ++i) {
        rounded.set_number(i, tensor.number(i));
      }
      tensor = std::move(rounded);
    }
    TRY(take_count(input.parameter, element_count(tensor.shape), "file \"" + input.text + "\""));
    shapes_[input.parameter] = tensor.shape;
    values_[input.parameter] = std::move(tensor);
    return {};
  }

  Result<void> read_numbers(const std::string& argument) {
    TRY_ASSIGN(const Named given, named(argument, "--set"));
    TRY(check_ungiven(given.parameter));
    const std::vector<std::string> parts = split(given.text, ',');
    const auto count = static_cast<int64_t>(parts.size());
    TRY(take_count(given.parameter, count, "--set " + argument));
    const DType storage = parameter(given.parameter).storage;
    HostTensor tensor = HostTensor::zeros(storage, {count});
    for (int64_t i = 0; i < count; ++i) TRY(set_number(tensor, i, parts[static_cast<size_t>(i)]));
    shapes_[given.parameter] = tensor.shape;
    values_[given.parameter] = std::move(tensor);
    return {};
  }

  static Result<void> set_number(HostTensor& tensor, int64_t index, const std::string& text) {
    const std::optional<double> number = number_of<double>(text);
    const std::optional<int64_t> integer = number_of<int64_t>(text);
    if (is_float(tensor.dtype) && number) {
      tensor.set_number(index, *number);
      return {};
    }
    if (!is_float(tensor.dtype) && integer) tensor.set_integer(index, *integer);
    if (!is_float(tensor.dtype) && integer && tensor.integer(index) == *integer) return {};
    return invalid(fmt::format("\"{}\" is no {}.", text, name_of(tensor.dtype)));
  }

  /// y=FILE:f32[2,3]
  Result<void> read_output(const std::string& argument) {
    TRY_ASSIGN(Named output, named(argument, "--out"));
    const ir::Parameter& written = parameter(output.parameter);
    if (!written.written) {
      return invalid(
          fmt::format("Parameter \"{}\" is only read; --out takes what the kernel "
                      "writes.",
                      written.name));
    }
    const auto same = [&](const KernelOutput& other) {
      return other.parameter == output.parameter;
    };
    if (std::ranges::any_of(launch_.outputs, same)) {
      return invalid(fmt::format("Parameter \"{}\" is written to two files.", written.name));
    }
    const size_t colon = output.text.rfind(":");
    if (colon != std::string::npos && output.text.ends_with(']')) {
      TRY(take_shape(output.parameter, output.text.substr(colon + 1)));
      output.text.resize(colon);
    }
    if (!output.text.ends_with(".npy")) {
      return invalid(fmt::format("Output file \"{}\" does not end with (.npy).", output.text));
    }
    launch_.outputs.push_back({output.parameter, output.text});
    return {};
  }

  Result<void> take_shape(size_t index, const std::string& text) {
    const size_t open = text.find('[');
    const std::string type = text.substr(0, open);
    if (open == std::string::npos || type != name_of(parameter(index).storage)) {
      return invalid(
          fmt::format("Parameter \"{}\" is {}; \"{}\" is no such type with extents, as "
                      "in {}[2,3].",
                      parameter(index).name, type_text(parameter(index)), text,
                      name_of(parameter(index).storage)));
    }
    Shape shape;
    for (const std::string& part : split(text.substr(open + 1, text.size() - open - 2), ',')) {
      const std::optional<int64_t> extent = number_of<int64_t>(part);
      if (!extent) return invalid(fmt::format("\"{}\" in \"{}\" is no extent.", part, text));
      shape.push_back(*extent);
    }
    TRY(check_shape(shape));
    TRY(take_count(index, element_count(shape), "\"" + text + "\""));
    shapes_[index] = std::move(shape);
    return {};
  }

  Result<void> fill(size_t index, bool invents) {
    const ir::Parameter& filled = parameter(index);
    if (values_[index]) {
      if (shapes_[index]) values_[index]->shape = *shapes_[index];
      return {};
    }
    if (!filled.written && !invents) {
      return invalid(
          fmt::format("Parameter \"{}\" : {} is read and not given: --in {}=FILE.npy or "
                      "--set {}=NUMBER.",
                      filled.name, type_text(filled), filled.name, filled.name));
    }
    const Shape shape = shapes_[index].value_or(Shape{filled.element_count});
    if (!filled.written) launch_.invented.push_back(filled.name);
    values_[index] =
        filled.written ? HostTensor::zeros(filled.storage, shape) : invented_value(filled, shape);
    return {};
  }

  const LaunchOptions& options_;
  Launch launch_;
  std::vector<std::optional<HostTensor>> values_;
  std::vector<std::optional<Shape>> shapes_;
  std::vector<int64_t> counts_;
};

}  // namespace

void add_launch_options(CLI::App& command, LaunchOptions& options, bool has_outputs) {
  command.add_option("FILE", options.file, "A kernel in text form (docs/kernel-format.md)")
      ->type_name("FILE.ir")
      ->required();
  command.add_option("-i,--in", options.inputs, "What lies in a parameter before")
      ->type_name("NAME=FILE.npy")
      ->expected(1)
      ->take_all();
  command.add_option("--set", options.numbers, "The same, as numbers")
      ->type_name("NAME=N[,N...]")
      ->expected(1)
      ->take_all();
  command
      .add_option("--grid", options.grid,
                  "Workgroups of another launch than the text's: files may have other sizes, too")
      ->type_name("X[,Y[,Z]]");
  if (!has_outputs) return;
  command.add_option("-o,--out", options.outputs, "Where a parameter goes that the kernel writes")
      ->type_name("NAME=FILE.npy[:TYPE[N,...]]")
      ->expected(1)
      ->take_all();
}

std::vector<std::span<std::byte>> Launch::arguments() {
  std::vector<std::span<std::byte>> arguments;
  for (HostTensor& value : values) arguments.emplace_back(value.bytes);
  return arguments;
}

Result<Launch> read_launch(const LaunchOptions& options, bool invents) {
  TRY_ASSIGN(const std::string text, read_file(options.file, kKernelBytesMax));
  TRY_ASSIGN(UserKernel kernel, UserKernel::parse(text, options.file));
  return LaunchReader(options, std::move(kernel)).read(invents);
}

}  // namespace leat::cli
