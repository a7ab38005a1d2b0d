// What a plan from a file must hold, so that Network may take it as one of its own making. The
// kernels' code is believed: it is under the pack's hash.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "leat/pack/packed_model.h"

namespace leat {

namespace {

// What two adds of sizes from a file cannot overflow.
constexpr uint64_t kArenaBytesMax = uint64_t{1} << 46;
constexpr size_t kRankMax = 64;
constexpr size_t kExternalRankMax = 8;  // that callers have room for
constexpr size_t kAliasDepthMax = 64;

Error wrong(const std::string& what) {
  return Error(ErrorKind::invalid_argument, "The plan is none that can be run: " + what + ".");
}

class PlanCheck {
 public:
  explicit PlanCheck(const RunPlan& plan) : plan_(plan), schedule_(plan.schedule) {}

  Result<void> check() const {
    TRY(check_memory());
    for (TensorId id = 0; id < schedule_.placements.size(); ++id) TRY(check_tensor(id));
    for (const Space space : {Space::activations, Space::state}) TRY(check_arena(space));
    TRY(check_reached());
    for (const auto* list : {&schedule_.graph.inputs, &schedule_.graph.outputs}) {
      for (const TensorId id : *list) TRY(check_external(id, list == &schedule_.graph.inputs));
    }
    for (const IndexCheck& each : schedule_.graph.checks) TRY(check_indices(each));
    for (const PlanLaunch& launch : plan_.launches) TRY(check_launch(launch));
    return {};
  }

 private:
  Result<void> check_memory() const {
    const MemoryPlan& memory = schedule_.memory;
    if (schedule_.placements.size() != schedule_.graph.tensors.size()) {
      return wrong("tensors and their places differ in number");
    }
    if (memory.weights_bytes != plan_.weights.size()) {
      return wrong(fmt::format("it has ({}) bytes of weights and wants ({})", plan_.weights.size(),
                               memory.weights_bytes));
    }
    if (std::max(memory.activations_bytes, memory.state_bytes) > kArenaBytesMax) {
      return wrong("it wants more memory than there can be");
    }
    return {};
  }

  const std::string& name_of_tensor(TensorId id) const { return schedule_.graph.tensors[id].name; }

  Error wrong_tensor(TensorId id, const char* what) const {
    return wrong(fmt::format("tensor \"{}\" {}", name_of_tensor(id), what));
  }

  /// The tensor whose bytes it has, if there is one.
  TensorId root(TensorId id) const {
    for (size_t depth = 0; depth < kAliasDepthMax && id < schedule_.placements.size(); ++depth) {
      if (schedule_.placements[id].alias_of == kNoTensor) return id;
      id = schedule_.placements[id].alias_of;
    }
    return kNoTensor;
  }

  uint64_t arena_bytes(Space space) const {
    const MemoryPlan& memory = schedule_.memory;
    if (space == Space::weights) return memory.weights_bytes;
    return space == Space::activations ? memory.activations_bytes : memory.state_bytes;
  }

  Result<void> check_tensor(TensorId id) const {
    const Placement& placement = schedule_.placements[id];
    const Shape& shape = schedule_.graph.tensors[id].shape;
    if (shape.size() > kRankMax || !check_shape(shape)) return wrong_tensor(id, "has no shape");
    if (placement.element_count < 0 || placement.element_count > kElementsMax) {
      return wrong_tensor(id, "has a number of elements that there cannot be");
    }
    const TensorId root_id = root(id);
    if (root_id == kNoTensor) return wrong_tensor(id, "shares the bytes of none");
    const Placement& place = schedule_.placements[root_id];
    if (root_id != id && placement.size_bytes() > place.size_bytes()) {
      return wrong_tensor(id, "is larger than the one whose bytes it has");
    }
    if (place.space == Space::none || place.space == Space::external) return {};
    const uint64_t arena = arena_bytes(place.space);
    if (place.offset_bytes % kPlacementAlignment != 0 || place.offset_bytes > arena ||
        place.size_bytes() > arena - place.offset_bytes) {
      return wrong_tensor(id, "leaves its arena");
    }
    return {};
  }

  /// That it is no larger than its tensors beside each other: no file is given memory that it does
  /// not use.
  Result<void> check_arena(Space space) const {
    uint64_t together = 0;
    for (const Placement& placement : schedule_.placements) {
      if (placement.space != space || placement.alias_of != kNoTensor) continue;
      const uint64_t size_bytes = std::max<uint64_t>(placement.size_bytes(), 1);
      together += (size_bytes + kPlacementAlignment - 1) / kPlacementAlignment;
    }
    together *= kPlacementAlignment;
    if (arena_bytes(space) <= together) return {};
    return wrong(fmt::format("an arena has ({}) bytes for tensors of ({}) together",
                             arena_bytes(space), together));
  }

