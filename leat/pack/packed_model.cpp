// The file, all little-endian: a header of 64 bytes (magic, version, 0, size of the file, size of
// the body, hash of the header's first 32 bytes and the body); the body (plan_bytes.h), which lists
// the blobs with their hashes; the blobs, each on a multiple of 64, with zeros between. So every
// byte is under a hash, and what no device asks for need not be read.
#include "leat/pack/packed_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unordered_map>

#include "leat/pack/plan_bytes.h"

namespace leat {

namespace {

constexpr std::string_view kMagic = "LEATPACK";
constexpr uint32_t kVersion = 3;
constexpr size_t kHashedHeaderBytes = 32;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kBlobAlignment = 64;

static_assert(kHeaderBytes == kHashedHeaderBytes + kDigestBytes);

Error bad_pack(const std::string& path, const std::string& what) {
  return Error(ErrorKind::invalid_argument, fmt::format("Packed model \"{}\" {}.", path, what));
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Digest digest_of(std::string_view bytes) {
  SecureHasher hasher;
  hasher.add_bytes(bytes.data(), bytes.size());
  return hasher.digest();
}

/// Of header and body.
Digest digest_of(std::string_view hashed_header, std::string_view body) {
  SecureHasher hasher;
  hasher.add_bytes(hashed_header.data(), hashed_header.size());
  hasher.add_bytes(body.data(), body.size());
  return hasher.digest();
}

size_t aligned(size_t size_bytes) {
  return (size_bytes + kBlobAlignment - 1) / kBlobAlignment * kBlobAlignment;
}

struct Header {
  uint32_t version = 0;
  uint64_t file_bytes = 0;
  uint64_t body_bytes = 0;
  Digest digest = {};
};

Header header_of(std::string_view file) {
  ByteReader reader(file.substr(kMagic.size(), kHeaderBytes - kMagic.size()));
  Header header;
  header.version = reader.take<uint32_t>();
  reader.take<uint32_t>();
  header.file_bytes = reader.take<uint64_t>();
  header.body_bytes = reader.take<uint64_t>();
  header.digest = reader.take<Digest>();
  return header;
}

std::string header_bytes(uint64_t file_bytes, std::string_view body) {
  ByteWriter writer;
  writer.bytes = kMagic;
  writer.add(kVersion);
  writer.add(uint32_t{0});
  writer.add(file_bytes);
  writer.add(static_cast<uint64_t>(body.size()));
  writer.add(digest_of(writer.bytes, body));
  return std::move(writer.bytes);
}

bool same_values(const std::vector<ModelValue>& values, std::span<const TensorId> ids,
                 const Graph& graph) {
  return std::ranges::equal(values, ids, [&](const ModelValue& value, TensorId id) {
    return value.dtype == graph.tensors[id].dtype && value.shape == graph.tensors[id].shape;
  });
}

/// The model's outputs, and behind them those of the checks (schedule/normalise.cpp).
bool has_outputs_of(const Model& model, const Graph& graph) {
  const std::span<const TensorId> outputs = graph.outputs;
  const size_t count = model.outputs.size();
  if (outputs.size() != count + 2 * graph.checks.size()) return false;
  for (size_t i = 0; i < graph.checks.size(); ++i) {
    const IndexCheck& check = graph.checks[i];
    if (outputs[count + 2 * i] != check.position) return false;
    if (outputs[count + 2 * i + 1] != check.index) return false;
  }
  return same_values(model.outputs, outputs.first(count), graph);
}

}  // namespace

class PackReader {
 public:
  PackReader(std::string_view file, const std::string& path) : file_(file), path_(path) {}

