#include "tests/amd/amd_capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "tests/amd/amd_capture_tensor.h"
#include "tests/amd/amd_packets.h"

namespace leat::amd_card {

namespace {

using nlohmann::json;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBytesMax = uint64_t{1} << 33;  // of all regions together
constexpr uint8_t kGarbage = 0xf5;                 // floats of it are large negative numbers
constexpr size_t kFailuresMax = 20;
constexpr uint32_t kPriv = 1 << 20;  // RSRC1

Error malformed(const std::string& text) { return Error(ErrorKind::invalid_argument, text); }

struct Region {
  std::string name, kind;
  uint64_t va = 0;
  std::vector<uint8_t> bytes;
};

struct Fence {
  uint64_t va = 0, value = 0;
  uint32_t bits = 32;
};

struct Range {
  uint64_t va = 0, size = 0;
};

/// One capture that is being run.
class Capture {
 public:
  Capture(std::string folder, const CaptureOptions& options)
      : folder_(std::move(folder)), options_(options) {}

  Result<CaptureReport> run() {
    TRY(read());
    for (const json& step : root_.at("steps")) {
      const std::string what = step.at("do").get<std::string>();
      if (what == "write") {
        TRY(write(step));
      } else if (what == "submit") {
        TRY(submit(step));
      } else if (what == "expect") {
        TRY(expect(step));
      } else {
        return malformed(fmt::format("Step \"{}\" is not known.", what));
      }
      if (report_.failures.size() >= kFailuresMax || is_lost_) break;
    }
    if (processor_ != nullptr) report_.instructions = processor_->emulator().instructions();
    return report_;
  }

 private:
  Result<std::vector<uint8_t>> read_file(const json& name, uint64_t offset, uint64_t size_max) {
    const std::string file = name.get<std::string>();
    if (file.empty() || file.find('/') != std::string::npos || file == "." || file == "..") {
      return malformed(fmt::format("File name \"{}\" is not one of this folder.", file));
    }
    const std::filesystem::path path = std::filesystem::path(folder_) / file;
    if (std::filesystem::is_symlink(path)) {
      return malformed(fmt::format("File \"{}\" is a link.", file));
    }
    std::ifstream in(path, std::ios::binary);
    if (!in) return Error(ErrorKind::io, fmt::format("File \"{}\" cannot be read.", path.string()));
    in.seekg(0, std::ios::end);
    const uint64_t size = uint64_t(in.tellg());
    if (offset > size) return malformed(fmt::format("File \"{}\" ends before {}.", file, offset));
    std::vector<uint8_t> bytes(std::min(size - offset, size_max));
    in.seekg(std::streamoff(offset));
    in.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(bytes.size()));
    if (!in) return Error(ErrorKind::io, fmt::format("File \"{}\" cannot be read.", file));
    return bytes;
  }

  Result<uint64_t> number(const json& object, const char* key, uint64_t otherwise) {
    return object.contains(key) ? parse_number(object[key]) : Result<uint64_t>(otherwise);
  }

  Result<void> read() {
    std::ifstream in(std::filesystem::path(folder_) / "capture.json");
    if (!in)
      return Error(ErrorKind::io, fmt::format("Folder \"{}\" has no capture.json.", folder_));
    root_ = json::parse(in, nullptr, false);
    if (root_.is_discarded() || !root_.is_object()) return malformed("capture.json is no JSON.");
    if (root_.value("format", "") != "gpu-capture" || root_.value("version", 0) != 1) {
      return malformed("This is no gpu-capture of version 1.");
    }
    ProcessorOptions options;
    const std::string target = root_.at("target").get<std::string>();
    if (target.starts_with("gfx11")) {
      options.emulator.generation = Generation::gfx11;
    } else if (target.starts_with("gfx12")) {
      options.emulator.generation = Generation::gfx12;
    } else {
      return malformed(fmt::format("Target \"{}\" is not emulated.", target));
    }
    options.emulator.order = options_.order;
    options.emulator.seed = options_.seed;
    options.emulator.instructions_max = options_.instructions_max;
    for (const json& region : root_.at("regions")) TRY(map(region));
    for (const BitFlip& flip : options_.flips) {
      uint8_t* byte = bytes_at(flip.va, 1);
      if (byte == nullptr) return malformed("A bit to be turned lies in no region.");
      *byte = uint8_t(*byte ^ flip.mask);
    }
    processor_ = std::make_unique<PacketProcessor>(memory_, options);
    processor_->before_launch = [this](const DispatchRecord& record) {
      return before_launch(record);
    };
    processor_->after_launch = [this](const DispatchRecord& record) {
      return after_launch(record);
    };
    return {};
  }

