// A line on stderr that says how far a long piece of work is. It appears only on terminals and only
// after a second, so quick work and pipes see nothing of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace leat::cli {

/// "[######......]  123 of 1000  45.1 a second  0:19 left"; without a rate no time is told.
std::string progress_bar(uint64_t done, uint64_t count, double rate);

class Progress {
 public:
  /// `is_quiet` keeps it silent on terminals too.
  explicit Progress(bool is_quiet = false);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  /// Shows `text` instead of what stood there; cheap to call often.
  void show(std::string_view text);
  /// Takes the line away, before something else is printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool is_silent_;
  bool is_visible_ = false;
  Clock::time_point next_;
};

}  // namespace leat::cli
