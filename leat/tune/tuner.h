// Tuner: who chooses the parameters of kernels on one device, with a memory. What the store knows
// of an equal node comes first; else it measures, where it is allowed to; else what the store knows
// of the nearest shape on this chip; else the analytic model.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>

#include "leat/schedule/chooser.h"
#include "leat/tune/search.h"
#include "leat/tune/shape_class.h"
#include "leat/tune/store.h"

namespace leat {

/// Where a kernel's parameters came from.
enum class ChoiceSource : uint8_t { store, measured, near, model };
std::string_view name_of(ChoiceSource source);

/// One kernel that was asked for.
struct TunedKernel {
  std::string node;
  std::string shape;  // ShapeClass as text
  ChoiceSource source = ChoiceSource::model;
  KernelParams params;
  double seconds = 0;        // of one run; 0: not known
  double model_seconds = 0;  // of the model's choice; 0: not known
  size_t tried = 0;
  double search_seconds = 0;  // that choosing took
};

struct TunerOptions {
  TuneChip on;
  /// What was chosen before; null: nothing is known or kept. Outlives the tuner.
  TuneStore* store = nullptr;
  /// Empty: nothing is measured.
  MakeTrials make_trials;
  /// Nodes are measured anew though the store knows them.
  bool again = false;
  SearchLimits limits;
  /// Told of each kernel once its parameters are known. May be empty.
  std::function<void(const TunedKernel&)> on_choice;
  /// Told once when the store fails; what is chosen stays right. May be empty.
  std::function<void(const Error&)> on_store_error;
};

class Tuner {
 public:
  /// Reads what the store knows of this chip.
  explicit Tuner(TunerOptions options);

  /// A ChooseFunction.
  KernelParams choose(const Schedule& schedule, const Node& node, const Target& target,
                      Splitting splitting);

  /// What the store knows of a node of this identity on this chip and build: no more than a look
  /// into a table.
  const TuneEntry* find(const Digest& kernel) const;

 private:
  struct DigestHash {
    size_t operator()(const Digest& digest) const;
  };
  class Log;

  void read_store();
  void say(const Error& error);
  void remember(const TuneEntry& entry);
  std::vector<KernelParams> seeds_of(const Digest& kernel, const ShapeClass& shape) const;
  std::optional<KernelParams> measure(const Schedule& schedule, const Node& node,
                                      const Target& target, Splitting splitting,
                                      const Digest& kernel, TunedKernel& told);

  TunerOptions options_;
  std::unordered_map<Digest, TuneEntry, DigestHash> current_;  // of this build
  struct NearEntry {
    ShapeClass shape;
    TuneEntry entry;
  };
  std::unordered_map<std::string, std::vector<NearEntry>> by_kind_;    // of any build
  std::map<std::pair<Digest, std::string>, std::string> quarantined_;  // reasons
  bool store_failed_ = false;
};

/// The identity of what is chosen for: the node, and whether it may become several.
Digest tune_identity(const Schedule& schedule, const Node& node, Splitting splitting);

/// Reads what to_string(KernelParams) gives, of any family. Errors: invalid_argument.
Result<KernelParams> parse_kernel_params(const std::string& text);

}  // namespace leat
