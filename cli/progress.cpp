// See progress.h.
#include "cli/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "leat/base/printable.h"

namespace leat::cli {

namespace {

constexpr auto kFirstDelay = std::chrono::seconds(1);
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr size_t kColumnsMax = 75;  // and "..."; a line that wraps could not be taken away

}  // namespace

Progress::Progress(bool is_quiet)
    : is_silent_(is_quiet || isatty(STDERR_FILENO) == 0), next_(Clock::now() + kFirstDelay) {}

void Progress::show(std::string_view text) {
  if (is_silent_ || Clock::now() < next_) return;
  next_ = Clock::now() + kInterval;
  is_visible_ = true;
  const std::string line = "\r\033[K" + printable(text, kColumnsMax);
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

std::string progress_bar(uint64_t done, uint64_t count, double rate) {
  constexpr uint64_t kBarColumns = 24;
  const uint64_t filled = count == 0 ? kBarColumns : std::min(done, count) * kBarColumns / count;
  std::string text = "[" + std::string(filled, '#') + std::string(kBarColumns - filled, '.') + "]";
  text += fmt::format("  {} of {}", done, count);
  if (rate <= 0) return text;
  const auto left =
      static_cast<uint64_t>(static_cast<double>(count - std::min(done, count)) / rate);
  return text + fmt::format("  {:.1f} a second  {}:{:02} left", rate, left / 60, left % 60);
}

void Progress::clear() {
  if (!is_visible_) return;
  is_visible_ = false;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

}  // namespace leat::cli