  Result<void> map(const json& item) {
    auto region = std::make_unique<Region>();
    region->name = item.value("name", "");
    region->kind = item.value("kind", "");
    TRY_ASSIGN(region->va, parse_number(item.at("va")));
    TRY_ASSIGN(uint64_t size, parse_number(item.at("size")));
    bytes_ += size;
    if (size == 0 || size % kPage != 0 || region->va % kPage != 0 || bytes_ > kBytesMax) {
      return malformed(fmt::format("Region \"{}\" is not whole pages.", region->name));
    }
    TRY_ASSIGN(uint64_t fill, number(item, "fill", 0));
    TRY_ASSIGN(uint64_t offset, number(item, "file_offset", 0));
    region->bytes.assign(size, uint8_t(fill));
    if (item.contains("file") && !item["file"].is_null()) {
      TRY_ASSIGN(std::vector<uint8_t> bytes, read_file(item["file"], offset, size));
      std::copy(bytes.begin(), bytes.end(), region->bytes.begin());
    }
    if (region->kind == "temp") std::fill(region->bytes.begin(), region->bytes.end(), kGarbage);
    uint8_t access = 0;
    for (const char letter : item.at("access").get<std::string>()) {
      if (letter != 'r' && letter != 'w' && letter != 'x')
        return malformed("Access is of r, w, x.");
      access |= letter == 'r' ? kRead : letter == 'w' ? kWrite : kRun;
    }
    const bool is_watched = region->kind == "data" || region->kind == "temp";
    if (!memory_.map(region->va, size, region->bytes.data(), access, region->name, is_watched)) {
      return malformed(fmt::format("Region \"{}\" overlaps another.", region->name));
    }
    regions_.push_back(std::move(region));
    return {};
  }

  Result<void> write(const json& step) {
    TRY_ASSIGN(uint64_t va, parse_number(step.at("va")));
    TRY_ASSIGN(uint64_t size, number(step, "size", kBytesMax));
    TRY_ASSIGN(uint64_t offset, number(step, "file_offset", 0));
    TRY_ASSIGN(std::vector<uint8_t> bytes, read_file(step.at("file"), offset, size));
    const MemoryRange* range = memory_.find(va, bytes.size());
    if (range == nullptr) return malformed(fmt::format("A write to 0x{:x} leaves its region.", va));
    std::copy(bytes.begin(), bytes.end(), range->host + (va - range->va));
    return {};
  }

  uint8_t* bytes_at(uint64_t va, uint64_t size) {
    const MemoryRange* range = memory_.find(va, size);
    return range == nullptr ? nullptr : range->host + (va - range->va);
  }

  void fill_garbage(const CaptureTensor& tensor) {
    for (int64_t k = 0; k < tensor.count(); ++k) {
      const uint64_t size = tensor.element_bytes();
      uint8_t* at = bytes_at(tensor.va + tensor.offset_of(k), size);
      if (at != nullptr) std::fill(at, at + size, kGarbage);
    }
  }

  /// Tensors that later `expect` steps look at must not hold their answers before anything ran.
  Result<void> hide_expected() {
    if (is_hidden_) return {};
    is_hidden_ = true;
    for (const json& step : root_.at("steps")) {
      if (step.at("do") != "expect") continue;
      TRY_ASSIGN(CaptureTensor tensor, parse_tensor(step));
      if (!tensor.is_inout) fill_garbage(tensor);
    }
    return {};
  }

  Result<void> parse_submit(const json& step) {
    fences_.clear();
    writes_.clear();
    ops_ = step.value("ops", json::array());
    intended_ = step.value("dispatches", json::array());
    for (const json& item : step.value("fences", json::array())) {
      Fence fence;
      TRY_ASSIGN(fence.va, parse_number(item.at("va")));
      TRY_ASSIGN(fence.value, parse_number(item.at("value")));
      fence.bits = item.value("bits", 32U);
      if (bytes_at(fence.va, fence.bits / 8) == nullptr) return malformed("A fence is unmapped.");
      fences_.push_back(fence);
    }
    for (const json& item : step.value("writes", json::array())) {
      Range range;
      TRY_ASSIGN(range.va, parse_number(item.at("va")));
      TRY_ASSIGN(range.size, parse_number(item.at("size")));
      writes_.push_back(range);
    }
    return {};
  }

