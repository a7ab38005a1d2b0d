// See cpu_count.h. A limit may be set on a group or on any above it, and in a container the path in
// /proc/self/cgroup may be the host's, of which only the top is mounted: so every folder from the
// path's own up to the root is looked at, and those that are not there set no limit.
#include "leat/base/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "leat/base/files.h"

namespace leat {

namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
constexpr size_t kFileBytesMax = 65536;
constexpr size_t kAffinitySets = 8;  // of 1024 processors each, the kernel's most (NR_CPUS)

/// Both numbers of "quota period", or infinity: "max 100000", "-1 100000", no file.
double share_of(const std::string& numbers) {
  std::istringstream text(numbers);
  double quota = 0;
  double period = 0;
  return text >> quota >> period && quota > 0 && period > 0 ? quota / period : kNoLimit;
}

std::string text_of(const std::string& path) {
  const Result<std::string> text = read_file(path, kFileBytesMax);
  return text ? *text : "";
}

double share_in(const std::string& folder, bool is_unified) {
  if (is_unified) return share_of(text_of(folder + "/cpu.max"));
  return share_of(text_of(folder + "/cpu.cfs_quota_us") + " " +
                  text_of(folder + "/cpu.cfs_period_us"));
}

double share_up_from(const std::string& mount, std::string path, bool is_unified) {
  double share = share_in(mount, is_unified);
  while (path.size() > 1) {
    share = std::min(share, share_in(mount + path, is_unified));
    path.erase(path.rfind('/'));
  }
  return share;
}

}  // namespace

double cpu_share(std::string_view groups, const std::string& root) {
  double share = kNoLimit;
  std::istringstream lines{std::string(groups)};
  for (std::string line; std::getline(lines, line);) {  // number:controllers:path
    const size_t first = line.find(':');
    const size_t second = line.find(":/", first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool is_unified = controllers == ",,";
    if (!is_unified && controllers.find(",cpu,") == std::string::npos) continue;
    share = std::min(share, share_up_from(is_unified ? root : root + "/cpu",
                                          line.substr(second + 1), is_unified));
  }
  return share;
}

uint32_t usable_cpus() {
  static const uint32_t count = [] {
    cpu_set_t sets[kAffinitySets];
    const int got = sched_getaffinity(0, sizeof sets, sets);
    const double affine = got == 0 ? CPU_COUNT_S(sizeof sets, sets) : 1;
    const double share = cpu_share(text_of("/proc/self/cgroup"), "/sys/fs/cgroup");
    return static_cast<uint32_t>(std::max(1.0, std::min(affine, std::ceil(share))));
  }();
  return count;
}

}  // namespace leat
