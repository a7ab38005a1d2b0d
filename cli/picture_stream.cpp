// See picture_stream.h.
#include "cli/picture_stream.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/device_choice.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/view_files.h"
#include "leat/base/cpu_count.h"
#include "leat/base/output_file.h"
#include "leat/base/printable.h"
#include "leat/device/spin.h"

namespace leat::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t kPicturesMax = size_t{1} << 22;
// Slots beyond what the host threads can fill bring nothing.
constexpr uint32_t kSlotsMin = 3;
constexpr uint32_t kSlotsMax = 32;

size_t threads_to_spare(const std::vector<std::unique_ptr<Device>>& devices) {
  const size_t cores = usable_cpus();
  const bool has_gpu = std::ranges::any_of(devices, [](const auto& device) {
    return !device->info().software && !device->target().is_cpu;
  });
  return has_gpu ? std::max<size_t>(1, cores - 1) : cores;  // one drives the GPU
}

}  // namespace

Result<std::unique_ptr<PictureStream>> PictureStream::open(const StreamOptions& options) {
  std::unique_ptr<PictureStream> stream(new PictureStream);
  stream->options_ = options;
  TRY(stream->find_pictures());
  TRY_ASSIGN(stream->model_,
             import_onnx(options.model, {.trusts_kernels = options.trusts_kernels}));
  if (stream->model_.inputs.size() != 1 || stream->model_.outputs.empty()) {
    return Error(ErrorKind::unsupported,
                 fmt::format("A folder of pictures needs a model with one input; \"{}\" has ({}).",
                             options.model, stream->model_.inputs.size()));
  }
  TRY_ASSIGN(stream->numbers_, picture_numbers(options.picture, stream->model_));
  if (!options.labels.empty()) {
    TRY_ASSIGN(stream->labels_, read_labels(options.labels));
  }
  TRY(stream->load_networks());
  TRY(stream->check_views());
  TRY(stream->check_output());
  return stream;
}

Result<void> PictureStream::find_pictures() {
  std::error_code error;
  for (fs::directory_iterator entry(options_.input_folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_regular_file(ignored) || !is_picture_path(entry->path().string())) continue;
    paths_.push_back(entry->path().string());
    if (paths_.size() > kPicturesMax) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Folder \"{}\" holds more pictures than the limit ({}).",
                               options_.input_folder, kPicturesMax));
    }
  }
  if (error) {
    return Error(ErrorKind::io, fmt::format("Folder \"{}\" cannot be read: {}.",
                                            options_.input_folder, error.message()));
  }
  if (paths_.empty()) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Folder \"{}\" holds no picture (.png, .jpg).", options_.input_folder));
  }
  std::ranges::sort(paths_);
  TRY(check_result_names());
  count_ = options_.items == 0 ? paths_.size() : options_.items;
  return {};
}

// A result is named after its picture without the ending, so cat.png and cat.jpg would be one file.
Result<void> PictureStream::check_result_names() const {
  std::map<std::string, std::string> owners;
  for (const std::string& path : paths_) {
    const auto [owner, is_first] = owners.emplace(fs::path(path).stem().string(), path);
    if (is_first || options_.output_folder.empty()) continue;
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Pictures \"{}\" and \"{}\" would give results of one name.",
                             owner->second, path));
  }
  return {};
}

Result<void> PictureStream::load_networks() {
  std::vector<std::string> specs = options_.devices;
  if (specs.empty()) specs.push_back("");
  for (const std::string& spec : specs) {
    TRY_ASSIGN(std::unique_ptr<Device> device, open_by_spec(spec));
    devices_.push_back(std::move(device));
  }
  if (options_.host_threads == 0) options_.host_threads = threads_to_spare(devices_);
  NetworkOptions network;
  network.cache_folder = options_.cache_folder;
  network.receipts = true;
  network.times = options_.times;
  network.schedule.strict = options_.strict;
  network.schedule.precision = options_.precision;
  network.slots =
      std::clamp(static_cast<uint32_t>(options_.host_threads) + 2, kSlotsMin, kSlotsMax);
  for (const std::unique_ptr<Device>& device : devices_) {
    TRY_ASSIGN(std::unique_ptr<Network> loaded, Network::load(*device, model_.graph, network));
    networks_.push_back(std::move(loaded));
  }
  return {};
}

Result<void> PictureStream::check_views() const {
  for (const std::unique_ptr<Network>& network : networks_) {
    if (is_in_place(network->input_view(0)) && is_in_place(network->output_view(0))) continue;
    return Error(ErrorKind::unsupported,
                 fmt::format("Device \"{}\" does not let the host write the model's input, or read "
                             "its output, in place.",
                             network->device().info().name));
  }
  return {};
}

// Found out here and not by each picture, when it has been computed.
Result<void> PictureStream::check_output() const {
  const std::string& folder = options_.output_folder;
  if (folder.empty()) return {};
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && access(folder.c_str(), W_OK | X_OK) != 0) {
    error = std::error_code(errno, std::generic_category());
  }
  if (error) {
    return Error(ErrorKind::io,
                 fmt::format("Folder \"{}\" cannot be written to: {}.", folder, error.message()));
  }
  const ResultFile kind = result_file_of(networks_[0]->output_view(0), options_.top);
  if (kind != ResultFile::picture || !fs::equivalent(folder, options_.input_folder, error)) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("Folder \"{}\" is both input and output: the results, pictures too, "
                           "would replace the pictures that they are made of.",
                           folder));
}

