// See dump_packets.h.
#include "cli/dump_packets.h"

#include <fmt/format.h>

#include "cli/device_choice.h"
#include "cli/model_files.h"
#include "leat/backend/backends.h"
#include "leat/model/model_capture.h"
#include "leat/run/capture.h"
#include "leat_version.h"

namespace leat::cli {

namespace {

Result<FedModel> read_fed(const DumpedPackets& wanted) {
  TRY_ASSIGN(OnnxModel file, OnnxModel::read(wanted.model));
  std::vector<ModelValue> declared;
  for (const DeclaredInput& input : file.inputs()) {
    declared.push_back({input.name, input.dtype, input.shape(), kNoTensor});
  }
  TRY_ASSIGN(const auto paths, match_files(wanted.inputs, declared, "input"));
  std::map<std::string, InputFile> files;
  ImportOptions import;
  import.keeps_values = true;
  import.trusts_kernels = wanted.trusts_kernels;
  for (const auto& [index, path] : paths) {
    TRY_ASSIGN(InputFile input, read_input_file(path));
    const auto shape = wanted_shape(input, declared[index]);
    if (shape) import.input_shapes[declared[index].name] = *shape;
    files.emplace(declared[index].name, std::move(input));
  }
  TRY_ASSIGN(Model model, file.specialised(import));
  TRY_ASSIGN(const PictureNumbers numbers, picture_numbers({}, model));
  std::map<std::string, HostTensor> given;
  for (const ModelValue& input : model.inputs) {
    const auto found = files.find(input.name);
    if (found == files.end()) continue;
    TRY_ASSIGN(given[input.name], fit_to_input(found->second, input, numbers));
  }
  return fed_model(std::move(file), std::move(model), std::move(given));
}

}  // namespace

Result<std::string> packets_of(const DumpedPackets& wanted) {
  TRY_ASSIGN(const std::unique_ptr<Recorder> recorder, open_recorder(wanted.target));
  if (!wanted.folder.empty()) TRY(make_capture_folder(wanted.folder));
  TRY_ASSIGN(const FedModel fed, read_fed(wanted));
  return leat::packets_of(*recorder, fed,
                          {.folder = wanted.folder,
                           .producer = fmt::format("leat {} ({})", kLeatVersion, kLeatCommit),
                           .session = session_options(kernel_cache_folder())});
}

}  // namespace leat::cli
