// Source: Linux amdkfd/kfd_topology.c (names of properties); amdkfd/kfd_queue.c (save area); Mesa
// amd/common/ac_gpu_info.c, ac_compute_device_uuid (the UUID by which Vulkan shows a card).
#include "leat/backend/amd/amd_card.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>

#include "leat/backend/amd/amd_drm.h"
#include "leat/backend/amd/amd_kfd_abi.h"
#include "leat/base/amd_target.h"
#include "leat/base/numbers.h"

namespace leat {

namespace {

constexpr char kNodes[] = "/sys/devices/virtual/kfd/kfd/topology/nodes/";
constexpr uint32_t kNodesMax = 64;
constexpr uint32_t kRenderMinorFirst = 128, kRenderNodesMax = 16;
constexpr uint64_t kVendorAmd = 0x1002;
// Of gfx10.3 and later, two SIMDs of 16 waves: KFD's max_slots_scratch_cu, kfd_topology.c.
constexpr uint32_t kScratchWavesPerCu = 32;

using Properties = std::map<std::string, uint64_t>;

/// Lines of "name value".
Properties read_properties(const std::string& text) {
  Properties properties;
  std::istringstream lines(text);
  std::string name;
  uint64_t value = 0;
  while (lines >> name >> value) properties[name] = value;
  return properties;
}

uint32_t find(const Properties& properties, const char* name) {
  const auto found = properties.find(name);
  return found == properties.end() ? 0 : static_cast<uint32_t>(found->second);
}

/// PCI domain, bus, device and function, a word each.
std::string uuid_of(const std::array<uint32_t, 4>& words) {
  std::string hex;
  for (const uint32_t word : words) {
    for (uint32_t byte = 0; byte < 4; ++byte) hex += fmt::format("{:02x}", word >> 8 * byte & 0xff);
  }
  return hex;
}

/// Empty where the kernel does not tell.
std::string uuid_of(const Properties& properties) {
  if (!properties.contains("location_id")) return "";
  const uint32_t place = find(properties, "location_id");  // bus [15:8], device [7:3], function
  return uuid_of({find(properties, "domain"), place >> 8 & 0xff, place >> 3 & 0x1f, place & 7});
}

/// What the kernel says it wants, or what it may want.
std::vector<AmdSaveArea> save_areas_of(const Properties& properties, const AmdCard& card) {
  AmdSaveArea computed = save_area_of(card.compute_units, card.chip->vgpr_bytes_per_cu);
  if (find(properties, "cwsr_size") != 0 && find(properties, "ctl_stack_size") != 0) {
    computed.save_bytes = find(properties, "cwsr_size");
    computed.control_stack_bytes = find(properties, "ctl_stack_size");
    return {computed};
  }
  if (card.chip->vgpr_bytes_per_cu_early == 0) return {computed};
  return {computed, save_area_of(card.compute_units, card.chip->vgpr_bytes_per_cu_early)};
}

/// What follows from chip and compute units.
Result<void> describe(AmdCard& card) {
  TRY_ASSIGN(card.target, amd_target(card.chip->target));
  card.target.compute_units = card.compute_units;
  card.info.chip = fmt::format("AMD {} ({} compute units)", card.chip->target, card.compute_units);
  card.info.vendor = "AMD";
  card.info.route = Route::direct;
  return {};
}

Result<AmdCard> card_of(uint32_t gpu_id, const Properties& properties) {
  const uint32_t version = find(properties, "gfx_target_version");
  AmdCard card;
  card.chip = find_amd_chip(version);
  if (card.chip == nullptr) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("The GPU of gfx_target_version ({}) is none that this route drives.", version));
  }
  const uint32_t simds_per_cu = find(properties, "simd_per_cu");
  const uint32_t arrays_per_engine = find(properties, "simd_arrays_per_engine");
  if (simds_per_cu == 0 || arrays_per_engine == 0 || find(properties, "num_xcc") > 1) {
    return Error(ErrorKind::unsupported,
                 fmt::format("KFD's topology of {} is not that of one chip.", card.chip->target));
  }
  card.gpu_id = gpu_id;
  card.render_minor = find(properties, "drm_render_minor");
  card.compute_units = find(properties, "simd_count") / simds_per_cu;
  card.shader_engines = find(properties, "array_count") / arrays_per_engine;
  card.scratch_waves_per_cu = find(properties, "max_slots_scratch_cu");
  card.save_areas = save_areas_of(properties, card);
  card.uuid_hex = uuid_of(properties);
  const auto memory = properties.find("local_mem_size");
  card.info.memory_bytes = memory == properties.end() ? 0 : memory->second;
  TRY(describe(card));
  return card;
}

// --- Render nodes -------------------------------------------------------------------------------

/// A number in a file of the node's device in sysfs; 0 where there is none.
uint64_t read_number(const AmdOs& os, uint32_t minor, const char* file) {
  std::string text;
  const std::string path = fmt::format("/sys/class/drm/renderD{}/device/{}", minor, file);
  return os.read_file(os.context, path, text) ? std::strtoull(text.c_str(), nullptr, 0) : 0;
}

