// Reads, checks and writes the pipeline cache's file.
#include "leat/backend/vulkan/vulkan_pipeline_cache.h"

#include <string>

#include "leat/base/env.h"
#include "leat/base/files.h"

namespace leat {

namespace {

constexpr size_t kBodyBytesMax = size_t{256} << 20;

CacheKey key_of(const VulkanChip& chip) {
  SecureHasher hasher;
  hasher.add(static_cast<int64_t>(chip.vendor_id));
  hasher.add(static_cast<int64_t>(chip.device_id));
  hasher.add(static_cast<int64_t>(chip.driver_version));
  hasher.add(chip.info.driver);
  hasher.add_bytes(chip.cache_uuid.data(), chip.cache_uuid.size());
  return {"pipelines", hasher.digest()};
}

}  // namespace

void VulkanPipelineCache::open() {
  if (env_flag("LEAT_CACHE", true)) {
    if (Result<CacheStore> opened = CacheStore::open(cache_folder())) store_ = std::move(*opened);
  }
  const std::optional<CacheEntry> entry =
      store_ ? store_->find(key_of(context_.chip), kBodyBytesMax) : std::nullopt;
  VkPipelineCacheCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
      .initialDataSize = entry ? entry->body().size() : 0,
      .pInitialData = entry ? entry->body().data() : nullptr,
  };
  const auto create = context_.calls.vkCreatePipelineCache;
  if (create(context_.device, &info, nullptr, &cache_) == VK_SUCCESS) return;
  info.initialDataSize = 0;
  info.pInitialData = nullptr;
  if (create(context_.device, &info, nullptr, &cache_) != VK_SUCCESS) cache_ = VK_NULL_HANDLE;
}

VulkanPipelineCache::~VulkanPipelineCache() {
  if (cache_ == VK_NULL_HANDLE) return;
  if (changed_ && store_) save();
  context_.calls.vkDestroyPipelineCache(context_.device, cache_, nullptr);
}

void VulkanPipelineCache::save() {
  const auto get_data = context_.calls.vkGetPipelineCacheData;
  size_t size_bytes = 0;
  if (get_data(context_.device, cache_, &size_bytes, nullptr) != VK_SUCCESS) return;
  if (size_bytes == 0 || size_bytes > kBodyBytesMax) return;
  std::string payload(size_bytes, '\0');
  if (get_data(context_.device, cache_, &size_bytes, payload.data()) != VK_SUCCESS) return;
  payload.resize(size_bytes);
  store_->store(key_of(context_.chip), payload);
}

}  // namespace leat
