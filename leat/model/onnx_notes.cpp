// See onnx_notes.h.
#include "leat/model/onnx_notes.h"

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_order.h"

namespace leat {

void ImportNotes::add(const Error& error, const onnx::NodeProto* node) {
  if (node != nullptr && !noted_.insert(node).second) return;
  ++count_;
  const std::string op = node == nullptr ? "" : node->op_type();
  const auto [place, is_first] = places_.try_emplace(op + "\n" + error.message(), problems_.size());
  if (!is_first) {
    ++problems_[place->second].count;
  } else if (problems_.size() < kProblemsMax) {
    problems_.push_back(
        {error.kind(), error.message(), op, node == nullptr ? "" : name_of(*node), 1});
  } else {
    places_.erase(place);
  }
}

}  // namespace leat
