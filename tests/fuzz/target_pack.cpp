// Packed models, twice: the bytes as a file, which nothing but what was sealed may pass, and
// sealed, which the reader of plans has to survive, and whoever runs what it took.
#include "leat/backend/null/null_device.h"
#include "leat/base/check.h"
#include "leat/pack/packed_model.h"
#include "leat/run/known_answer.h"
#include "leat/run/network.h"
#include "tests/fuzz/fuzz_target.h"

namespace leat {
namespace {

/// A network is made where its tensors are small together: then all its memory has to be.
constexpr size_t kTensorBytesMax = 1 << 16;

TensorId add_tensor(RunPlan& plan, const char* name, Space space, DType dtype, Shape shape) {
  Placement placement;
  placement.space = space;
  placement.storage = dtype == DType::i64 ? DType::i32 : dtype;
  placement.strides = row_major_strides(shape);
  placement.element_count = element_count(shape);
  plan.schedule.graph.tensors.push_back({name, dtype, std::move(shape), nullptr});
  plan.schedule.placements.push_back(placement);
  return static_cast<TensorId>(plan.schedule.placements.size() - 1);
}

/// One tensor in, one out, a kernel between them, and a check of indices; the null device takes it.
/// `weights` may be empty.
RunPlan small_plan(std::span<const std::byte> weights, std::span<const std::byte> code) {
  RunPlan plan;
  Schedule& schedule = plan.schedule;
  const TensorId x = add_tensor(plan, "x", Space::external, DType::f32, {2, 3});
  const TensorId y = add_tensor(plan, "y", Space::external, DType::f32, {2, 3});
  const auto terms = static_cast<int64_t>(weights.size() / sizeof(float));
  const TensorId w = add_tensor(plan, "w", Space::weights, DType::f32, {terms});
  const TensorId h = add_tensor(plan, "h", Space::activations, DType::f32, {2, 3});
  const TensorId count = add_tensor(plan, "count", Space::state, DType::i32, {1});
  IndexCheck check;
  check.node = "Gather \"g\"";
  check.position = add_tensor(plan, "position", Space::external, DType::i32, {});
  check.index = add_tensor(plan, "index", Space::external, DType::i64, {});
  check.shape = {2, 3};
  check.extents = {4};
  schedule.graph.inputs = {x};
  schedule.graph.outputs = {y, check.position, check.index};
  schedule.graph.checks.push_back(check);
  schedule.memory.weights_bytes = weights.size();
  schedule.memory.activations_bytes = kPlacementAlignment;
  schedule.memory.state_bytes = kPlacementAlignment;
  PlanKernel kernel;
  kernel.binary.name = "sum_1";
  kernel.binary.entry = "leat_sum";
  kernel.binary.arguments.assign(weights.empty() ? 4 : 5, {DType::f32, true});
  kernel.code = code;
  plan.kernels.push_back(kernel);
  std::vector<TensorId> arguments = {x, h, y, count};
  if (!weights.empty()) arguments.push_back(w);
  plan.launches.push_back({0, arguments, {"sum", "Add", "waves 1", 6}});
  plan.weights = weights;
  return plan;
}

bool is_small(const RunPlan& plan) {
  size_t together = 0;
  for (const Placement& placement : plan.schedule.placements) {
    const size_t size_bytes = placement.size_bytes();
    if (size_bytes > kTensorBytesMax) return false;
    together += size_bytes;
  }
  return together <= kTensorBytesMax;
}

/// All that a caller may ask of a network whose plan the reader took.
void ask(Network& network) {
  const Graph& graph = network.schedule().graph;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ExternalView view = network.input_view(i);
    CHECK(view.shape.size() <= 8);  // LEAT_RANK_MAX
    CHECK(network.set_input(i, HostTensor::zeros(view.dtype, view.shape)).has_value());
  }
  (void)network.run();  // the null device computes nothing: any position may be found
  (void)network.check_indices();
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    CHECK(network.output_view(i).shape.size() <= 8);
    (void)network.output(i);
  }
  (void)network.profile();
  CHECK(network.stats().reserved_bytes > 0);
}

/// True when the device took it.
bool run(const RunPlan& plan, Device& device) {
  if (!is_small(plan)) return false;
  const Result<std::unique_ptr<Network>> network = Network::load(device, plan, {});
  if (!network) return false;
  CHECK(!check_known_answer(**network).has_value());  // which no such device can give
  ask(**network);
  return true;
}

PackContent small_content(std::span<const std::byte> weights, std::span<const std::byte> code) {
  PackContent content;
  content.model.name = "small";
  content.model.metadata["key"] = "value";
  content.model.inputs = {{"x", DType::f32, {2, 3}, 0}};
  content.model.outputs = {{"y", DType::f32, {2, 3}, 1}};
  const RunPlan plan = small_plan(weights, code);
  content.targets.push_back({"null", Target{}, plan, plan});
  return content;
}

}  // namespace

bool feed_pack(std::string_view bytes) {
  const auto raw = Pack::parse(bytes, "fuzz");
  const auto pack = Pack::parse(sealed_pack(std::string(bytes)), "fuzz");
  if (!pack) return raw.has_value();
  PackContent content;
  content.model = (*pack)->model();
  content.targets.assign((*pack)->targets().begin(), (*pack)->targets().end());
  const Result<std::string> again = pack_bytes(content);
  CHECK(again.has_value());  // what was read can be written and read again
  const auto read = Pack::parse(*again, "fuzz");
  CHECK(read.has_value() && (*read)->target_names() == (*pack)->target_names());
  const std::unique_ptr<Device> device = open_null_device().value();
  for (const PackTarget& target : (*read)->targets()) {
    CHECK((*read)->check_blobs(target).has_value());
    (void)(*read)->target_for(device->target(), "null");
    for (const RunPlan* const plan : {&target.known_answer, &target.plan}) run(*plan, *device);
  }
  return true;
}

/// With weights; and without, for two targets: an empty blob begins where the next one does.
std::vector<std::string> pack_seeds() {
  const std::vector<std::byte> weights(24);
  const std::vector<std::byte> code(10, std::byte{'x'});
  const std::vector<std::byte> other_code(12, std::byte{'y'});
  PackContent none = small_content({}, code);
  none.targets.push_back(small_content({}, other_code).targets[0]);
  const std::unique_ptr<Device> device = open_null_device().value();
  CHECK(run(none.targets[0].plan, *device));  // else nothing behind the reader is reached
  return {pack_bytes(small_content(weights, code)).value(), pack_bytes(none).value()};
}

}  // namespace leat