/// "PCI_SLOT_NAME=0000:03:00.0" of the device's events.
std::string uuid_of_render(const AmdOs& os, uint32_t minor) {
  constexpr std::string_view kName = "PCI_SLOT_NAME=";
  std::string text;
  if (!os.read_file(os.context, fmt::format("/sys/class/drm/renderD{}/device/uevent", minor), text))
    return "";
  const size_t at = text.find(kName);
  std::array<uint32_t, 4> words = {};
  if (at == std::string::npos || std::sscanf(text.c_str() + at + kName.size(), "%x:%x:%x.%x",
                                             &words[0], &words[1], &words[2], &words[3]) != 4) {
    return "";
  }
  return uuid_of(words);
}

Result<AmdCard> render_card_of(const AmdOs& os, uint32_t minor) {
  // The graphics block is number 11 of the chip's parts: Linux soc15_hw_ip.h, GC_HWID.
  const auto part = [&](const char* file) {
    return static_cast<uint32_t>(
        read_number(os, minor, fmt::format("ip_discovery/die/0/11/0/{}", file).c_str()));
  };
  AmdCard card;
  card.chip = find_amd_chip_of_block(part("major"), part("minor"), part("revision"));
  if (card.chip == nullptr) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("The GPU of renderD{} with graphics block ({}.{}.{}) is none that this "
                    "route drives.",
                    minor, part("major"), part("minor"), part("revision")));
  }
  AmdDrm drm(os);
  TRY(drm.open(minor));
  card.render_minor = minor;
  card.compute_units = drm.device().compute_units;
  card.shader_engines = drm.device().shader_engines;
  if (card.compute_units == 0 || card.shader_engines == 0) {
    return Error(ErrorKind::unsupported,
                 fmt::format("amdgpu tells of no compute units of renderD{}.", minor));
  }
  card.scratch_waves_per_cu = kScratchWavesPerCu;
  card.uuid_hex = uuid_of_render(os, minor);
  card.info.memory_bytes = read_number(os, minor, "mem_info_vram_total");
  TRY(describe(card));
  return card;
}

std::vector<Result<AmdCard>> find_render_cards(const AmdOs& os) {
  std::vector<Result<AmdCard>> cards;
  for (uint32_t minor = kRenderMinorFirst; minor < kRenderMinorFirst + kRenderNodesMax; ++minor) {
    if (read_number(os, minor, "vendor") == kVendorAmd) cards.push_back(render_card_of(os, minor));
  }
  return cards;
}

}  // namespace

uint64_t AmdSaveArea::total_bytes() const {
  return round_up(uint64_t{save_bytes} + debug_bytes, kfd::kPageBytes);
}

AmdSaveArea save_area_of(uint32_t compute_units, uint32_t vgpr_bytes_per_cu) {
  constexpr uint32_t kWavesPerCu = 32, kStackBytesPerWave = 12, kStackTailBytes = 8,
                     kSgprBytesPerCu = 0x4000, kLdsBytesPerCu = 0x10000,
                     kRegisterBytesPerCu = 0x1000, kDebugBytesPerWave = 32, kDebugAlignment = 64;
  const uint32_t waves = kWavesPerCu * compute_units;
  const uint32_t per_cu =
      vgpr_bytes_per_cu + kSgprBytesPerCu + kLdsBytesPerCu + kRegisterBytesPerCu;
  AmdSaveArea area;
  area.control_stack_bytes =
      round_up(uint32_t{sizeof(kfd::SaveAreaHeader)} + waves * kStackBytesPerWave + kStackTailBytes,
               kfd::kPageBytes);
  area.save_bytes =
      area.control_stack_bytes + round_up(compute_units * per_cu, uint32_t{kfd::kPageBytes});
  area.debug_bytes = round_up(kDebugBytesPerWave * waves, kDebugAlignment);
  return area;
}

Result<std::vector<Result<AmdCard>>> find_amd_cards(const AmdOs& os) {
  std::vector<Result<AmdCard>> cards;
  for (uint32_t node = 0; node < kNodesMax; ++node) {
    const std::string folder = fmt::format("{}{}/", kNodes, node);
    std::string gpu_id, properties;
    if (!os.read_file(os.context, folder + "gpu_id", gpu_id)) {
      if (node > 0) break;
      const int error = errno;
      cards = find_render_cards(os);
      if (!cards.empty()) return cards;
      return Error(ErrorKind::unsupported,
                   fmt::format("The system shows no AMD GPU for compute: {}gpu_id cannot be read "
                               "({}); the kernel's module amdgpu, with HSA_AMD, makes it. Nor "
                               "is there a render node of one.",
                               folder, std::strerror(error)));
    }
    const uint64_t id = std::strtoull(gpu_id.c_str(), nullptr, 10);
    if (id == 0 || id > UINT32_MAX) continue;  // a CPU
    // A container's device cgroup hides the properties of cards that it does not pass on.
    if (!os.read_file(os.context, folder + "properties", properties)) {
      cards.emplace_back(
          Error(ErrorKind::unsupported,
                fmt::format("{}properties cannot be read ({}).", folder, std::strerror(errno))));
      continue;
    }
    cards.push_back(card_of(static_cast<uint32_t>(id), read_properties(properties)));
  }
  if (cards.empty()) return find_render_cards(os);
  return cards;
}

}  // namespace leat