  uint64_t fence_value(const Fence& fence) {
    uint64_t value = 0;
    std::memcpy(&value, bytes_at(fence.va, fence.bits / 8), fence.bits / 8);
    return value;
  }

  Result<void> submit(const json& step) {
    TRY(parse_submit(step));
    TRY(hide_expected());
    for (const Fence& fence : fences_) {
      if (fence_value(fence) == fence.value) {
        fail(fmt::format("fence 0x{:x} holds its value before the submission", fence.va));
      }
    }
    std::vector<std::vector<uint8_t>> before;
    if (step.contains("writes")) {
      for (const auto& region : regions_) before.push_back(region->bytes);
    }
    first_launch_ = processor_->launches();
    processor_->begin_submission();
    ++report_.submissions;
    const Result<void> done = run_packets(step);
    report_.launches = processor_->launches();
    if (!done) {
      fail(done.error().message());
      is_lost_ = true;
      return {};
    }
    if (processor_->is_waiting()) fail("the queue waits for memory that nobody writes");
    for (const Fence& fence : fences_) {
      ++report_.fences;
      if (fence_value(fence) == fence.value) continue;
      fail(fmt::format("fence 0x{:x} holds {} instead of {}", fence.va, fence_value(fence),
                       fence.value));
    }
    if (!intended_.empty() && processor_->launches() - first_launch_ != intended_.size()) {
      fail(fmt::format("{} launches ran instead of {}", processor_->launches() - first_launch_,
                       intended_.size()));
    }
    if (step.contains("writes")) compare_untouched(before);
    return {};
  }

  Result<void> run_packets(const json& step) {
    if (step.contains("ring") == step.contains("ib")) {
      return malformed("A submission has either a ring or an ib.");
    }
    is_by_ring_ = step.contains("ring");
    const json& place = is_by_ring_ ? step["ring"] : step["ib"];
    TRY_ASSIGN(uint64_t va, parse_number(place.at("va")));
    if (step.contains("ib")) {
      TRY_ASSIGN(uint64_t size_dw, parse_number(place.at("dw")));
      if (memory_.at(va, size_dw * 4, kRead | kRun) == nullptr) {
        return malformed("The indirect buffer is not mapped with rx.");
      }
      return processor_->run_buffer(va, size_dw);
    }
    TRY_ASSIGN(uint64_t size_dw, parse_number(place.at("size_dw")));
    TRY_ASSIGN(uint64_t read_dw, parse_number(place.at("read_dw")));
    TRY_ASSIGN(uint64_t write_dw, parse_number(place.at("write_dw")));
    if (size_dw == 0 || (size_dw & (size_dw - 1)) != 0)
      return malformed("size_dw is no power of 2.");
    if (place.contains("write_pointer_va")) {
      TRY_ASSIGN(uint64_t pointer, parse_number(place["write_pointer_va"]));
      uint64_t value = 0;
      const uint8_t* at = bytes_at(pointer, 8);
      if (at != nullptr) std::memcpy(&value, at, 8);
      if (value != write_dw) fail("the write pointer in memory is not write_dw");
    }
    return processor_->run_ring(va, size_dw, read_dw, write_dw);
  }

  bool may_change(uint64_t va) const {
    for (const Range& range : writes_) {
      if (va - range.va < range.size) return true;
    }
    for (const Fence& fence : fences_) {
      if (va - fence.va < fence.bits / 8) return true;
    }
    return false;
  }

  void compare_untouched(const std::vector<std::vector<uint8_t>>& before) {
    for (size_t r = 0; r < regions_.size(); ++r) {
      for (size_t k = 0; k < before[r].size(); ++k) {
        const uint64_t va = regions_[r]->va + k;
        if (regions_[r]->bytes[k] == before[r][k] || may_change(va)) continue;
        fail(fmt::format("byte 0x{:x} of \"{}\" changed, which no \"writes\" names", va,
                         regions_[r]->name));
        break;
      }
    }
  }

