// How many processors this process may use at once: fewer than the machine has under taskset, in a
// container, or in a systemd unit with a CPUQuota.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leat {

/// At least 1: the processors of this thread's affinity, but no more than the control group's share
/// of time makes up, rounded up. Looked up once.
uint32_t usable_cpus();

/// Processors' worth of time that the process's control groups leave it; infinity without a limit.
/// `groups` is the text of /proc/self/cgroup, `root` the folder in which the groups are mounted.
/// Source: cgroups(7); the kernel's documentation, "Control Group v2", cpu.max, and "CFS Bandwidth
/// Control", cpu.cfs_quota_us.
double cpu_share(std::string_view groups, const std::string& root);

}  // namespace leat
