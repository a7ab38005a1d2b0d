// Pictures and numbers straight into the memory that a device reads, and straight out of the memory
// that it wrote: no tensor in between.
#pragma once

#include <string>

#include "cli/model_files.h"
#include "leat/media/labels.h"
#include "leat/media/picture.h"
#include "leat/run/network.h"

namespace leat::cli {

/// Whether values of the view can be read and written in place.
bool is_in_place(const ExternalView& view);

/// Resizes the picture and writes its numbers as fit_to_input would. `path` is for messages.
/// Errors: invalid_argument, when the input is no picture.
Result<void> write_picture(const Picture& picture, const std::string& path, const ModelValue& input,
                           const PictureNumbers& numbers, const ExternalView& view);

/// Element `index` in row-major order.
double number_of(const ExternalView& view, int64_t index);

/// How one item's results are written: a picture, if the output is one; else with `top` > 0 a text
/// of the best classes; else an array.
enum class ResultFile : uint8_t { picture, classes, array };
ResultFile result_file_of(const ExternalView& output, int64_t top);
/// ".png", ".txt" or ".npy".
std::string_view ending_of(ResultFile kind);

/// The bytes of that file, read in place (save an array, of which a tensor is made first).
Result<std::string> result_bytes(const ExternalView& output, ResultFile kind, int64_t top,
                                 const Labels& labels, bool is_bgr);

}  // namespace leat::cli