  Result<void> read(Pack& pack) {
    TRY(check_header());
    ByteReader reader(file_.substr(kHeaderBytes, header_.body_bytes));
    read_blobs(reader);
    pack.model_ = take_model(reader);
    pack.model_.path = path_;
    reader.take_list([&] { pack.targets_.push_back(take_target(reader)); });
    if (!reader.complete() || pack.targets_.empty()) return damaged("its contents do not add up");
    for (const PackTarget& target : pack.targets_) TRY(check_target(pack.model_, target));
    pack.blobs_ = std::move(blobs_);
    return {};
  }

 private:
  Error damaged(const std::string& why) const {
    return bad_pack(path_, "is damaged: " + why + "; pack it anew");
  }

  Result<void> check_header() {
    if (!Pack::is_pack(file_)) {
      return bad_pack(path_, "is none: it does not begin as the files of leat pack do");
    }
    if (file_.size() < kHeaderBytes) return damaged("it ends within its header");
    header_ = header_of(file_);
    if (header_.version != kVersion) {
      return bad_pack(path_, fmt::format("is of format version ({}); this build of Leat reads "
                                         "version ({})",
                                         header_.version, kVersion));
    }
    if (header_.file_bytes != file_.size()) {
      return damaged(fmt::format("it has ({}) bytes and was written with ({})", file_.size(),
                                 header_.file_bytes));
    }
    if (header_.body_bytes > file_.size() - kHeaderBytes) return damaged("it ends within its body");
    const Digest digest = digest_of(file_.substr(0, kHashedHeaderBytes),
                                    file_.substr(kHeaderBytes, header_.body_bytes));
    return is_same(digest, header_.digest) ? Result<void>() : damaged("its hash does not hold");
  }

  /// One behind the other, up to the file's end.
  void read_blobs(ByteReader& reader) {
    size_t end = kHeaderBytes + header_.body_bytes;
    reader.take_list([&] {
      const auto size_bytes = reader.take<uint64_t>();
      const size_t begin = aligned(end);
      if (begin > file_.size() || size_bytes > file_.size() - begin || !is_zero(end, begin)) {
        return reader.fail();
      }
      const std::string_view bytes = file_.substr(begin, size_bytes);
      const auto* const first = reinterpret_cast<const std::byte*>(bytes.data());
      blobs_.push_back({begin, {first, bytes.size()}, reader.take<Digest>()});
      end = begin + size_bytes;
    });
    if (end != file_.size()) reader.fail();
  }

  bool is_zero(size_t begin, size_t end) const {
    return std::ranges::all_of(file_.substr(begin, end - begin), [](char c) { return c == 0; });
  }

  PackTarget take_target(ByteReader& reader) const {
    const auto blob = [&](uint32_t number) {
      return number < blobs_.size() ? &blobs_[number].bytes : nullptr;
    };
    PackTarget target;
    target.name = reader.take_string();
    target.target = take_target_facts(reader);
    target.known_answer = take_plan(reader, blob);
    target.plan = take_plan(reader, blob);
    return target;
  }

  Result<void> check_target(const Model& model, const PackTarget& target) const {
    for (const RunPlan* const plan : {&target.known_answer, &target.plan}) {
      const Result<void> checked = check_plan(*plan);
      if (!checked) return damaged(checked.error().message());
    }
    const Graph& graph = target.plan.schedule.graph;
    if (same_values(model.inputs, graph.inputs, graph) && has_outputs_of(model, graph)) return {};
    return damaged(fmt::format("target \"{}\" has other inputs or outputs", target.name));
  }

