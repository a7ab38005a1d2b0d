// From a model to a packed one (leat/pack): its plan, compiled for each target that is asked for.
// No device has to be there.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/base/precision.h"
#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/tensor/model.h"

namespace leat {

/// A target by the name that a pack shows.
struct NamedTarget {
  std::string name;
  Target target;
};

/// The threads that a CPU's plan is made for, when nobody says; it runs on any number.
inline constexpr uint32_t kPackThreads = 8;

/// "cpu-" and a CPU of plain_target_names() (run/inspect.h), which may be left out; "vulkan" and
/// "opengl", each of which is two: for GPUs and for software, which obeys other limits; and the
/// others of plain_target_names(). Errors: invalid_argument, naming them.
Result<std::vector<NamedTarget>> pack_targets(std::string_view name, uint32_t threads);

/// The bytes of the pack; `precision` is ScheduleOptions::precision. Errors: unsupported, when a
/// target does not take the model, there is no linker for a CPU's or no assembler for an NVIDIA
/// GPU's kernels.
Result<std::string> make_pack(const Model& model, std::span<const NamedTarget> targets,
                              Precision precision = Precision::f32);

}  // namespace leat
