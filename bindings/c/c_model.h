// What stands behind the handles of leat.h, and the run that models and single operators share.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/c/c_border.h"
#include "leat/backend/backends.h"
#include "leat/run/session.h"
#include "leat/run/session_kernel.h"

namespace leat::c {

/// How many single operators a session keeps ready.
inline constexpr size_t kOperatorsReadyMax = 64;

/// An operator that is ready for inputs of some types and shapes.
struct ReadyOperator {
  std::string key;                    // of all that it was made for, but values
  std::vector<size_t> inputs;         // of the call, for each input of the model
  std::vector<HostTensor> constants;  // the others that decide a shape, by place in constant_inputs
  std::vector<size_t> constant_inputs;
  std::unique_ptr<LoadedModel> model;
};

/// A session's own; its models share it, so that it outlives them.
struct SessionState {
  explicit SessionState(SessionOptions options) : session(std::move(options)) {}

  Session session;
  std::string device;           // for models that name none
  std::string cache_folder;     // empty: nothing is kept
  std::vector<DeviceUse> uses;  // of the last leat_session_uses
  std::mutex operators_mutex;
  std::list<ReadyOperator> operators;  // the last used is the first
};

/// A model's file, or its bytes in memory.
struct ModelFile {
  std::string path;  // with `bytes`: a name for messages
  std::optional<std::string_view> bytes;
};

// What needs a compiler; builds without one have c_no_compiler.cpp instead of c_compiler.cpp.

/// What tuning found, for a session that compiles.
void add_tuning(SessionOptions& own, const leat_session_options& options);
/// Loads a model that is no packed one.
Result<std::unique_ptr<LoadedModel>> load_compiled(Session& session, const ModelFile& file,
                                                   const leat_load_options& options,
                                                   LoadOptions loading);

/// Errors: those of the options.
Result<std::shared_ptr<SessionState>> make_session(const leat_session_options* options);

/// Those of the options.
Result<std::vector<StatePair>> states_of(const leat_load_options& options, const Model& model);

/// Fills in what is known of a device; the texts are those of `info`.
leat_device_info info_of(const DeviceInfo& info, const std::string& refusal);

/// leat_run on tensors that the caller has, of a model that is not in parts.
Result<void> run_on(LoadedModel& model, std::span<const leat_tensor> inputs,
                    std::span<leat_tensor> outputs);

/// That the model is given and ready.
Result<void> check_model(const leat_model* model);

/// Whether the caller's elements can lie where the device has them.
bool is_plain(const ExternalView& view);

}  // namespace leat::c

struct leat_session {
  std::shared_ptr<leat::c::SessionState> state;
};

struct leat_kernel {
  std::shared_ptr<leat::c::SessionState> session;
  std::unique_ptr<leat::SessionKernel> loaded;  // dies before the session
  bool has_run = false;
};

struct leat_devices {
  std::vector<leat::FoundDevice> found;
};

struct leat_model {
  std::shared_ptr<leat::c::SessionState> session;
  std::unique_ptr<leat::LoadedModel> loaded;  // dies before the session
  std::vector<leat::KernelTime> profile;
  /// Of a model in parts: results that leat_run has described, and of which inputs.
  std::vector<leat::HostTensor> described;
  std::vector<leat::HostTensor> described_inputs;
};