  /// Compares what a dispatch packet started with what was meant.
  void compare_dispatch(const DispatchRecord& record, const json& meant) {
    const Launch& launch = record.launch;
    const auto triple = [&](const char* key, const std::array<uint32_t, 3>& is) {
      if (meant.contains(key) && meant[key] != json(is)) {
        fail(fmt::format("launch {} has {} {} instead of {}", record.number, key, json(is).dump(),
                         meant[key].dump()));
      }
    };
    // On KFD's queues it keeps hardware traps out of gfx11.0, and nobody else asks for it.
    const bool has_priv = (launch.rsrc1 & kPriv) != 0;
    if (is_by_ring_ && has_priv != root_.at("target").get<std::string>().starts_with("gfx110")) {
      fail(fmt::format("launch {} {} PRIV", record.number, has_priv ? "has" : "lacks"));
    }
    triple("groups", launch.groups);
    triple("local", launch.threads);
    const uint64_t arguments = uint64_t{launch.user_data[1]} << 32 | launch.user_data[0];
    if (meant.contains("args") && parse_number(meant["args"]).value() != arguments) {
      fail(fmt::format("launch {} takes arguments at 0x{:x}", record.number, arguments));
    }
    for (const json& kernel : root_.value("kernels", json::array())) {
      if (!meant.contains("kernel") || meant["kernel"] != kernel.value("name", "")) continue;
      const Result<uint64_t> entry = parse_number(kernel.at("entry"));
      if (!entry || *entry != launch.entry) {
        fail(fmt::format("launch {} enters at 0x{:x}", record.number, launch.entry));
      }
      compare_descriptor(record, kernel);
    }
  }

  /// LDS, private memory, RSRC words and entry as the kernel descriptor has them.
  void compare_descriptor(const DispatchRecord& record, const json& kernel) {
    if (!kernel.contains("descriptor")) return;
    const Result<uint64_t> va = parse_number(kernel["descriptor"]);
    const uint8_t* bytes = va ? bytes_at(*va, 64) : nullptr;
    if (bytes == nullptr) return;
    uint32_t words[16];
    std::memcpy(words, bytes, 64);
    uint64_t entry;
    std::memcpy(&entry, bytes + 16, 8);
    const Launch& launch = record.launch;
    // SGPRS [9:6] is cleared and PRIV (20) may be set by the dispatcher; LDS_SIZE it fills in.
    const uint32_t rsrc1 = (launch.rsrc1 ^ words[12]) & ~0x001003c0U;
    const uint32_t rsrc2 = (launch.rsrc2 ^ words[13]) & ~0x00ff8000U;
    const uint32_t local = (launch.rsrc2 >> 15 & 0x1ff) * 512;
    const bool has_scratch = (launch.rsrc2 & 1) != 0;
    const bool is_same = *va + entry == launch.entry && rsrc1 == 0 && rsrc2 == 0 &&
                         launch.rsrc3 == words[11] && local >= words[0] &&
                         (has_scratch ? launch.scratch_bytes >= words[1] : words[1] == 0);
    if (!is_same) fail(fmt::format("launch {} differs from its descriptor", record.number));
    // What is reserved, PRIV, and properties that no dispatcher of ours serves.
    constexpr uint32_t kArguments = 1 << 3, kWave32 = 1 << 10, kServed = kArguments | kWave32;
    bool is_clean = words[3] == 0 && words[15] == 0 && (words[14] & ~kServed) == 0 &&
                    (words[14] & kWave32) != 0 && (words[13] & 0x00ff8000) == 0 &&
                    (words[12] & kPriv) == 0 && (words[2] == 0 || (words[14] & kArguments) != 0);
    for (size_t k = 6; k < 11; ++k) is_clean = is_clean && words[k] == 0;
    if (!is_clean) fail(fmt::format("launch {}: its descriptor has unknown fields", record.number));
    const uint64_t arguments = uint64_t{launch.user_data[1]} << 32 | launch.user_data[0];
    // HSA Runtime: a segment of arguments begins at a multiple of 16.
    if (words[2] > 0 && arguments % 16 != 0) {
      fail(fmt::format("launch {}: arguments at 0x{:x} are not aligned", record.number, arguments));
    }
    if (words[2] > 0 && memory_.at(arguments, words[2], kRead) == nullptr) {
      fail(fmt::format("launch {}: {} bytes of arguments are not mapped", record.number, words[2]));
    }
  }