std::string PictureStream::result_path(uint64_t item) const {
  const ResultFile kind = result_file_of(networks_[0]->output_view(0), options_.top);
  std::string stem = fs::path(path_of(item)).stem().string();
  if (options_.items > paths_.size()) stem += fmt::format("_{}", item / paths_.size());
  return options_.output_folder + "/" + stem + std::string(ending_of(kind));
}

Result<void> PictureStream::check_files(std::vector<std::string> others) const {
  for (uint64_t item = 0; item < count_ && !options_.output_folder.empty(); ++item) {
    others.push_back(result_path(item));
  }
  std::vector<std::string> inputs = paths_;
  inputs.insert(inputs.end(), {options_.model, options_.labels});
  return check_outputs(others, inputs);
}

Result<void> PictureStream::prepare(size_t device, uint64_t item, size_t slot) const {
  TRY_ASSIGN(const Picture picture, read_picture(path_of(item)));
  return write_picture(picture, path_of(item), model_.inputs[0], numbers_,
                       networks_[device]->input_view(0, slot));
}

Result<void> PictureStream::consume(size_t device, uint64_t item, size_t slot) const {
  const ExternalView output = networks_[device]->output_view(0, slot);
  const ResultFile kind = result_file_of(output, options_.top);
  if (kind == ResultFile::array) {  // result_bytes makes a tensor of it
    networks_[device]->count_copy(CopyCause::output_tensor, output.size_bytes);
  }
  TRY_ASSIGN(const std::string bytes,
             result_bytes(output, kind, options_.top, labels_, numbers_.is_bgr));
  if (options_.output_folder.empty()) return {};
  return write_whole_file(result_path(item), bytes);
}

Result<JugglerReport> PictureStream::juggled(
    const std::function<void(const JugglerProgress&)>& progress) {
  std::vector<JugglerDevice> devices;
  JugglerOptions options;
  for (size_t d = 0; d < networks_.size(); ++d) {
    devices.push_back(juggled_network(
        *networks_[d], [this, d](uint64_t item, size_t slot) { return prepare(d, item, slot); },
        [this, d](uint64_t item, size_t slot) { return consume(d, item, slot); }));
  }
  options.host_threads = options_.host_threads;
  options.trace = options_.trace;
  options.progress = progress;
  options.deliver = [this](uint64_t item, const Error* error) {
    if (error != nullptr && failures_.size() < kFailuresKept) {
      failures_.push_back({path_of(item), error->message()});
    }
  };
  return juggle(std::move(devices), count_, options);
}

Result<double> PictureStream::step_by_step(uint64_t items) {
  const uint64_t start_ns = steady_now_ns();
  for (uint64_t item = 0; item < items; ++item) {
    TRY(prepare(0, item, 0));
    TRY(networks_[0]->run());
    TRY(consume(0, item, 0));
  }
  return static_cast<double>(steady_now_ns() - start_ns) * 1e-9;
}

CopyCounts PictureStream::copies() const {
  CopyCounts sum;
  for (const std::unique_ptr<Network>& network : networks_) {
    for (size_t c = 0; c < kCopyCauses; ++c) sum.bytes[c] += network->stats().copies.bytes[c];
  }
  return sum;
}

std::string text_of(const JugglerReport& report) {
  Table table(
      {"device", "items", "slots", "alone a second", "used", "deadlines", "wrong fences", "idle"});
  for (const JugglerDeviceReport& device : report.devices) {
    table.add({device.name, std::to_string(device.items), std::to_string(device.slots),
               number_text(device.rate_alone),
               !device.lost.empty() ? "lost"
               : device.is_used     ? "yes"
                                    : "no",
               std::to_string(device.deadlines), std::to_string(device.wrong_fences),
               device.idle_share ? fmt::format("{:.1f} %", *device.idle_share * 100) : "-"});
  }
  std::string text = table.text();
  for (const JugglerDeviceReport& device : report.devices) {
    if (!device.lost.empty()) {
      text += fmt::format("{} was taken out: {}\n", device.name, printable(device.lost));
    }
  }
  return text + fmt::format(
                    "stream    {} items in {:.2f} s, {:.1f} a second ({:.1f} since the "
                    "trials); {} without a result, {} runs made again\nplan      {}\n",
                    report.delivered, report.seconds, report.rate, report.steady_rate,
                    report.errors, report.retries, report.plan);
}

nlohmann::ordered_json json_of(const JugglerReport& report) {
  nlohmann::ordered_json object;
  object["items"] = report.delivered;
  object["errors"] = report.errors;
  object["retries"] = report.retries;
  object["seconds"] = report.seconds;
  object["items_per_second"] = report.rate;
  object["steady_items_per_second"] = report.steady_rate;
  object["plan"] = report.plan;
  for (const JugglerDeviceReport& device : report.devices) {
    nlohmann::ordered_json row = {{"name", device.name},
                                  {"items", device.items},
                                  {"slots", device.slots},
                                  {"used", device.is_used},
                                  {"alone_per_second", device.rate_alone},
                                  {"deadlines", device.deadlines},
                                  {"wrong_fences", device.wrong_fences}};
    if (device.idle_share) row["idle_share"] = *device.idle_share;
    if (!device.lost.empty()) row["lost"] = device.lost;
    object["devices"].push_back(row);
  }
  return object;
}

}  // namespace leat::cli
