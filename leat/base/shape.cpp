// Arithmetic on shapes, with the overflow checks hostile files call for.
#include "leat/base/shape.h"

namespace leat {

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + ")";
}

Result<void> check_shape(const Shape& shape) {
  int64_t count = 1;
  for (int64_t extent : shape) {
    if (extent < 0) {
      return Error(
          ErrorKind::invalid_argument,
          "Extent (" + std::to_string(extent) + ") of shape " + to_string(shape) + " is negative.");
    }
    if (extent > kElementsMax || (extent > 0 && count > kElementsMax / extent)) {
      return Error(ErrorKind::invalid_argument, "Shape " + to_string(shape) +
                                                    " has more elements than the limit (" +
                                                    std::to_string(kElementsMax) + ").");
    }
    if (extent > 0) count *= extent;  // strides of an empty shape are products too
  }
  return {};
}

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * shape[i - 1];
  return strides;
}

}  // namespace leat
