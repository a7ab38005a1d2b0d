// A stream of pictures through a network on one or several devices: decoded, resized, computed,
// classified, written. What `leat run` does with a folder and `leat bench flow` measures.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/model_files.h"
#include "leat/media/labels.h"
#include "leat/model/onnx_import.h"
#include "leat/run/juggler.h"

namespace leat::cli {

/// A stream may be endless, and so may what is wrong with it: more is only counted, by the report.
inline constexpr size_t kFailuresKept = 10'000;

struct PictureFailure {
  std::string picture;  // its path
  std::string error;    // one sentence
};

struct StreamOptions {
  std::string model;
  std::string input_folder;
  std::string output_folder;         // empty: results are made and dropped
  std::vector<std::string> devices;  // none: the best
  PictureOptions picture;
  int64_t top = 0;
  std::string labels;
  std::string cache_folder;
  size_t host_threads = 0;  // 0: as many as there are cores to spare
  uint64_t items = 0;       // 0: one for each picture; else pictures are taken in turn
  bool times = false;       // the device's own clock
  bool strict = false;      // ScheduleOptions::strict
  Precision precision = Precision::f32;
  bool trusts_kernels = false;
  Trace* trace = nullptr;
};

class PictureStream {
 public:
  /// Finds the pictures, imports the model and loads it on every device.
  /// Errors: those of files, model and devices; invalid_argument, when there is no picture, or when
  /// results would replace pictures.
  static Result<std::unique_ptr<PictureStream>> open(const StreamOptions& options);

  uint64_t count() const { return count_; }
  /// Whether the results and `others`, which will be written beside them, are files of their own
  /// and none that is read.
  Result<void> check_files(std::vector<std::string> others) const;
  /// The juggler's way. `progress` may be empty. Errors: device_lost.
  Result<JugglerReport> juggled(const std::function<void(const JugglerProgress&)>& progress);
  /// Step by step, on the first device: an item is begun when the one before is written. Seconds.
  Result<double> step_by_step(uint64_t items);

  /// Pictures without a result, the first kFailuresKept in the order of delivery.
  const std::vector<PictureFailure>& failures() const { return failures_; }
  CopyCounts copies() const;
  size_t device_count() const { return networks_.size(); }
  Network& network(size_t index) { return *networks_[index]; }
  size_t host_threads() const { return options_.host_threads; }

 private:
  PictureStream() = default;
  Result<void> find_pictures();
  Result<void> check_result_names() const;
  Result<void> load_networks();
  Result<void> check_views() const;
  Result<void> check_output() const;
  const std::string& path_of(uint64_t item) const { return paths_[item % paths_.size()]; }
  std::string result_path(uint64_t item) const;
  Result<void> prepare(size_t device, uint64_t item, size_t slot) const;
  Result<void> consume(size_t device, uint64_t item, size_t slot) const;

  StreamOptions options_;
  Model model_;
  PictureNumbers numbers_;
  Labels labels_;
  std::vector<std::string> paths_;
  uint64_t count_ = 0;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<std::unique_ptr<Network>> networks_;  // after the devices: they go first
  std::vector<PictureFailure> failures_;
};

/// The report as text, and as JSON.
std::string text_of(const JugglerReport& report);
nlohmann::ordered_json json_of(const JugglerReport& report);

}  // namespace leat::cli
