// See onnx_external.h.
#include "leat/model/onnx_external.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"

namespace leat {
namespace {

/// Bytes that tensors may take of a file, over its size: some share all their data.
constexpr int64_t kSharesMax = 4;
constexpr int64_t kBytesMax = std::numeric_limits<int64_t>::max();

std::optional<int64_t> number_of(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size();
  return is_whole && value >= 0 ? std::optional(value) : std::nullopt;
}

/// Where an opened file lies, whatever links led to it.
Result<std::string> path_of(int descriptor) {
  std::error_code code;
  const std::filesystem::path path =
      std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", descriptor), code);
  if (!code) return path.string();
  return Error(ErrorKind::io, fmt::format("/proc cannot be read ({}), so that it is not known "
                                          "where the model's data lies.",
                                          code.message()));
}

Result<std::string> real_folder(const std::filesystem::path& folder) {
  const std::string path = folder.empty() ? "." : folder.string();
  const UniqueFd descriptor(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() >= 0) return path_of(descriptor.get());
  return Error(ErrorKind::io,
               fmt::format("Folder \"{}\" cannot be opened: {}.", path, std::strerror(errno)));
}

bool is_below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder.ends_with('/') ? folder : folder + "/");
}

struct Place {
  std::string location;
  int64_t offset = 0;
  std::optional<int64_t> length;
};

Result<Place> place_of(const onnx::TensorProto& tensor) {
  Place place;
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    const bool is_offset = entry.key() == "offset";
    if (entry.key() == "location") place.location = entry.value();
    if (!is_offset && entry.key() != "length") continue;
    const std::optional<int64_t> number = number_of(entry.value());
    if (!number) {
      return invalid(fmt::format("Tensor \"{}\" has {} (\"{}\") that is no number of bytes.",
                                 tensor.name(), entry.key(), entry.value()));
    }
    (is_offset ? place.offset : place.length.emplace()) = *number;
  }
  if (place.location.empty()) {
    return invalid(
        fmt::format("Tensor \"{}\" keeps its data in another file, but does not say in "
                    "which.",
                    tensor.name()));
  }
  return place;
}

}  // namespace

Result<void> ExternalData::find_folders() {
  const std::filesystem::path model(model_path_);
  TRY_ASSIGN(const std::string beside, real_folder(model.parent_path()));
  folders_.push_back(beside);
  std::error_code code;
  const std::filesystem::path real = std::filesystem::canonical(model, code);
  if (!code) folders_.push_back(real.parent_path().string());
  return {};
}

/// For one tensor: some exporters write a file for each of thousands.
Result<ExternalData::File> ExternalData::open(const std::string& location) {
  const std::filesystem::path relative(location);
  const bool climbs = std::ranges::count(relative, "..") > 0;
  if (model_path_.empty() || relative.is_absolute() || climbs ||
      location.find('\0') != std::string::npos) {
    return invalid(
        model_path_.empty()
            ? "Its data lies in another file, and a model in memory has none beside it."
            : fmt::format("Its data is said to lie in \"{}\"; only files in or below the "
                          "model's folder are read.",
                          location));
  }
  if (folders_.empty()) TRY(find_folders());
  const std::string path = (std::filesystem::path(model_path_).parent_path() / relative).string();
  File file;
  // Not blocking, so that a pipe of that name is refused below and not waited for.
  file.descriptor = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status = {};
  if (file.descriptor.get() < 0 || fstat(file.descriptor.get(), &status) != 0) {
    return Error(ErrorKind::io, fmt::format("File \"{}\", which has the model's data, cannot be "
                                            "opened: {}.",
                                            path, std::strerror(errno)));
  }
  TRY_ASSIGN(const std::string real, path_of(file.descriptor.get()));
  const bool is_inside =
      std::ranges::any_of(folders_, [&](const auto& folder) { return is_below(real, folder); });
  if (!is_inside || !S_ISREG(status.st_mode)) {
    return invalid(is_inside ? fmt::format("\"{}\" is no file.", path)
                             : fmt::format("\"{}\" leads to \"{}\", outside of the model's folder "
                                           "(\"{}\").",
                                           path, real, folders_[0]));
  }
  file.size_bytes = status.st_size;
  // By what it is and not by what it is called: a file has many names.
  if (known_.emplace(status.st_dev, status.st_ino).second) {
    bytes_left_ += std::min(file.size_bytes, (kBytesMax - bytes_left_) / kSharesMax) * kSharesMax;
  }
  return file;
}

Result<ExternalData::Region> ExternalData::find(const onnx::TensorProto& tensor,
                                                int64_t size_bytes) {
  TRY_ASSIGN(const Place place, place_of(tensor));
  Result<File> opened = open(place.location);
  if (!opened) return opened.error().during(fmt::format("reading tensor \"{}\"", tensor.name()));
  File& file = *opened;
  const int64_t behind = std::max<int64_t>(file.size_bytes - place.offset, 0);
  if (place.length.value_or(behind) != size_bytes || size_bytes > behind) {
    return invalid(fmt::format(
        "Tensor \"{}\" needs {} bytes at byte {} of \"{}\"; the model says {}, and the file has "
        "{}.",
        tensor.name(), size_bytes, place.offset, place.location,
        place.length ? fmt::format("{}", *place.length) : "to its end", file.size_bytes));
  }
  if (size_bytes > bytes_left_) {
    return invalid(fmt::format("Tensors ask for more than {} times the data that \"{}\" has.",
                               kSharesMax, place.location));
  }
  bytes_left_ -= size_bytes;
  return Region{std::move(file.descriptor), place.offset, place.location};
}

Result<std::string> ExternalData::read_text(const std::string& location, size_t size_bytes_max) {
  TRY_ASSIGN(File file, open(location));
  const auto size_bytes = static_cast<size_t>(file.size_bytes);
  if (size_bytes > size_bytes_max) {
    return invalid(fmt::format("File \"{}\" has more bytes ({}) than the limit ({}).", location,
                               size_bytes, size_bytes_max));
  }
  std::string text(size_bytes, '\0');
  const Region region = {std::move(file.descriptor), 0, location};
  TRY(read(region, std::as_writable_bytes(std::span(text))));
  return text;
}

Result<void> ExternalData::read(const Region& region, std::span<std::byte> bytes) {
  int64_t offset = region.offset;
  while (!bytes.empty()) {
    const ssize_t count = pread(region.file.get(), bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return Error(ErrorKind::io,
                   fmt::format("File \"{}\" cannot be read at byte ({}): {}.", region.location,
                               offset, count < 0 ? std::strerror(errno) : "it ends there"));
    }
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += count;
  }
  return {};
}

}  // namespace leat
