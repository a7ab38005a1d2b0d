// Source: Linux amdkfd/kfd_topology.c (names of properties); amdkfd/kfd_queue.c (save area); Mesa
// amd/common/ac_gpu_info.c, ac_compute_device_uuid (the UUID by which Vulkan shows a card).
#include "leat/backend/amd/amd_card.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <sstream>

#include "leat/backend/amd/amd_kfd_abi.h"
#include "leat/base/amd_target.h"
#include "leat/base/numbers.h"

namespace leat {

namespace {

constexpr char kNodes[] = "/sys/devices/virtual/kfd/kfd/topology/nodes/";
constexpr uint32_t kNodesMax = 64;

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

/// PCI domain, bus, device and function, a word each; empty where the kernel does not tell.
std::string uuid_of(const Properties& properties) {
  if (!properties.contains("location_id")) return "";
  const uint32_t place = find(properties, "location_id");  // bus [15:8], device [7:3], function
  std::string hex;
  for (const uint32_t word :
       {find(properties, "domain"), place >> 8 & 0xff, place >> 3 & 0x1f, place & 7}) {
    for (uint32_t byte = 0; byte < 4; ++byte) hex += fmt::format("{:02x}", word >> 8 * byte & 0xff);
  }
  return hex;
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
  TRY_ASSIGN(card.target, amd_target(card.chip->target));
  card.target.compute_units = card.compute_units;
  card.info.chip = fmt::format("AMD {} ({} compute units)", card.chip->target, card.compute_units);
  card.info.vendor = "AMD";
  card.info.route = Route::direct;
  const auto memory = properties.find("local_mem_size");
  card.info.memory_bytes = memory == properties.end() ? 0 : memory->second;
  return card;
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
      return Error(ErrorKind::unsupported,
                   fmt::format("The system shows no AMD GPU for compute: {}gpu_id cannot be read "
                               "({}); the kernel's module amdgpu, with HSA_AMD, makes it.",
                               folder, std::strerror(errno)));
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
  return cards;
}

}  // namespace leat
