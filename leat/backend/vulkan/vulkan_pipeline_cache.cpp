// Reads, checks and writes the pipeline cache's file.
#include "leat/backend/vulkan/vulkan_pipeline_cache.h"

#include <fmt/format.h>

#include <cstring>

#include "leat/base/env.h"
#include "leat/base/files.h"
#include "leat/base/hash.h"

namespace leat {

namespace {

constexpr uint64_t kMagic = 0x31'63'70'76'74'61'65'6cull;  // "leatvpc1" in memory
constexpr size_t kFileBytesMax = size_t{256} << 20;

struct Header {
  uint64_t magic = kMagic;
  uint64_t payload_bytes = 0;
  uint64_t payload_hash = 0;
};

uint64_t hash_of(std::string_view bytes) {
  Hasher hasher;
  hasher.add_bytes(bytes.data(), bytes.size());
  return hasher.value();
}

std::string path_for(const VulkanChip& chip) {
  const std::string folder = cache_folder();
  if (folder.empty() || env("LEAT_CACHE") == "0") return "";
  Hasher hasher;
  hasher.add(static_cast<int64_t>(chip.vendor_id));
  hasher.add(static_cast<int64_t>(chip.device_id));
  hasher.add(static_cast<int64_t>(chip.driver_version));
  hasher.add(chip.info.driver);
  hasher.add_bytes(chip.cache_uuid.data(), chip.cache_uuid.size());
  return fmt::format("{}/vulkan-{}.cache", folder, hex_of(hasher.value()));
}

}  // namespace

std::string pack_pipeline_cache(std::string_view payload) {
  const Header header = {.payload_bytes = payload.size(), .payload_hash = hash_of(payload)};
  std::string file(sizeof header, '\0');
  std::memcpy(file.data(), &header, sizeof header);
  return file.append(payload);
}

std::optional<std::string_view> unpack_pipeline_cache(std::string_view file) {
  Header header;
  if (file.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, file.data(), sizeof header);
  const std::string_view payload = file.substr(sizeof header);
  if (header.magic != kMagic || header.payload_bytes != payload.size() ||
      header.payload_hash != hash_of(payload)) {
    return std::nullopt;
  }
  return payload;
}

void VulkanPipelineCache::open() {
  path_ = path_for(context_.chip);
  Result<std::string> file = path_.empty() ? std::string() : read_file(path_, kFileBytesMax);
  const auto payload = file ? unpack_pipeline_cache(*file) : std::nullopt;
  VkPipelineCacheCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
      .initialDataSize = payload ? payload->size() : 0,
      .pInitialData = payload ? payload->data() : nullptr,
  };
  const auto create = context_.calls.vkCreatePipelineCache;
  if (create(context_.device, &info, nullptr, &cache_) == VK_SUCCESS) return;
  info.initialDataSize = 0;
  info.pInitialData = nullptr;
  if (create(context_.device, &info, nullptr, &cache_) != VK_SUCCESS) cache_ = VK_NULL_HANDLE;
}

VulkanPipelineCache::~VulkanPipelineCache() {
  if (cache_ == VK_NULL_HANDLE) return;
  if (changed_ && !path_.empty()) save();
  context_.calls.vkDestroyPipelineCache(context_.device, cache_, nullptr);
}

void VulkanPipelineCache::save() const {
  const auto get_data = context_.calls.vkGetPipelineCacheData;
  size_t size_bytes = 0;
  if (get_data(context_.device, cache_, &size_bytes, nullptr) != VK_SUCCESS) return;
  if (size_bytes == 0 || size_bytes > kFileBytesMax) return;
  std::string payload(size_bytes, '\0');
  if (get_data(context_.device, cache_, &size_bytes, payload.data()) != VK_SUCCESS) return;
  payload.resize(size_bytes);
  static_cast<void>(write_file_atomically(path_, pack_pipeline_cache(payload)));
}

}  // namespace leat
