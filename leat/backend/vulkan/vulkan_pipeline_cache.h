// The driver's pipeline cache, kept between runs in the file vulkan-KEY.cache of the cache folder;
// KEY names chip and driver. LEAT_CACHE=0 keeps it in memory only.
// Drivers check little of what they are handed, so the file carries our own hash; one that does not
// match is ignored and written anew. Every failure here is silent: the cache saves time, no more.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "leat/backend/vulkan/vulkan_context.h"

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
  void save() const;

  VulkanContext& context_;
  std::string path_;  // empty: memory only
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  bool changed_ = false;
};

/// The file's form: magic, size and hash before the driver's bytes. Null when `file` is damaged.
std::string pack_pipeline_cache(std::string_view payload);
std::optional<std::string_view> unpack_pipeline_cache(std::string_view file);

}  // namespace leat
