// The kernels of one model on one device that serve several shapes of its inputs.
//
// For its first shapes a model gets kernels made for just these. When others come, a node's numbers
// that have changed are opened: its kernel is made once more, with those numbers told at the launch
// (lower_open in lower/lower.h), and from then on every shape for which that kernel's guards hold
// needs no other. A node that is the same in both shapes keeps the kernel it has.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "leat/device/device.h"
#include "leat/lower/lower.h"
#include "leat/schedule/kernel_key.h"

namespace leat {

/// Forms of one node that are remembered; a window that may leave its input in one shape only has
/// two.
inline constexpr size_t kFormsMax = 16;
/// Kernels of one model that are kept though no shape that is ready has them.
inline constexpr size_t kIdleKernelsMax = 1024;

class ShapeKernels {
 public:
  /// A kernel with what it is told at a launch.
  struct Told {
    std::shared_ptr<const Kernel> kernel;
    std::vector<int32_t> words;
    uint32_t groups = 0;
  };
  /// A step whose kernel is to be made with these numbers open.
  struct Opening {
    std::unique_ptr<OpenKernel> made;
    StepKey key;
    std::vector<bool> open;
  };

  /// The node's parameters for the shapes before.
  std::optional<KernelParams> params_of(const std::string& node) const;

  /// What serves the step, if something does.
  std::optional<Told> find(const StepKey& key) const;
  /// What is to be made for it, or nothing: no shape before had this node in this form, or it
  /// cannot be open. `key` is the step's.
  std::optional<Opening> opened(const Schedule& schedule, const Step& step, const Target& target,
                                StepKey key);
  /// Whether the kernel that is to be made serves the step of this key too.
  static bool serves(const Opening& opening, const StepKey& key);
  /// Keeps it; what it serves is found until it is forgotten.
  void keep(Opening opening, std::unique_ptr<Kernel> kernel);
  /// The same of a kernel that was made for just the step of this key.
  void keep(const StepKey& key, std::shared_ptr<const Kernel> kernel);
  /// Forgets the kernels that no network launches, once they are more than kIdleKernelsMax.
  void forget_idle();
  /// That the node has this form in a shape that is ready now.
  void remember(const std::string& node, const KernelParams& params, StepKey key);

 private:
  /// A form that a node has had: the numbers of the last shape, and which of them have changed.
  struct Form {
    StepKey key;
    std::vector<bool> open;
  };
  struct Known {
    KernelParams params;      // of the last shape
    std::vector<Form> forms;  // at most kFormsMax, the last one used at the end
  };
  struct Kept {
    Opening opening;
    std::shared_ptr<const Kernel> kernel;
  };
  static std::vector<bool> changed(const Form& form, const StepKey& key);
  static std::optional<Told> told(const Opening& opening, const StepKey& key);

  std::unordered_map<std::string, Known> nodes_;
  std::unordered_multimap<std::string, Kept> kernels_;                    // by structure
  std::unordered_map<std::string, std::shared_ptr<const Kernel>> plain_;  // by all of their key
};

}  // namespace leat
