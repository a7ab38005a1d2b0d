// A packed model: a model with its kernels for several targets in one file, so that it runs where
// no compiler is. Format: docs/pack-format.md.
//
// A pack holds machine code, so it is trusted as a program is: its file must be one that only this
// user or root can write, every byte of it is under a hash, and what it says is checked before
// anything is made of it. The hash is nobody's signature: who may write the file may seal it anew.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/digest.h"
#include "leat/base/mapped_file.h"
#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/pack/run_plan.h"
#include "leat/tensor/model.h"

namespace leat {

/// How the files of packs end.
inline constexpr std::string_view kPackEnding = ".leat";

/// What a pack has for one target.
struct PackTarget {
  std::string name;  // as it was asked for: "cpu-x86-64-v3", "vulkan"
  Target target;
  RunPlan known_answer;  // of self_test (run/known_answer.h)
  RunPlan plan;
};

/// Bytes of a pack, and where they lie.
struct PackBlob {
  uint64_t offset_bytes = 0;
  std::span<const std::byte> bytes;
  Digest digest = {};
};

/// Whether the file begins as a pack does; false where it cannot be read, or is no regular file:
/// what is read from a pipe is gone for whoever reads it next.
bool is_pack_file(const std::string& path);

class Pack {
 public:
  /// Whether the bytes begin as those of a pack do.
  static bool is_pack(std::string_view bytes);
  /// Maps the file. Errors: io (no such file); invalid_argument (no pack, another version, damaged,
  /// one that others can write).
  static Result<std::shared_ptr<const Pack>> read(const std::string& path);
  /// The same of bytes, which are copied and trusted as far as the hash goes; `path` is for
  /// messages.
  static Result<std::shared_ptr<const Pack>> parse(std::string_view bytes, const std::string& path);

  /// Name, path, inputs, outputs and metadata; its graph is empty.
  const Model& model() const { return model_; }
  /// In the order of the file, which is that of preference.
  std::span<const PackTarget> targets() const { return targets_; }
  /// "cpu-x86-64-v3, vulkan".
  std::string target_names() const;
  /// The target whose kernels run best on such a device. Errors: unsupported, naming those that
  /// there are and why the nearest does not fit.
  Result<const PackTarget*> target_for(const Target& device, std::string_view device_name) const;
  /// That the code and weights of one target are as they were written: they are looked at only when
  /// they are used. Errors: invalid_argument.
  Result<void> check_blobs(const PackTarget& target) const;

 private:
  friend class PackReader;
  Pack() = default;

  MappedFile file_;
  std::vector<std::byte> copy_;  // or this
  Model model_;
  std::vector<PackBlob> blobs_;
  std::vector<PackTarget> targets_;
};

/// What goes into a pack. Weights and code are the caller's memory.
struct PackContent {
  Model model;  // its graph is not packed
  std::vector<PackTarget> targets;
};

/// The bytes of a pack's file. Errors: invalid_argument, when a target's plan is none that a reader
/// would take.
Result<std::string> pack_bytes(const PackContent& content);

/// A file's bytes, however they were changed, under a header that is right: size and hash. For
/// tests of the reader.
std::string sealed_pack(std::string file);

/// Why a target's code does not run on a device, empty when it does.
std::string misfit(const Target& target, const Target& device);

/// That a plan can be run: every number of it is one that Network takes without further checks.
/// Errors: invalid_argument, with what is wrong.
Result<void> check_plan(const RunPlan& plan);

}  // namespace leat
