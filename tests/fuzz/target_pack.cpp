// Packed models, twice: the bytes as a file, which nothing but what was sealed may pass, and
// sealed, which the reader of plans has to survive.
#include "leat/base/check.h"
#include "leat/pack/packed_model.h"
#include "tests/fuzz/fuzz_target.h"

namespace leat {
namespace {

/// One tensor in, one out, and a kernel between them.
RunPlan small_plan(std::span<const std::byte> bytes) {
  RunPlan plan;
  Schedule& schedule = plan.schedule;
  for (const char* name : {"x", "y", "w"}) {
    schedule.graph.tensors.push_back({name, DType::f32, {2, 3}, nullptr});
    Placement placement;
    placement.space = name[0] == 'w' ? Space::weights : Space::external;
    placement.strides = {3, 1};
    placement.element_count = 6;
    schedule.placements.push_back(placement);
  }
  schedule.graph.inputs = {0};
  schedule.graph.outputs = {1};
  schedule.memory.weights_bytes = bytes.size();
  PlanKernel kernel;
  kernel.binary.name = "sum_1";
  kernel.binary.entry = "leat_sum";
  kernel.binary.arguments = {{DType::f32, false}, {DType::f32, false}, {DType::f32, true}};
  kernel.code = bytes.first(10);
  plan.kernels.push_back(kernel);
  plan.launches.push_back({0, {0, 2, 1}, {"sum", "Add", "waves 1", 6}});
  plan.weights = bytes;
  return plan;
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
  for (const PackTarget& target : (*read)->targets()) CHECK((*read)->check_blobs(target));
  return true;
}

std::vector<std::string> pack_seeds() {
  const std::vector<std::byte> bytes(24);
  PackContent content;
  content.model.name = "small";
  content.model.metadata["key"] = "value";
  content.model.inputs = {{"x", DType::f32, {2, 3}, 0}};
  content.model.outputs = {{"y", DType::f32, {2, 3}, 1}};
  content.targets.push_back({"vulkan", Target{}, small_plan(bytes), small_plan(bytes)});
  return {pack_bytes(content).value()};
}

}  // namespace leat