  std::string_view file_;
  const std::string& path_;
  Header header_;
  std::vector<PackBlob> blobs_;
};

bool Pack::is_pack(std::string_view bytes) { return bytes.starts_with(kMagic); }

bool is_pack_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  char begin[kMagic.size()] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(begin, sizeof begin) && Pack::is_pack({begin, sizeof begin});
}

Result<std::shared_ptr<const Pack>> Pack::read(const std::string& path) {
  const std::shared_ptr<Pack> pack(new Pack);
  Result<MappedFile> file = MappedFile::of_user(path);
  if (!file) return file.error().during("reading packed model " + path);
  pack->file_ = std::move(*file);
  TRY(PackReader(text_of(pack->file_.bytes()), path).read(*pack));
  return std::shared_ptr<const Pack>(pack);
}

Result<std::shared_ptr<const Pack>> Pack::parse(std::string_view bytes, const std::string& path) {
  const std::shared_ptr<Pack> pack(new Pack);
  const auto* const first = reinterpret_cast<const std::byte*>(bytes.data());
  pack->copy_.assign(first, first + bytes.size());
  TRY(PackReader(text_of(pack->copy_), path).read(*pack));
  return std::shared_ptr<const Pack>(pack);
}

std::string Pack::target_names() const {
  std::vector<std::string_view> names;
  for (const PackTarget& target : targets_) names.push_back(target.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<void> Pack::check_blobs(const PackTarget& target) const {
  std::unordered_map<const std::byte*, const PackBlob*> left;
  for (const PackBlob& blob : blobs_) {
    if (!blob.bytes.empty()) left[blob.bytes.data()] = &blob;
  }
  const auto holds = [&](std::span<const std::byte> bytes) {
    if (bytes.empty()) return true;  // it begins where the next one does
    const auto blob = left.find(bytes.data());
    if (blob == left.end()) return true;  // looked at already
    const Digest digest = digest_of(text_of(bytes));
    const bool is_right = is_same(digest, blob->second->digest);
    left.erase(blob);
    return is_right;
  };
  for (const RunPlan* const plan : {&target.known_answer, &target.plan}) {
    bool is_right = holds(plan->weights);
    for (const PlanKernel& kernel : plan->kernels) is_right = is_right && holds(kernel.code);
    if (!is_right) {
      return bad_pack(model_.path, fmt::format("is damaged: the hash of target \"{}\" does not "
                                               "hold; pack it anew",
                                               target.name));
    }
  }
  return {};
}

Result<std::string> pack_bytes(const PackContent& content) {
  std::vector<std::span<const std::byte>> blobs;
  std::unordered_map<std::string, uint32_t> numbers;  // by hash
  ByteWriter list;
  const auto number_of = [&](std::span<const std::byte> bytes) {
    const Digest digest = digest_of(text_of(bytes));
    const auto next = static_cast<uint32_t>(blobs.size());
    const auto [found, is_first] = numbers.emplace(hex_of(digest), next);
    if (!is_first) return found->second;
    blobs.push_back(bytes);
    list.add(static_cast<uint64_t>(bytes.size()));
    list.add(digest);
    return next;
  };
  ByteWriter rest;
  add_model(rest, content.model);
  rest.add(static_cast<uint64_t>(content.targets.size()));
  for (const PackTarget& target : content.targets) {
    rest.add_string(target.name);
    add_target_facts(rest, target.target);
    for (const RunPlan* const plan : {&target.known_answer, &target.plan}) {
      TRY(check_plan(*plan));
      add_plan(rest, *plan, number_of);
    }
  }
  ByteWriter body;
  body.add(static_cast<uint64_t>(blobs.size()));
  body.bytes += list.bytes + rest.bytes;
  std::string file(kHeaderBytes, '\0');
  file += body.bytes;
  for (const std::span<const std::byte> blob : blobs) {
    file.resize(aligned(file.size()));
    file += text_of(blob);
  }
  const std::string header = header_bytes(file.size(), body.bytes);
  std::memcpy(file.data(), header.data(), header.size());
  return file;
}

std::string sealed_pack(std::string file) {
  file.resize(std::max(file.size(), kHeaderBytes));
  const uint64_t told = header_of(file).body_bytes;
  const uint64_t body_bytes = std::min<uint64_t>(told, file.size() - kHeaderBytes);
  const std::string header =
      header_bytes(file.size(), std::string_view(file).substr(kHeaderBytes, body_bytes));
  return file.replace(0, header.size(), header);
}

}  // namespace leat
