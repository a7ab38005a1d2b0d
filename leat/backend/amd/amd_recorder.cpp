#include "leat/backend/amd/amd_recorder.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/backend/amd/amd_recording_os.h"
#include "leat/backend/amd/amd_submitter.h"
#include "leat/route/direct_device.h"

namespace leat {

namespace {

class AmdRecorder final : public Recorder {
 public:
  AmdRecorder(const AmdChip& chip) : target_(chip.target), os_(chip), device_(os_.table()) {}

  Result<void> open() { return device_.open(0, target_ + ", recorded"); }

  const std::string& target() const override { return target_; }
  Device& device() override { return device_; }
  Result<RecordedSubmit> in_flight() override { return os_.in_flight(); }
  uint64_t address_of(const BufferRange& range) override { return device_.address_of(range); }
  RecordedKernel facts_of(const Kernel& kernel) override {
    const auto& loaded = static_cast<const AmdKernel&>(kernel);
    RecordedKernel facts;
    facts.entry = loaded.registers().entry;
    facts.descriptor = loaded.descriptor_address();
    std::ranges::copy(loaded.grid(), facts.groups);
    facts.lanes[0] = loaded.registers().threads;
    facts.local_bytes =
        (loaded.registers().rsrc2 >> pm4::kLdsShift & pm4::kLdsUnitsMask) * pm4::kLdsUnitBytes;
    return facts;
  }

 private:
  std::string target_;
  AmdRecordingOs os_;
  DirectDevice<AmdSubmitter> device_;
};

}  // namespace

Result<std::unique_ptr<Recorder>> open_amd_recorder(std::string_view target) {
  const AmdChip* chip = find_amd_chip(std::string(target));
  if (chip == nullptr) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The direct route to AMD GPUs makes no packets for target \"{}\"; it "
                             "does for ({}).",
                             target, amd_chip_names()));
  }
  auto recorder = std::make_unique<AmdRecorder>(*chip);
  TRY(recorder->open());
  return std::unique_ptr<Recorder>(std::move(recorder));
}

}  // namespace leat
