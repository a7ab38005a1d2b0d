// See model_files.h. Metadata keys: Microsoft Learn, "Windows ML: author custom metadata" and the
// ONNX specification, docs/MetadataProps.md (Image.BitmapPixelFormat, Image.NominalPixelRange).
#include "cli/model_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/interrupt.h"
#include "cli/pb_files.h"
#include "cli/report.h"
#include "leat/media/npy.h"

namespace leat::cli {

namespace {

bool is_channel_count(int64_t extent) { return extent == 1 || extent == 3; }

std::string value_text(const ModelValue& value) {
  return fmt::format("\"{}\" ({} {})", value.name, name_of(value.dtype), to_string(value.shape));
}

std::string names_of(const std::vector<ModelValue>& values) {
  std::vector<std::string> names;
  for (const ModelValue& value : values) names.push_back("\"" + value.name + "\"");
  return fmt::format("{}", fmt::join(names, ", "));
}

bool ends_with_npy(const std::string& path) { return path.ends_with(".npy"); }

int64_t offset_of(const PictureAxes& axes, const Shape& shape, int64_t channel, int64_t y,
                  int64_t x) {
  const std::vector<int64_t> strides = row_major_strides(shape);
  return channel * strides[axes.channel] + y * strides[axes.height] + x * strides[axes.width];
}

Result<HostTensor> tensor_of(const Picture& picture, const std::string& path,
                             const ModelValue& input, const PictureNumbers& numbers) {
  const std::optional<PictureAxes> axes = picture_axes(input.shape);
  if (!axes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Picture \"{}\" does not fit input {}, which is no picture of 1 or 3 "
                             "channels.",
                             path, value_text(input)));
  }
  const int64_t channels = input.shape[axes->channel];
  const Picture fitted = resize(picture, input.shape[axes->width], input.shape[axes->height]);
  HostTensor tensor = HostTensor::zeros(input.dtype, input.shape);
  const double grey_mean = (numbers.mean[0] + numbers.mean[1] + numbers.mean[2]) / 3;
  for (int64_t y = 0; y < fitted.height; ++y) {
    for (int64_t x = 0; x < fitted.width; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t source = numbers.is_bgr ? 2 - c : c;
        const double value = channels == 1 ? fitted.luminance(y, x) : fitted.at(y, x, source);
        const double mean = channels == 1 ? grey_mean : numbers.mean[static_cast<size_t>(source)];
        tensor.set_number(offset_of(*axes, input.shape, c, y, x), (value - mean) * numbers.scale);
      }
    }
  }
  return tensor;
}

/// Whether a whole number of one type is one of the other, too.
bool holds(DType wide, DType narrow) {
  const auto has_sign = [](DType t) {
    return t == DType::i8 || t == DType::i16 || t == DType::i32 || t == DType::i64;
  };
  const auto is_whole = [](DType t) {
    return !is_float(t) && !is_small_float(t) && t != DType::boolean;
  };
  if (!is_whole(wide) || !is_whole(narrow)) return false;
  return bits_of(wide) > bits_of(narrow) && (has_sign(wide) || !has_sign(narrow));
}

/// Floats of one width become those of another, whole numbers those of a wider type; anything else
/// must match.
HostTensor with_dtype(const HostTensor& tensor, DType dtype) {
  const bool are_floats = is_float(tensor.dtype) && is_float(dtype);
  if (tensor.dtype == dtype || !(are_floats || holds(dtype, tensor.dtype))) return tensor;
  if (are_floats && bits_of(dtype) < bits_of(tensor.dtype)) {
    say_line(fmt::format("The file's numbers ({}) are rounded to what the input takes ({}).",
                         name_of(tensor.dtype), name_of(dtype)));
  }
  HostTensor result = HostTensor::zeros(dtype, tensor.shape);
  const int64_t count = element_count(tensor.shape);
  for (int64_t i = 0; i < count; ++i) {
    if (are_floats) {
      result.set_number(i, tensor.number(i));
    } else {
      result.set_integer(i, tensor.integer(i));
    }
  }
  return result;
}

Result<Picture> picture_of(const HostTensor& tensor, const std::string& path,
                           const std::string& name, bool is_bgr) {
  const std::optional<PictureAxes> axes = picture_axes(tensor.shape);
  if (!axes || element_count(tensor.shape) == 0) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Output \"{}\" {} cannot be written as picture \"{}\": it has not 1 or "
                    "3 channels.",
                    name, to_string(tensor.shape), path));
  }
  Picture picture{tensor.shape[axes->width], tensor.shape[axes->height], {}};
  picture.rgb.resize(static_cast<size_t>(picture.width * picture.height * 3));
  const bool is_grey = tensor.shape[axes->channel] == 1;
  size_t next = 0;
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t channel = is_grey ? 0 : is_bgr ? 2 - c : c;
        const double value = tensor.number(offset_of(*axes, tensor.shape, channel, y, x));
        const double clamped = value > 0 ? std::min(value, 255.0) : 0.0;  // NaN becomes 0
        picture.rgb[next++] = static_cast<uint8_t>(std::lround(clamped));
      }
    }
  }
  return picture;
}

std::string metadata_of(const Model& model, const std::string& key) {
  const auto entry = model.metadata.find(key);
  return entry == model.metadata.end() ? "" : entry->second;
}

Result<void> apply_range(const std::string& range, PictureNumbers& numbers) {
  if (range.empty() || range == "NominalRange_0_255") return {};
  if (range == "Normalized_0_1") {
    numbers.scale = 1.0 / 255;
  } else if (range == "Normalized_1_1") {
    numbers.scale = 1.0 / 127.5;
    numbers.mean = {127.5, 127.5, 127.5};
  } else {
    return Error(ErrorKind::unsupported,
                 fmt::format("The model asks for pixels in range ({}), which Leat does not know; "
                             "--mean and --scale set it.",
                             range));
  }
  return {};
}

