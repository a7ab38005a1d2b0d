// What tuning found, kept between runs: one SQLite file in the cache folder, tune.db. Several
// processes may use it at once, and one may be killed at any moment: what was committed stays.
// An entry only says how fast something is. What it names is parsed and held to is_legal() before
// it is used, so that no file can make a kernel wrong.
// Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/c3ref/intro.html.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "leat/base/digest.h"
#include "leat/base/result.h"

struct sqlite3;

namespace leat {

/// What a result was measured on. Results of another build (driver, compiler, emitter) of the same
/// chip are stale, not wrong: they are where a search begins.
struct TuneChip {
  std::string chip;   // chip, route, units, memory: what makes speeds comparable
  std::string build;  // driver with its compiler, target, version and commit of Leat
};

/// The fastest known way of computing one node on one chip.
struct TuneEntry {
  TuneChip on;
  Digest kernel = {};        // of kernel_key
  std::string shape;         // ShapeClass as text: for people, and to find what is near
  std::string params;        // to_string(KernelParams)
  double seconds = 0;        // of one run
  double model_seconds = 0;  // of the analytic model's choice; 0: not measured
  uint32_t tried = 0;        // ways that were measured
  bool finished = true;      // the search ended by itself, not by its time
  std::string date;          // "2026-11-29"
};

/// A way that is never run again by itself.
struct QuarantinedWay {
  std::string chip;
  Digest kernel = {};
  std::string params;
  std::string reason;
};

/// More entries than these are not kept: the oldest go.
inline constexpr size_t kTuneEntriesMax = 100'000;

class TuneStore {
 public:
  /// `folder` is private (private_folder.h) and made where it is missing. A file that is no store
  /// of this version is put aside as tune.db.damaged and begun anew. A way with which two processes
  /// died is quarantined: of one nobody knows whether it was the way. Errors: io, invalid_argument.
  static Result<TuneStore> open(const std::string& folder);
  /// Whether there is a store to open.
  static bool exists(const std::string& folder);
  TuneStore(TuneStore&&) noexcept;
  TuneStore& operator=(TuneStore&&) noexcept;
  ~TuneStore();

  /// Of one chip, or of all where it is empty; the newest first.
  Result<std::vector<TuneEntry>> entries(const std::string& chip = "") const;
  Result<std::vector<QuarantinedWay>> quarantined(const std::string& chip = "") const;
  /// In place of what is there for this chip, build and kernel. Errors: io.
  Result<void> keep(const TuneEntry& entry);
  /// A way is about to run for the first time; where the process dies meanwhile, the next one
  /// that opens the store finds it.
  Result<void> begin_trial(const std::string& chip, const Digest& kernel,
                           const std::string& params);
  /// It has been measured, or is quarantined for this reason.
  Result<void> end_trial(const std::string& chip, const Digest& kernel, const std::string& params,
                         const std::string& reason);
  /// Entries and quarantined ways of the chips whose text contains this, of all where it is empty;
  /// how many entries went.
  Result<size_t> forget(const std::string& chip_part);

  /// All entries as JSON, and back; how many were taken. Entries that are there and measured on the
  /// same build stay where they are faster. Errors: invalid_argument, naming what is wrong.
  Result<std::string> export_json() const;
  Result<size_t> import_json(const std::string& text);

 private:
  explicit TuneStore(sqlite3* database) : database_(database) {}
  Result<void> prepare();
  Result<void> count_deaths();
  Result<void> insert(const TuneEntry& entry);
  Result<void> trim();
  bool is_damaged();

  sqlite3* database_ = nullptr;
};

}  // namespace leat
