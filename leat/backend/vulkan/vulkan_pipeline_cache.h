// The driver's pipeline cache, kept between runs as an entry of our cache that chip and driver name
// (cache_store.h). LEAT_CACHE=0 keeps it in memory only.
// Drivers check little of what they are handed, so the entry's seal stands before them. Every
// failure here is silent: the cache saves time, no more.
#pragma once

#include <optional>

#include "leat/backend/vulkan/vulkan_context.h"
#include "leat/base/cache_store.h"

namespace leat {

class VulkanPipelineCache {
 public:
  explicit VulkanPipelineCache(VulkanContext& context) : context_(context) {}
  ~VulkanPipelineCache();

  /// Reads the file if there is a good one.
  void open();
  VkPipelineCache handle() const { return cache_; }
  /// The cache holds something new, which is written when this object dies.
  void mark_changed() { changed_ = true; }

 private:
  void save();

  VulkanContext& context_;
  std::optional<CacheStore> store_;  // none: memory only
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  bool changed_ = false;
};

}  // namespace leat
