// See memory_facts.h.
#include "leat/device/memory_facts.h"

namespace leat {

std::string_view name_of(MemoryModel model) {
  switch (model) {
    case MemoryModel::unified: return "unified";
    case MemoryModel::discrete_window: return "discrete, with a window";
    case MemoryModel::discrete: return "discrete, without a window";
  }
  return "unknown";
}

std::string_view name_of(CopyCause cause) {
  switch (cause) {
    case CopyCause::weights: return "weights";
    case CopyCause::input_tensor: return "input_tensor";
    case CopyCause::input_reordered: return "input_reordered";
    case CopyCause::input_staged: return "input_staged";
    case CopyCause::output_tensor: return "output_tensor";
    case CopyCause::output_reordered: return "output_reordered";
    case CopyCause::output_staged: return "output_staged";
    case CopyCause::receipt: return "receipt";
  }
  return "unknown";
}

uint64_t CopyCounts::hot_bytes() const {
  uint64_t sum = 0;
  for (const uint64_t count : bytes) sum += count;
  return sum - (*this)[CopyCause::weights] - (*this)[CopyCause::receipt];
}

}  // namespace leat
