// See tuner.h.
#include "leat/tune/tuner.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "leat/schedule/kernel_key.h"
#include "leat/tune/ways.h"

namespace leat {

namespace {

/// Two shapes within this distance want the same parameters, unless measuring says otherwise: a
/// factor of two in one number, or less in several.
constexpr double kNearMax = 1.0;
/// Of what is near, so many are where a search begins.
constexpr size_t kSeedsMax = 3;

std::string today() {
  const auto now = std::chrono::system_clock::now();
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

/// The first of the lowest price that may be used; of none that may, the first.
template <typename IsUsable>
KernelParams best_by_model(const Schedule& schedule, const Node& node, const Target& target,
                           Splitting splitting, const IsUsable& is_usable) {
  std::vector<Candidate> all = candidates(schedule, node, target, splitting);
  std::ranges::stable_sort(all, {}, &Candidate::price);
  const auto usable = std::ranges::find_if(
      all, [&](const Candidate& candidate) { return is_usable(candidate.params); });
  return usable == all.end() ? all[0].params : usable->params;
}

}  // namespace

std::string_view name_of(ChoiceSource source) {
  switch (source) {
    case ChoiceSource::store: return "store";
    case ChoiceSource::measured: return "measured";
    case ChoiceSource::near: return "near";
    case ChoiceSource::model: return "model";
  }
  return "";
}

Digest tune_identity(const Schedule& schedule, const Node& node, Splitting splitting) {
  SecureHasher hasher;
  hasher.add(kernel_key(schedule, node));
  hasher.add(splitting == Splitting::allowed ? 1 : 0);
  return hasher.digest();
}

Result<KernelParams> parse_kernel_params(const std::string& text) {
  if (const auto tile = parse_contraction_params(text)) return KernelParams(*tile);
  if (const auto loops = parse_map_reduce_params(text)) return KernelParams(*loops);
  TRY_ASSIGN(const ProgramParams program, parse_program_params(text));
  return KernelParams(program);
}

size_t Tuner::DigestHash::operator()(const Digest& digest) const {
  size_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

/// Marks in the store what is about to run, and what came of it.
class Tuner::Log : public TrialLog {
 public:
  Log(Tuner& tuner, const Digest& kernel) : tuner_(tuner), kernel_(kernel) {}

  bool may_try(const KernelParams& params) override {
    return !tuner_.quarantined_.contains({kernel_, to_string(params)});
  }
  void begin(const KernelParams& params) override {
    if (tuner_.options_.store == nullptr) return;
    const Result<void> done =
        tuner_.options_.store->begin_trial(tuner_.options_.on.chip, kernel_, to_string(params));
    if (!done) tuner_.say(done.error());
  }
  void end(const KernelParams& params, const std::string& reason) override {
    const std::string text = to_string(params);
    if (!reason.empty()) tuner_.quarantined_[{kernel_, text}] = reason;
    if (tuner_.options_.store == nullptr) return;
    const Result<void> done =
        tuner_.options_.store->end_trial(tuner_.options_.on.chip, kernel_, text, reason);
    if (!done) tuner_.say(done.error());
  }

 private:
  Tuner& tuner_;
  Digest kernel_;
};

Tuner::Tuner(TunerOptions options) : options_(std::move(options)) {
  if (options_.store != nullptr) read_store();
}

void Tuner::say(const Error& error) {
  if (!store_failed_ && options_.on_store_error) options_.on_store_error(error);
  store_failed_ = true;
}

void Tuner::read_store() {
  const auto entries = options_.store->entries(options_.on.chip);
  if (!entries) return say(entries.error());
  for (const TuneEntry& entry : *entries) remember(entry);
  const auto ways = options_.store->quarantined(options_.on.chip);
  if (!ways) return say(ways.error());
  for (const QuarantinedWay& way : *ways) {
    quarantined_[{way.kernel, way.params}] = way.reason;
  }
}

void Tuner::remember(const TuneEntry& entry) {
  const auto shape = parse_shape_class(entry.shape);
  if (!shape || !parse_kernel_params(entry.params)) return;
  if (entry.on.build == options_.on.build) current_.insert_or_assign(entry.kernel, entry);
  by_kind_[shape->kind].push_back({*shape, entry});
}

const TuneEntry* Tuner::find(const Digest& kernel) const {
  const auto known = current_.find(kernel);
  return known == current_.end() ? nullptr : &known->second;
}

/// What was best for this node under another build, and for the nearest shapes; the nearest first.
std::vector<KernelParams> Tuner::seeds_of(const Digest& kernel, const ShapeClass& shape) const {
  const auto alike = by_kind_.find(shape.kind);
  if (alike == by_kind_.end()) return {};
  // Sizes say what a product does; of other nodes they leave open how memory is read.
  const bool has_likes = shape.kind.starts_with("product");
  std::vector<std::pair<double, const TuneEntry*>> near;
  for (const auto& [other, entry] : alike->second) {
    const double distance = distance_between(shape, other).value_or(2 * kNearMax);
    if (entry.kernel == kernel) {
      near.emplace_back(-1, &entry);
    } else if (has_likes && distance <= kNearMax) {
      near.emplace_back(distance, &entry);
    }
  }
  std::ranges::stable_sort(near, {}, [](const auto& each) { return each.first; });
  std::vector<KernelParams> seeds;
  for (const auto& [distance, entry] : near) {
    if (seeds.size() == kSeedsMax) break;
    if (quarantined_.contains({kernel, entry->params})) continue;
    seeds.push_back(*parse_kernel_params(entry->params));
  }
  return seeds;
}

std::optional<KernelParams> Tuner::measure(const Schedule& schedule, const Node& node,
                                           const Target& target, Splitting splitting,
                                           const Digest& kernel, TunedKernel& told) {
  const ShapeClass shape = shape_class_of(schedule, node);
  Log log(*this, kernel);
  const Result<SearchResult> found =
      search(schedule, node, target, splitting, seeds_of(kernel, shape), options_.make_trials, log,
             options_.limits);
  if (!found || found->tried == 0) return std::nullopt;
  told.source = ChoiceSource::measured;
  told.seconds = found->seconds;
  told.model_seconds = found->model_seconds;
  told.tried = found->tried;
  TuneEntry entry;
  entry.on = options_.on;
  entry.kernel = kernel;
  entry.shape = to_string(shape);
  entry.params = to_string(found->params);
  entry.seconds = found->seconds;
  entry.model_seconds = found->model_seconds;
  entry.tried = static_cast<uint32_t>(found->tried);
  entry.finished = found->finished;
  entry.date = today();
  remember(entry);
  if (options_.store == nullptr) return found->params;
  if (const Result<void> kept = options_.store->keep(entry); !kept) say(kept.error());
  return found->params;
}

KernelParams Tuner::choose(const Schedule& schedule, const Node& node, const Target& target,
                           Splitting splitting) {
  const auto start = std::chrono::steady_clock::now();
  const Digest kernel = tune_identity(schedule, node, splitting);
  TunedKernel told = {.node = node.name, .shape = to_string(shape_class_of(schedule, node))};
  const auto is_usable = [&](const KernelParams& params) {
    return is_possible(schedule, node, params, target, splitting) &&
           !quarantined_.contains({kernel, to_string(params)});
  };
  const auto chosen = [&]() -> KernelParams {
    const TuneEntry* const known = find(kernel);
    const bool is_wanted_anew =
        options_.make_trials && known != nullptr && (options_.again || !known->finished);
    if (known != nullptr && !is_wanted_anew) {
      const Result<KernelParams> params = parse_kernel_params(known->params);
      if (is_usable(*params)) {
        told.source = ChoiceSource::store;
        told.seconds = known->seconds;
        told.model_seconds = known->model_seconds;
        return *params;
      }
    }
    if (options_.make_trials) {
      const auto best = measure(schedule, node, target, splitting, kernel, told);
      if (best) return *best;
    }
    for (const KernelParams& near : seeds_of(kernel, shape_class_of(schedule, node))) {
      if (!is_usable(near)) continue;
      told.source = ChoiceSource::near;
      return near;
    }
    return best_by_model(schedule, node, target, splitting, is_usable);
  };
  told.params = chosen();
  told.search_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options_.on_choice) options_.on_choice(told);
  return told.params;
}

}  // namespace leat