Result<void> check_number(std::string_view option, double value) {
  if (std::abs(value) <= kPictureNumberMax) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("{} ({}) is not a number from ({}) to ({}).", option, value,
                           -kPictureNumberMax, kPictureNumberMax));
}

}  // namespace

std::optional<PictureAxes> picture_axes(const Shape& shape) {
  const size_t rank = shape.size();
  if (rank != 3 && rank != 4) return std::nullopt;
  if (rank == 4 && shape[0] != 1) return std::nullopt;
  const size_t first = rank - 3;
  if (is_channel_count(shape[first])) return PictureAxes{first, first + 1, first + 2};
  if (is_channel_count(shape[rank - 1])) return PictureAxes{rank - 1, first, first + 1};
  return std::nullopt;
}

Result<PictureNumbers> picture_numbers(const PictureOptions& options, const Model& model) {
  PictureNumbers numbers;
  numbers.is_bgr = metadata_of(model, "Image.BitmapPixelFormat").starts_with("Bgr");
  if (!options.channels.empty()) numbers.is_bgr = options.channels == "bgr";
  if (!options.scale && options.mean.empty()) {
    TRY(apply_range(metadata_of(model, "Image.NominalPixelRange"), numbers));
  }
  if (options.scale) TRY(check_number("--scale", *options.scale));
  for (const double mean : options.mean) TRY(check_number("--mean", mean));
  if (options.scale) numbers.scale = *options.scale;
  if (!options.mean.empty()) std::copy_n(options.mean.begin(), 3, numbers.mean.begin());
  return numbers;
}

namespace {

/// The value whose name stands before an equals sign; names may have such signs, too.
std::optional<size_t> named_value(const std::string& argument,
                                  const std::vector<ModelValue>& values) {
  std::optional<size_t> found;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_longer = !found || values[i].name.size() > values[*found].name.size();
    if (argument.starts_with(values[i].name + "=") && is_longer) found = i;
  }
  return found;
}

}  // namespace

Result<std::map<size_t, std::string>> match_files(const std::vector<std::string>& arguments,
                                                  const std::vector<ModelValue>& values,
                                                  const std::string& what) {
  std::map<size_t, std::string> files;
  std::vector<std::string> unnamed;
  for (const std::string& argument : arguments) {
    const std::optional<size_t> value = named_value(argument, values);
    const size_t equals = argument.find('=');
    if (!value && (equals == std::string::npos || std::filesystem::exists(argument))) {
      unnamed.push_back(argument);
      continue;
    }
    if (!value) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("The model has no {} \"{}\"; it has ({}).", what,
                               argument.substr(0, equals), names_of(values)));
    }
    const std::string& name = values[*value].name;
    if (!files.emplace(*value, argument.substr(name.size() + 1)).second) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Two files are given for {} \"{}\".", what, name));
    }
  }
  size_t next = 0;
  for (const std::string& path : unnamed) {
    while (files.contains(next)) ++next;
    if (next >= values.size()) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("More {} files ({}) are given than the model has {}s ({}).", what,
                               arguments.size(), what, values.size()));
    }
    files[next] = path;
  }
  return files;
}

Result<InputFile> read_input_file(const std::string& path) {
  InputFile file;
  file.path = path;
  if (is_picture_path(path)) {
    TRY_ASSIGN(file.picture, read_picture(path));
  } else if (ends_with_npy(path)) {
    TRY_ASSIGN(file.tensor, read_npy(path));
  } else if (path.ends_with(".pb")) {
    TRY_ASSIGN(file.tensor, read_pb(path));
  } else {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input file \"{}\" ends with none of (.npy, .pb, .png, .jpg).", path));
  }
  return file;
}

std::optional<Shape> wanted_shape(const InputFile& file, const ModelValue& input) {
  if (file.tensor) {
    return file.tensor->shape == input.shape ? std::nullopt : std::optional(file.tensor->shape);
  }
  const std::optional<PictureAxes> axes = picture_axes(input.shape);
  if (!axes || input.shape[axes->height] != 1 || input.shape[axes->width] != 1) {
    return std::nullopt;
  }
  Shape shape = input.shape;
  shape[axes->height] = file.picture->height;
  shape[axes->width] = file.picture->width;
  return shape;
}

Result<HostTensor> fit_to_input(const InputFile& file, const ModelValue& input,
                                const PictureNumbers& numbers) {
  if (file.picture) return tensor_of(*file.picture, file.path, input, numbers);
  HostTensor tensor = with_dtype(*file.tensor, input.dtype);
  if (tensor.dtype == input.dtype && tensor.shape == input.shape) return tensor;
  return Error(ErrorKind::invalid_argument,
               fmt::format("File \"{}\" holds {} {}; input {} takes something else.", file.path,
                           name_of(tensor.dtype), to_string(tensor.shape), value_text(input)));
}

Result<void> check_output_path(const std::string& path) {
  if (!is_picture_path(path) && !ends_with_npy(path) && !path.ends_with(".pb")) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Output file \"{}\" ends with none of (.npy, .pb, .png, .jpg).", path));
  }
  return {};
}

Result<void> write_output_file(const std::string& path, const HostTensor& tensor,
                               const std::string& name, bool is_bgr) {
  if (is_picture_path(path)) {
    TRY_ASSIGN(const Picture picture, picture_of(tensor, path, name, is_bgr));
    TRY_ASSIGN(const std::string bytes, encode_picture(picture, path));
    return write_whole_file(path, bytes);
  }
  if (ends_with_npy(path)) return write_whole_file(path, npy_bytes(tensor));
  return write_pb(path, tensor, name);
}

}  // namespace leat::cli