  Result<void> before_launch(const DispatchRecord& record) {
    const uint32_t index = record.number - first_launch_ - 1;
    if (index < intended_.size()) compare_dispatch(record, intended_[index]);
    for (const json& op : ops_) {
      if (op.at("first").get<uint32_t>() != index) continue;
      std::map<std::string, Values> values;
      for (const json& item : op.at("inputs")) {
        TRY_ASSIGN(CaptureTensor tensor, parse_tensor(item));
        TRY_ASSIGN(Values read, read_tensor(tensor));
        values[tensor.name] = std::move(read);
      }
      const Result<void> done = compute_nodes(op.at("nodes"), values);
      if (!done) fail(fmt::format("op \"{}\": {}", op.value("name", ""), done.error().message()));
      computed_[op.value("name", "")] = std::move(values);
    }
    return {};
  }

  Result<void> after_launch(const DispatchRecord& record) {
    const uint32_t index = record.number - first_launch_ - 1;
    for (const json& op : ops_) {
      if (op.at("last").get<uint32_t>() != index) continue;
      const auto values = computed_.find(op.value("name", ""));
      if (values == computed_.end()) continue;
      for (const json& item : op.at("outputs")) {
        TRY_ASSIGN(CaptureTensor tensor, parse_tensor(item));
        const auto want = values->second.find(tensor.name);
        if (want == values->second.end()) {
          fail(fmt::format("op \"{}\" does not compute \"{}\"", op.value("name", ""), tensor.name));
          continue;
        }
        TRY_ASSIGN(Values got, read_tensor(tensor));
        compare(tensor, got, want->second.at);
      }
    }
    return {};
  }

  Result<Values> read_tensor(const CaptureTensor& tensor) {
    Values values;
    values.shape = tensor.shape;
    const uint8_t* bytes = bytes_at(tensor.va, std::max<uint64_t>(tensor.extent_bytes(), 1));
    if (bytes == nullptr) {
      return malformed(fmt::format("Tensor \"{}\" leaves its region.", tensor.name));
    }
    for (int64_t k = 0; k < tensor.count(); ++k) {
      values.at.push_back(element_value(tensor.dtype, bytes + tensor.offset_of(k)));
    }
    return values;
  }

  void compare(const CaptureTensor& tensor, const Values& got, const std::vector<double>& want) {
    ++report_.tensors;
    if (got.at.size() != want.size()) {
      return fail(fmt::format("tensor \"{}\" has {} elements instead of {}", tensor.name,
                              got.at.size(), want.size()));
    }
    for (size_t k = 0; k < want.size(); ++k) {
      const double a = got.at[k], b = want[k];
      const bool is_equal = a == b || (std::isnan(a) && std::isnan(b)) ||
                            std::fabs(a - b) <= tensor.atol + tensor.rtol * std::fabs(b);
      if (is_equal) continue;
      return fail(fmt::format("tensor \"{}\", element {}: {} instead of {}", tensor.name, k, a, b));
    }
  }

  Result<void> expect(const json& step) {
    TRY_ASSIGN(CaptureTensor tensor, parse_tensor(step));
    const uint64_t size = uint64_t(tensor.count()) * tensor.element_bytes();
    TRY_ASSIGN(std::vector<uint8_t> bytes, read_file(step.at("file"), 0, size));
    if (bytes.size() != size) return malformed("An expected tensor's file is too short.");
    std::vector<double> want;
    for (uint64_t at = 0; at < size; at += tensor.element_bytes()) {
      want.push_back(element_value(tensor.dtype, bytes.data() + at));
    }
    TRY_ASSIGN(Values got, read_tensor(tensor));
    compare(tensor, got, want);
    return {};
  }

  void fail(const std::string& text) { report_.failures.push_back(text); }

  std::string folder_;
  CaptureOptions options_;
  json root_;
  GpuMemory memory_;
  std::vector<std::unique_ptr<Region>> regions_;
  std::unique_ptr<PacketProcessor> processor_;
  std::vector<Fence> fences_;
  std::vector<Range> writes_;
  json ops_, intended_;
  std::map<std::string, std::map<std::string, Values>> computed_;
  uint32_t first_launch_ = 0;
  uint64_t bytes_ = 0;
  bool is_hidden_ = false, is_lost_ = false, is_by_ring_ = false;
  CaptureReport report_;
};

}  // namespace

Result<CaptureReport> check_capture(const std::string& folder, const CaptureOptions& options) {
  try {
    return Capture(folder, options).run();
  } catch (
      const nlohmann::json::exception& error) {  // a key that is missing, a value of another kind
    return malformed(fmt::format("capture.json: {}.", error.what()));
  }
}

}  // namespace leat::amd_card
