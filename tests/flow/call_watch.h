// Watches which Vulkan, EGL, GL and CUDA entry points this program asks for and how often it calls
// those that drain a device or a queue, write descriptors or take memory. It stands in front of
// dlsym, through which every backend finds its library's functions.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace leat {

/// False under sanitizers, whose run-time library looks functions up before it is ready for code of
/// ours: then nothing stands in front of dlsym and the rest has nothing to tell.
bool is_watching();
/// Names asked for so far, whichever way: dlsym, vkGet*ProcAddr, eglGetProcAddress.
std::set<std::string> asked_names();
/// Calls so far of a watched function; 0 for one that was never asked for.
uint64_t calls_of(const std::string& name);
/// Calls of those that wait for a whole queue, device or context.
uint64_t drain_calls();
/// The function as a backend would get it, or null: for the watch's own test.
void* find_through_watch(void* library, const char* name);

}  // namespace leat
