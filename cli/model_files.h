// What goes into a model and comes out of it as files: .npy, .pb (one ONNX tensor), .png, .jpg,
// told apart by their ending.
//
// A picture becomes a tensor so: channels in the order asked for (or a 1-channel grey picture by
// its luminance), resized to the model's height and width, (value - mean) * scale, the model's
// dtype. Models are NCHW (or CHW), or NHWC when the last dimension and not the second has 1 or 3
// entries.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/media/picture.h"
#include "leat/tensor/model.h"

namespace leat::cli {

/// Which dimensions of a tensor are a picture's.
struct PictureAxes {
  size_t channel = 0;
  size_t height = 0;
  size_t width = 0;
};
/// Nothing, when the shape is no single picture of 1 or 3 channels.
std::optional<PictureAxes> picture_axes(const Shape& shape);

/// How pictures become numbers; what is not given is the model's metadata, else RGB in 0..255.
struct PictureOptions {
  std::string channels;  // "rgb", "bgr" or empty
  std::optional<double> scale;
  std::vector<double> mean;  // none, or red, green, blue
};

/// PictureOptions with every choice made.
struct PictureNumbers {
  bool is_bgr = false;
  double scale = 1;
  std::array<double, 3> mean = {0, 0, 0};  // red, green, blue
};
/// No unit of pixels needs more; beyond, 8-bit values leave the range of every element type.
inline constexpr double kPictureNumberMax = 1e6;
/// Errors: unsupported, when the metadata names a pixel format or range that Leat does not know;
/// invalid_argument, when --scale or --mean is no number or beyond kPictureNumberMax.
Result<PictureNumbers> picture_numbers(const PictureOptions& options, const Model& model);

/// One FILE or NAME=FILE per value of the model; the path by the value's index.
/// `what` is "input" or "output". Errors: invalid_argument (an unknown or repeated name).
Result<std::map<size_t, std::string>> match_files(const std::vector<std::string>& arguments,
                                                  const std::vector<ModelValue>& values,
                                                  const std::string& what);

/// A file that is read but not yet fitted to the model.
struct InputFile {
  std::string path;
  std::optional<Picture> picture;
  std::optional<HostTensor> tensor;
};
Result<InputFile> read_input_file(const std::string& path);

/// The shape that the input should have to take the file as it is, when that is not the model's:
/// an array's own, or the picture's size where the model leaves height and width open.
std::optional<Shape> wanted_shape(const InputFile& file, const ModelValue& input);

/// Errors: invalid_argument, when the file does not fit the input.
Result<HostTensor> fit_to_input(const InputFile& file, const ModelValue& input,
                                const PictureNumbers& numbers);

/// Before a long run: errors: invalid_argument, when the ending is none that is written; io, when
/// the folder does not exist.
Result<void> check_output_path(const std::string& path);

/// For a path that check_output_path let through.
/// Errors: io; invalid_argument, when a tensor that is no picture goes to a picture's name.
Result<void> write_output_file(const std::string& path, const HostTensor& tensor,
                               const std::string& name, bool is_bgr);

}  // namespace leat::cli
