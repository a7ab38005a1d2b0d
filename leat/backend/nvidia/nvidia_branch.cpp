// The table of branches.
#include "leat/backend/nvidia/nvidia_branch.h"

#include <fmt/format.h>

#include <charconv>

namespace leat {

namespace {

constexpr NvidiaBranch kBranches[] = {
    {570, 56, 2, 460, 132, false},  {575, 56, 3, 460, 132, false}, {580, 64, 3, 1028, 132, true},
    {590, 64, 3, 1028, 132, false}, {595, 64, 3, 1028, 68, false},
};

}  // namespace

Result<NvidiaBranch> nvidia_branch_of(std::string_view version) {
  uint32_t major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  for (const NvidiaBranch& branch : kBranches) {
    if (branch.major == major) return branch;
  }
  return Error(ErrorKind::unsupported,
               fmt::format("NVIDIA driver ({}) is of a branch whose interface is not known here; "
                           "known are ({} to {}).",
                           version, kBranches[0].major, std::end(kBranches)[-1].major));
}

}  // namespace leat