  /// That memory of the host's is only for what the host writes or reads. The outputs of checks
  /// are among the graph's.
  Result<void> check_reached() const {
    std::vector<bool> is_reached(schedule_.placements.size(), false);
    for (const auto* list : {&schedule_.graph.inputs, &schedule_.graph.outputs}) {
      for (const TensorId id : *list) {
        if (id < is_reached.size()) is_reached[id] = true;
      }
    }
    for (TensorId id = 0; id < is_reached.size(); ++id) {
      if (schedule_.placements[id].space == Space::external && !is_reached[id]) {
        return wrong_tensor(id, "is for the host and neither input nor output");
      }
    }
    return {};
  }

  /// That the host's bytes are as many as the device's, in any order.
  Result<void> check_external(TensorId id, bool is_input) const {
    if (id >= schedule_.placements.size())
      return wrong("an input or output is none of its tensors");
    const Placement& placement = schedule_.placements[id];
    const Tensor& tensor = schedule_.graph.tensors[id];
    if (placement.space != Space::external || placement.alias_of != kNoTensor) {
      return wrong_tensor(id, "is an input or output that the host does not reach");
    }
    if (tensor.shape.size() > kExternalRankMax) return wrong_tensor(id, "has too many dimensions");
    const int64_t count = element_count(tensor.shape);
    if (placement.is_in_words()) {
      const int64_t per_word = 32 / bits_of(placement.words_of);
      const bool is_as_wide = bits_of(placement.words_of) == bits_of(tensor.dtype);
      const bool is_whole = placement.element_count == (count + per_word - 1) / per_word;
      const bool is_in_order = placement.strides == row_major_strides(tensor.shape);
      if (is_input && is_as_wide && is_whole && is_in_order && placement.storage == DType::i32) {
        return {};
      }
      return wrong_tensor(id, "lies in words that are not its own");
    }
    if (placement.element_count != count || !can_be_stored(tensor.dtype, placement.storage)) {
      return wrong_tensor(id, "is stored as what it is not");
    }
    return check_strides(id, tensor.shape, placement.strides);
  }

  /// to_storage and from_storage have the pair.
  static bool can_be_stored(DType dtype, DType storage) {
    const bool is_byte = storage == DType::u8 || storage == DType::i8;
    return dtype == storage || (is_byte && size_bytes_of(dtype) == 1) || storage == DType::i32 ||
           storage == DType::f32 || storage == DType::f16;
  }

  /// That they are those of some order of the dimensions.
  Result<void> check_strides(TensorId id, const Shape& shape,
                             const std::vector<int64_t>& strides) const {
    if (strides.size() != shape.size()) return wrong_tensor(id, "has no strides");
    if (element_count(shape) == 0) return {};
    std::vector<std::pair<int64_t, int64_t>> order;  // stride, extent
    for (size_t d = 0; d < shape.size(); ++d) {
      if (strides[d] < 0 || strides[d] > kElementsMax) return wrong_tensor(id, "has no strides");
      if (shape[d] > 1) order.emplace_back(strides[d], shape[d]);
    }
    std::ranges::sort(order);
    int64_t next = 1;
    for (const auto& [stride, extent] : order) {
      if (stride != next) return wrong_tensor(id, "has strides of no order");
      next *= extent;
    }
    return {};
  }

  Result<void> check_scalar(TensorId id, DType dtype) const {
    TRY(check_external(id, false));
    const Tensor& tensor = schedule_.graph.tensors[id];
    if (tensor.dtype == dtype && element_count(tensor.shape) == 1) return {};
    return wrong_tensor(id, "is no index");
  }

  Result<void> check_indices(const IndexCheck& check) const {
    TRY(check_scalar(check.position, DType::i32));
    TRY(check_scalar(check.index, DType::i64));
    if (check.shape.size() <= kRankMax && check_shape(check.shape) &&
        element_count(check.shape) > 0 && !check.extents.empty()) {
      return {};
    }
    return wrong(fmt::format("the indices of \"{}\" have no extents", check.node));
  }

  Result<void> check_launch(const PlanLaunch& launch) const {
    if (launch.kernel >= plan_.kernels.size()) {
      return wrong(fmt::format("launch \"{}\" has no kernel", launch.facts.name));
    }
    const KernelBinary& kernel = plan_.kernels[launch.kernel].binary;
    const bool fits = launch.arguments.size() == kernel.arguments.size();
    const bool has_memory = std::ranges::all_of(launch.arguments, [&](TensorId id) {
      const TensorId root_id = root(id);
      return root_id != kNoTensor && schedule_.placements[root_id].space != Space::none;
    });
    if (fits && has_memory) return {};
    return wrong(
        fmt::format("launch \"{}\" has other arguments than its kernel", launch.facts.name));
  }

  const RunPlan& plan_;
  const Schedule& schedule_;
};

}  // namespace

Result<void> check_plan(const RunPlan& plan) { return PlanCheck(plan).check(); }

}  // namespace leat
